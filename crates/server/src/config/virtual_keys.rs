//! Virtual keys: the names of provider accounts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use loomgate_gateway::{Account, MaxTokensField, Provider, Target, Timeouts};
use secrecy::SecretString;
use url::Url;

use super::{Environment, error::ConfigError, raw::RawVirtualKey, valid::secret_of};

const ECHO: &str = "echo";
const OPENAI_URL: &str = "https://api.openai.com/v1";
/// What Loomgate's own API keys begin with.
const OWN_KEY: &str = "lg-";

/// A virtual key of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredVirtualKey {
    /// Where its calls go.
    pub target: Target,
    /// How much it may use.
    pub allowance: loomgate_domain::limit::Allowance,
}

/// All virtual keys, and the one for API keys that name none.
#[derive(Debug, Clone)]
pub struct VirtualKeys {
    targets: BTreeMap<Arc<str>, ConfiguredVirtualKey>,
    default: Option<Arc<str>>,
}

impl VirtualKeys {
    /// Where the calls of a virtual key go.
    pub fn get(&self, name: &str) -> Option<&Target> {
        self.targets.get(name).map(|key| &key.target)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ConfiguredVirtualKey)> {
        self.targets.iter().map(|(name, key)| (&**name, key))
    }

    /// The shared form of a name that is known.
    pub fn known(&self, name: &str) -> Option<&Arc<str>> {
        self.targets.get_key_value(name).map(|(name, _)| name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(|name| &**name)
    }

    /// The virtual key of API keys that name none; there is none when several are configured and
    /// the config does not choose.
    pub fn default_name(&self) -> Option<&Arc<str>> {
        self.default.as_ref()
    }

    /// All of them, sorted by name.
    pub fn targets_by_name(&self) -> impl Iterator<Item = (&str, &Target)> {
        self.targets
            .iter()
            .map(|(name, key)| (&**name, &key.target))
    }

    /// All names in one line.
    pub fn list(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn check(
        raw: BTreeMap<String, RawVirtualKey>,
        default: Option<String>,
        environment: &Environment,
        notes: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut targets = BTreeMap::new();
        let mut first = None;
        let configured = !raw.is_empty();
        if configured {
            let only = raw.len() == 1;
            for (name, raw) in raw {
                let target = target(&name, raw, environment)?;
                first = only.then(|| name.clone());
                targets.insert(Arc::from(name), plain_key(target));
            }
        } else {
            for target in from_environment(environment, notes)? {
                first.get_or_insert_with(|| target.name.to_string());
                targets.insert(Arc::clone(&target.name), plain_key(target));
            }
            first.get_or_insert_with(|| ECHO.to_owned());
        }
        targets
            .entry(Arc::from(ECHO))
            .or_insert_with(|| plain_key(plain(ECHO, Provider::Echo)));
        let mut keys = Self {
            targets,
            default: None,
        };
        if let Some(name) = &default {
            keys.expect(name, "default_virtual_key")?;
        }
        keys.default = default.or(first).as_deref().map(Arc::from);
        Ok(keys)
    }

    /// The shared form of a name that has to be known.
    pub(super) fn expect(&self, name: &str, option: &str) -> Result<Arc<str>, ConfigError> {
        self.known(name).cloned().ok_or_else(|| {
            ConfigError::new(format!("`{option}`: there is no virtual key `{name}`"))
                .help(format!("known virtual keys: {}", self.list()))
        })
    }
}

fn target(
    name: &str,
    raw: RawVirtualKey,
    environment: &Environment,
) -> Result<Target, ConfigError> {
    let at = |option: &str| format!("virtual_keys.{name}.{option}");
    if !is_name(name) {
        return Err(ConfigError::new(format!(
            "`virtual_keys.{name}`: a name has 1 to 64 characters out of letters, digits, `-`, `_` and `.`"
        )));
    }
    match raw.assistants.as_deref() {
        None | Some("native") => {}
        Some("upstream") => {}
        Some(other) => return Err(unknown_value(&at("assistants"), other, &["native"])),
    }
    let provider = match raw.provider.as_deref() {
        Some(ECHO) => {
            refuse_for_echo(&raw, &at)?;
            Provider::Echo
        }
        Some("openai") => Provider::Http(openai(&raw, environment, &at)?),
        Some(known @ ("anthropic" | "google" | "azure-openai" | "ollama" | "vllm")) => {
            return Err(other_provider(&at("provider"), known));
        }
        Some(other) => return Err(unknown_value(&at("provider"), other, &["openai", ECHO])),
        None => {
            return Err(ConfigError::new(format!("`{}` is missing", at("provider")))
                .help("\"openai\" (also for servers that speak like it) or \"echo\""));
        }
    };
    let default = Timeouts::default();
    let brand = raw.provider.as_deref().unwrap_or_default().to_owned();
    let mut target = Target::new(name, &brand, provider);
    target.assistants_upstream = raw.assistants.as_deref() == Some("upstream");
    target.model_aliases = raw.model_aliases;
    target.timeouts = Timeouts {
        first_byte: raw
            .first_byte_s
            .map_or(default.first_byte, Duration::from_secs),
        idle: raw.idle_s.map_or(default.idle, Duration::from_secs),
    };
    Ok(target)
}

fn openai(
    raw: &RawVirtualKey,
    environment: &Environment,
    at: &dyn Fn(&str) -> String,
) -> Result<Account, ConfigError> {
    let base_url = raw.base_url.as_deref().unwrap_or(OPENAI_URL);
    let base_url = http_url(base_url, &at("base_url"))?;
    let key = (&raw.api_key, &raw.api_key_env);
    let api_key = secret_of(key, &[at("api_key"), at("api_key_env")], environment)?;
    let mut provider = Account::openai(base_url, api_key);
    provider.organization.clone_from(&raw.organization);
    provider.project.clone_from(&raw.project);
    match raw.max_tokens_field.as_deref() {
        None => {}
        Some("max_tokens") => provider.max_tokens_field = MaxTokensField::MaxTokens,
        Some("max_completion_tokens") => {
            provider.max_tokens_field = MaxTokensField::MaxCompletionTokens;
        }
        Some(other) => {
            let known = ["max_tokens", "max_completion_tokens"];
            return Err(unknown_value(&at("max_tokens_field"), other, &known));
        }
    }
    Ok(provider)
}

fn refuse_for_echo(raw: &RawVirtualKey, at: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    let set = [
        ("base_url", raw.base_url.is_some()),
        ("api_key", raw.api_key.is_some()),
        ("api_key_env", raw.api_key_env.is_some()),
        ("organization", raw.organization.is_some()),
        ("project", raw.project.is_some()),
    ];
    match set.iter().find(|(_, set)| *set) {
        Some((option, _)) => Err(ConfigError::new(format!(
            "`{}`: the built-in provider \"echo\" takes no `{option}`",
            at(option)
        ))),
        None => Ok(()),
    }
}

fn other_provider(path: &str, provider: &str) -> ConfigError {
    let error = ConfigError::not_built(&format!("`{path} = \"{provider}\"`"));
    match provider {
        "ollama" | "vllm" | "google" => error.help(
            "its OpenAI-compatible address works: provider = \"openai\" and base_url = \"...\"",
        ),
        _ => error,
    }
}

/// The virtual keys of a start without any: one for each account that the environment names.
fn from_environment(
    environment: &Environment,
    notes: &mut Vec<String>,
) -> Result<Vec<Target>, ConfigError> {
    let mut targets = Vec::new();
    match environment.get("OPENAI_API_KEY") {
        Some(key) if key.starts_with(OWN_KEY) => notes.push(
            "OPENAI_API_KEY holds an API key of Loomgate, so it makes no virtual key".to_owned(),
        ),
        Some(key) => {
            let url = http_url(OPENAI_URL, "OPENAI_API_KEY")?;
            let provider = Account::openai(url, Some(SecretString::from(key)));
            targets.push(plain("openai", Provider::Http(provider)));
        }
        None => {}
    }
    for name in ["ANTHROPIC_API_KEY", "GEMINI_API_KEY"] {
        if environment.get(name).is_some() {
            notes.push(format!(
                "{name} is set, but this release has no provider for it: no virtual key is made of it"
            ));
        }
    }
    if let Some(host) = environment.get("OLLAMA_HOST") {
        let url = ollama_url(host).ok_or_else(|| {
            ConfigError::new("environment variable OLLAMA_HOST: no address of a server")
                .help("for example OLLAMA_HOST=127.0.0.1:11434")
        })?;
        let provider = Account::openai(url, None);
        targets.push(plain("ollama", Provider::Http(provider)));
    }
    Ok(targets)
}

/// Ollama takes `host`, `host:port`, `:port` and URLs; `0.0.0.0` is where *it* listens.
fn ollama_url(host: &str) -> Option<Url> {
    let host = host.trim().trim_end_matches('/');
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = match rest.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => rest.to_owned(),
    };
    let mut url = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if url.host_str() == Some("0.0.0.0") {
        url.set_host(Some("127.0.0.1")).ok()?;
    }
    let names_port = rest
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !names_port && scheme == "http" {
        url.set_port(Some(11434)).ok()?;
    }
    if url.path() == "/" {
        url.set_path("/v1");
    }
    Some(url)
}

fn plain(name: &str, provider: Provider) -> Target {
    Target::new(name, "openai", provider)
}

fn plain_key(target: Target) -> ConfiguredVirtualKey {
    ConfiguredVirtualKey {
        target,
        allowance: loomgate_domain::limit::Allowance::default(),
    }
}

/// The URL is not shown: it may hold a password.
fn http_url(text: &str, option: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text)
        .map_err(|error| ConfigError::new(format!("`{option}`: not a URL ({error})")))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(ConfigError::new(format!(
            "`{option}`: has to begin with http:// or https://"
        )))
    }
}

/// Such names can stand in a header and in a log line.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

pub(super) fn unknown_value(option: &str, got: &str, known: &[&str]) -> ConfigError {
    let known: Vec<_> = known.iter().map(|known| format!("\"{known}\"")).collect();
    ConfigError::new(format!("`{option}`: unknown value \"{got}\""))
        .help(format!("known: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_hosts_become_base_urls() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:9999", "http://127.0.0.1:9999/v1"),
            (":9999", "http://127.0.0.1:9999/v1"),
            ("http://box:80", "http://box/v1"),
            (
                "https://models.example.com/",
                "https://models.example.com/v1",
            ),
            (
                "models.example.com/ollama/v1",
                "http://models.example.com:11434/ollama/v1",
            ),
        ] {
            assert_eq!(ollama_url(host).unwrap().as_str(), url, "{host}");
        }
        assert_eq!(ollama_url("ftp://box"), None);
        assert_eq!(ollama_url(" "), None);
    }
}
