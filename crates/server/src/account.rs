//! Accounts by a provider's name and options: those of callers with a credential of their own,
//! those of stored virtual keys, and those of the configuration file. One function makes all of
//! them, so that an option means the same wherever it is written.

use std::collections::BTreeMap;

use loomgate_gateway::{
    Account, Api, Provider,
    config::{Destination, Invalid, Leaf},
    preset::preset,
};
use secrecy::SecretString;
use url::Url;

/// The built-in provider: no address, no key.
pub(crate) const ECHO: &str = "echo";
/// The provider whose address is made of a resource's name.
pub(crate) const AZURE: &str = "azure-openai";
/// What providers are called; each has aliases.
pub(crate) const PROVIDERS: [&str; 13] = [
    "openai",
    AZURE,
    "anthropic",
    "google",
    "ollama",
    "vllm",
    "llama.cpp",
    "openrouter",
    "groq",
    "mistral",
    "deepseek",
    "together",
    ECHO,
];

/// Options that [`build`] acts on, in all their spellings.
const OPTIONS: [&str; 15] = [
    "base_url",
    "custom_host",
    "organization",
    "openai_organization",
    "project",
    "openai_project",
    "resource_name",
    "azure_resource_name",
    "deployment_name",
    "azure_deployment_name",
    "deployment_id",
    "azure_deployment_id",
    "api_version",
    "azure_api_version",
    "azure_ad_token",
];

/// The fewest characters of a secret whose ends may be shown.
const SHOWS_ENDS: usize = 20;

/// Who answers, and its provider's name.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) brand: &'static str,
    pub(crate) provider: Provider,
}

/// Why there is no such account. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccountError {
    /// No provider has this name.
    #[error("Invalid provider passed")]
    UnknownProvider,
    /// The provider has no address of its own.
    #[error("The provider '{0}' needs {need}.", need = address_need(.0))]
    NoAddress(&'static str),
    /// The provider wants a key at its own address.
    #[error("The provider '{0}' needs a key")]
    NoKey(&'static str),
    /// No address that can be called.
    #[error("Invalid 'base_url': {0}.")]
    BaseUrl(String),
    /// No name of an Azure resource.
    #[error("Invalid 'resource_name': it has 1 to 63 letters, digits and hyphens.")]
    ResourceName,
}

impl AccountError {
    /// The option that is to be mended.
    pub(crate) fn option(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "provider",
            Self::NoAddress(_) | Self::BaseUrl(_) => "base_url",
            Self::NoKey(_) => "api_key",
            Self::ResourceName => "resource_name",
        }
    }
}

fn address_need(provider: &str) -> &'static str {
    if provider == AZURE {
        "a 'resource_name' or a 'base_url'"
    } else {
        "a 'base_url'"
    }
}

/// The account that a provider's name and options stand for. Options: `base_url` (or
/// `custom_host`); `organization` and `project` (also with `openai_` before them); for Azure
/// `resource_name`, `deployment_name` or `deployment_id`, and `api_version` (also with `azure_`),
/// and `azure_ad_token` in place of a key.
///
/// A key is needed at a provider's own address only: whoever names another knows what it wants.
pub(crate) fn build(
    provider: &str,
    key: Option<SecretString>,
    options: &BTreeMap<String, String>,
) -> Result<Built, AccountError> {
    let preset = preset(provider).ok_or(AccountError::UnknownProvider)?;
    let brand = preset.name;
    if brand == ECHO {
        let provider = Provider::Echo;
        return Ok(Built { brand, provider });
    }
    let option = |names: &[&str]| {
        let found = names.iter().find_map(|name| options.get(*name));
        found.cloned()
    };
    let named_url = option(&["base_url", "custom_host"]);
    let has_key = key.is_some() || options.contains_key("azure_ad_token");
    if preset.needs_key && !has_key && named_url.is_none() {
        return Err(AccountError::NoKey(brand));
    }
    let token = option(&["azure_ad_token"]).filter(|_| brand == AZURE);
    let key = token.as_deref().map(SecretString::from).or(key);
    let resource = option(&["resource_name", "azure_resource_name"]);
    let base_url = match (named_url, resource) {
        (Some(url), _) => http_url(&url)?,
        (None, Some(resource)) if brand == AZURE => azure_url(&resource)?,
        (None, _) => {
            let own = preset.base_url.ok_or(AccountError::NoAddress(brand))?;
            http_url(own)?
        }
    };
    let api = match brand {
        "anthropic" => Api::Anthropic,
        "google" => Api::Google,
        AZURE => Api::Azure {
            deployment: option(&[
                "deployment_name",
                "deployment_id",
                "azure_deployment_name",
                "azure_deployment_id",
            ]),
            api_version: option(&["api_version", "azure_api_version"]),
            is_token: token.is_some(),
        },
        _ => Api::OpenAi,
    };
    let mut account = Account::new(api, base_url, key);
    account.organization = option(&["organization", "openai_organization"]);
    account.project = option(&["project", "openai_project"]);
    let provider = Provider::Http(Box::new(account));
    Ok(Built { brand, provider })
}

