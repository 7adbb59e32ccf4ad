//! Accounts by a provider's name: of callers with a credential of their own, and of virtual keys.

use std::collections::BTreeMap;

use loomgate_gateway::{Account, Api, Provider, Target, http_client::Trust, preset::preset};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{app::Services, error::ApiError};

/// An account, and its provider's name.
pub(crate) struct Built {
    pub(crate) brand: String,
    pub(crate) provider: Provider,
}

/// The account of a caller with a credential of its own: no limits but the key's, and public
/// addresses only.
pub(super) fn target(
    services: &Services,
    provider: &str,
    key: Option<SecretString>,
    options: &BTreeMap<String, String>,
) -> Result<Target, ApiError> {
    if let Some(slug) = provider.strip_prefix('@') {
        return Err(ApiError::no_virtual_key(slug, "in the config"));
    }
    let secret = key.as_ref().map(ExposeSecret::expose_secret);
    let identity = services.keyring.hex(secret.unwrap_or_default());
    let built = build(provider, key.clone(), options)?;
    let mut target = Target::new(&built.brand, &built.brand, built.provider);
    target.identity = format!("own:{}:{identity}", built.brand).into();
    target.trust = Trust::Guarded;
    target.is_stored = false;
    Ok(target)
}

/// An account by its provider's name. Options: `base_url`, `organization` and `project` (also with
/// `openai_` before them), for Azure `resource_name`, `deployment_name` or `deployment_id`, and
/// `api_version` (also with `azure_`).
///
/// Error: 400 for an unknown provider, or for an option that is missing or makes no sense.
pub(crate) fn build(
    provider: &str,
    key: Option<SecretString>,
    options: &BTreeMap<String, String>,
) -> Result<Built, ApiError> {
    let preset = preset(provider).ok_or_else(|| ApiError::invalid("Invalid provider passed"))?;
    let option = |names: &[&str]| {
        let found = names.iter().find_map(|name| options.get(*name));
        found.cloned()
    };
    let brand = preset.name.to_owned();
    if preset.name == "echo" {
        return Ok(Built {
            brand,
            provider: Provider::Echo,
        });
    }
    let resource = option(&["resource_name", "azure_resource_name"]);
    let base_url =
        option(&["base_url", "custom_host"]).or_else(|| match (preset.name, &resource) {
            ("azure-openai", Some(resource)) if is_label(resource) => {
                Some(format!("https://{resource}.openai.azure.com/openai"))
            }
            _ => preset.base_url.map(str::to_owned),
        });
    let Some(base_url) = base_url else {
        return Err(ApiError::invalid(format!(
            "The provider '{}' needs {}.",
            preset.name,
            if preset.name == "azure-openai" {
                "a 'resource_name' or a 'base_url'"
            } else {
                "a 'base_url'"
            }
        ))
        .param("base_url"));
    };
    let base_url = http_url(&base_url)?;
    let api = match preset.name {
        "anthropic" => Api::Anthropic,
        "google" => Api::Google,
        "azure-openai" => Api::Azure {
            deployment: option(&[
                "deployment_name",
                "deployment_id",
                "azure_deployment_id",
                "azure_deployment_name",
            ]),
            api_version: option(&["api_version", "azure_api_version"]),
        },
        _ => Api::OpenAi,
    };
    if preset.needs_key && key.is_none() {
        return Err(ApiError::invalid(format!(
            "The provider '{}' needs a key: send yours in the header 'Authorization', or name a \
             virtual key.",
            preset.name
        ))
        .code("missing_provider_key"));
    }
    let mut account = Account::new(api, base_url, key);
    account.organization = option(&["organization", "openai_organization"]);
    account.project = option(&["project", "openai_project"]);
    Ok(Built {
        brand,
        provider: Provider::Http(account),
    })
}

/// A part of a host's name: what stands in a header can not choose another host.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn http_url(text: &str) -> Result<Url, ApiError> {
    let wrong =
        |what: &str| ApiError::invalid(format!("Invalid 'base_url': {what}.")).param("base_url");
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it has to begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not contain a user or password"));
    }
    Ok(url)
}