/// What stands in a header can not choose another host.
fn azure_url(resource: &str) -> Result<Url, AccountError> {
    let is_label = (1..=63).contains(&resource.len())
        && resource
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_label {
        http_url(&format!("https://{resource}.openai.azure.com/openai"))
    } else {
        Err(AccountError::ResourceName)
    }
}

/// The URL is not shown where it makes no sense: it may hold a password.
pub(crate) fn http_url(text: &str) -> Result<Url, AccountError> {
    let wrong = |what: String| AccountError::BaseUrl(what);
    let url = Url::parse(text).map_err(|error| wrong(format!("not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it has to begin with http:// or https://".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not contain a user or password".to_owned()));
    }
    Ok(url)
}

/// An option of a config's target that nobody would act on: 'path: targets,0,x, message: ...'.
///
/// Says nothing about a provider that is not known: that one is the mistake then.
pub(crate) fn meaningless(leaf: &Leaf) -> Option<Invalid> {
    let Destination::Inline(inline) = &leaf.destination else {
        return None;
    };
    preset(&inline.provider)?;
    let mut options = inline.options.keys();
    let unknown = options.find(|option| !OPTIONS.contains(&option.as_str()))?;
    // `config.targets[1]` is `targets,1` there.
    let levels = leaf.path.split(['.', '[', ']']).skip(1);
    let place = levels.filter(|part| !part.is_empty()).chain([&**unknown]);
    let place = place.collect::<Vec<_>>().join(",");
    Some(Invalid {
        message: Invalid::CONFIG.to_owned(),
        errors: vec![format!("path: {place}, message: Unknown key")],
    })
}

/// Whether an option means anything to an account. Others are a mistake of whoever sets them.
pub(crate) fn takes(built: &Built, option: &str) -> bool {
    let Provider::Http(account) = &built.provider else {
        return false;
    };
    let speaks_openai = account.api == Api::OpenAi;
    let is_azure = matches!(account.api, Api::Azure { .. });
    match option {
        "resource_name" | "deployment_name" | "api_version" => is_azure,
        "organization" | "project" => speaks_openai,
        "max_tokens_field" => speaks_openai || is_azure,
        _ => true,
    }
}

/// Whether assistants calls can be relayed to a provider: those that speak OpenAI's API.
pub(crate) fn can_relay_assistants(provider: &Provider) -> bool {
    match provider {
        Provider::Echo => false,
        Provider::Http(account) => matches!(account.api, Api::OpenAi | Api::Azure { .. }),
    }
}

/// The ends of a provider's secret, to tell keys apart: `sk-****wxyz`. Of a short one nothing.
pub(crate) fn masked(secret: &str) -> String {
    let tail = secret.get(secret.len().saturating_sub(4)..);
    match (secret.get(..3), tail) {
        (Some(head), Some(tail)) if secret.is_ascii() && secret.len() >= SHOWS_ENDS => {
            format!("{head}****{tail}")
        }
        _ => "****".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use loomgate_gateway::config::{Config, Overrides};
    use secrecy::ExposeSecret as _;

    use super::*;

    fn of(provider: &str, options: &[(&str, &str)]) -> Result<Built, AccountError> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        build(
            provider,
            Some(SecretString::from("sk-made-up")),
            &options.iter().map(pair).collect(),
        )
    }

    fn account(provider: &str, options: &[(&str, &str)]) -> Account {
        match of(provider, options).unwrap().provider {
            Provider::Http(account) => *account,
            Provider::Echo => panic!("the echo"),
        }
    }

    #[test]
    fn every_provider_is_known_by_its_name() {
        for name in PROVIDERS {
            let built = of(name, &[("base_url", "https://models.example.com/v1")]).unwrap();
            assert_eq!(built.brand, name);
        }
        assert_eq!(of("opnai", &[]).unwrap_err(), AccountError::UnknownProvider);
    }

    #[test]
    fn providers_speak_their_own_api_at_their_own_address() {
        assert_eq!(account("openai", &[]).api, Api::OpenAi);
        assert_eq!(account("anthropic", &[]).api, Api::Anthropic);
        assert_eq!(account("google", &[]).api, Api::Google);
        let hosts = ["openai", "anthropic", "google"].map(|name| {
            let url = account(name, &[]).base_url;
            url.host_str().unwrap().to_owned()
        });
        let known = [
            "api.openai.com",
            "api.anthropic.com",
            "generativelanguage.googleapis.com",
        ];
        assert_eq!(hosts, known);
        let key = account("openai", &[]).api_key.unwrap();
        assert_eq!(key.expose_secret(), "sk-made-up");
    }

    #[test]
    fn azure_is_found_by_its_resource_or_its_address() {
        let azure = account(AZURE, &[("resource_name", "mine"), ("api_version", "v1")]);
        let url = "https://mine.openai.azure.com/openai";
        assert_eq!(azure.base_url.as_str(), url);
        let api = Api::Azure {
            deployment: None,
            api_version: Some("v1".to_owned()),
            is_token: false,
        };
        assert_eq!(azure.api, api);
        let error = of(AZURE, &[]).unwrap_err();
        assert_eq!(error, AccountError::NoAddress(AZURE));
        for resource in ["", "evil.example.com/", "a b", &"x".repeat(64)] {
            let error = of(AZURE, &[("resource_name", resource)]).unwrap_err();
            assert_eq!(error, AccountError::ResourceName, "{resource}");
        }
    }

    #[test]
    fn an_option_that_nobody_acts_on_is_found_where_it_stands() {
        let told = |target: serde_json::Value| {
            let nested = serde_json::json!({
                "strategy": {"mode": "single"},
                "targets": [{"strategy": {"mode": "single"}, "targets": [target]}],
            });
            let config = Config::parse(&nested, &Overrides::default()).unwrap();
            let mut found = config.leaves().filter_map(meaningless);
            found.next().map(|invalid| invalid.errors.join(""))
        };
        let with = |provider: &str, option: &str| {
            let mut target = serde_json::json!({"provider": provider, "api_key": "sk-x"});
            target[option] = "x".into();
            told(target)
        };
        for option in OPTIONS.iter().filter(|option| **option != "custom_host") {
            assert_eq!(with("openai", option), None, "{option}");
        }
        let line = "path: targets,0,targets,0,regoin, message: Unknown key";
        assert_eq!(with("openai", "regoin").as_deref(), Some(line));
        assert_eq!(with("nobody", "regoin"), None);
    }

    #[test]
    fn a_key_is_needed_at_the_providers_own_address_only() {
        let error = build("openai", None, &BTreeMap::new()).unwrap_err();
        assert_eq!(error, AccountError::NoKey("openai"));
        let local = BTreeMap::from([("base_url".to_owned(), "http://127.0.0.1/v1".to_owned())]);
        assert!(build("openai", None, &local).is_ok());
        assert!(build("ollama", None, &BTreeMap::new()).is_ok());
        assert!(build(ECHO, None, &BTreeMap::new()).is_ok());
    }

    #[test]
    fn addresses_that_can_not_be_called_are_refused_and_not_shown() {
        for (url, why) in [
            ("ftp://x", "has to begin with"),
            ("x", "not a URL"),
            ("https://user:secret@x", "a user or password"),
            ("https://user@x", "a user or password"),
            ("https://:secret@x", "a user or password"),
        ] {
            let error = of("openai", &[("base_url", url)]).unwrap_err();
            assert_eq!(error.option(), "base_url");
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_secret_is_shown_by_its_ends_only_when_it_is_long() {
        assert_eq!(masked("sk-abcdefghijklmnopqrstuvwxyz"), "sk-****wxyz");
        assert_eq!(masked("sk-abcdefghijklmnop"), "****");
        assert_eq!(masked(""), "****");
        assert_eq!(masked(&"\u{e9}".repeat(20)), "****");
    }
}
