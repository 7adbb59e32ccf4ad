//! What a request says about its way. Plain data: a run keeps it, sealed, when it holds more than
//! references.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{HeaderMap, header};
use loomgate_gateway::config::Overrides;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{error::ApiError, headers};

/// Headers that say something about a provider's account, and the options that they are.
const OPTIONS: [(&str, &str); 2] = [
    ("x-portkey-openai-organization", "openai_organization"),
    ("x-portkey-openai-project", "openai_project"),
];

/// What Azure's headers begin with: few calls have any, and those without are not searched for each.
const AZURE: &str = "x-portkey-azure-";
/// The same of Azure's.
const AZURE_OPTIONS: [(&str, &str); 4] = [
    ("x-portkey-azure-resource-name", "azure_resource_name"),
    ("x-portkey-azure-deployment-id", "azure_deployment_id"),
    ("x-portkey-azure-api-version", "azure_api_version"),
    ("x-portkey-azure-ad-token", "azure_ad_token"),
];

/// Ways to sign in at Azure that are not built. Without them a call would go with another
/// credential than its caller means.
const NOT_BUILT: [&str; 7] = [
    "x-portkey-azure-auth-mode",
    "x-portkey-azure-managed-client-id",
    "x-portkey-azure-workload-client-id",
    "x-portkey-azure-entra-client-id",
    "x-portkey-azure-entra-client-secret",
    "x-portkey-azure-entra-tenant-id",
    "x-portkey-azure-entra-scope",
];

/// The longest config in a header.
const CONFIG_BYTES: usize = 16 * 1024;

/// What a request says about its way.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wishes {
    /// `x-portkey-config`: JSON, or a slug.
    pub(crate) config: Option<String>,
    /// `x-portkey-virtual-key`
    pub(crate) virtual_key: Option<String>,
    /// `x-portkey-provider`: a name, or `@slug`.
    pub(crate) provider: Option<String>,
    /// The caller's own credential; never a stored one, never the gateway's.
    authorization: Option<String>,
    pub(crate) custom_host: Option<String>,
    request_timeout_ms: Option<String>,
    forward_headers: Option<String>,
    /// `false` was said.
    lenient: bool,
    pub(crate) options: BTreeMap<String, String>,
}

impl std::fmt::Debug for Wishes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A config may hold keys.
        f.debug_struct("Wishes")
            .field("virtual_key", &self.virtual_key)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl Wishes {
    /// Reads the headers. `presented` is the gateway's own key, which is no provider's.
    pub(crate) fn of(headers: &HeaderMap, presented: &str) -> Result<Self, ApiError> {
        if !headers::address_the_gateway(headers) {
            return Ok(Self {
                authorization: own_credential(headers, presented),
                ..Self::default()
            });
        }
        let text = |name: &str| text(headers, name);
        let mut options = BTreeMap::new();
        let is_azures = headers.keys().any(|name| name.as_str().starts_with(AZURE));
        let azures = AZURE_OPTIONS.iter().filter(|_| is_azures);
        for (name, option) in OPTIONS.iter().chain(azures) {
            if let Some(value) = text(name)? {
                options.insert((*option).to_owned(), value);
            }
        }
        let mut not_built = NOT_BUILT.iter().filter(|_| is_azures);
        if let Some(name) = not_built.find(|name| headers.contains_key(**name)) {
            let message = format!(
                "The header '{name}' is not supported: send a key, or a token in \
                 'x-portkey-azure-ad-token'."
            );
            return Err(ApiError::invalid(message).param(*name).of_gateway());
        }
        let config = text("x-portkey-config")?;
        if config
            .as_ref()
            .is_some_and(|config| config.len() > CONFIG_BYTES)
        {
            let message = format!(
                "The config in your request is too long: the limit is {CONFIG_BYTES} bytes."
            );
            return Err(ApiError::invalid(message)
                .param("x-portkey-config")
                .of_gateway());
        }
        let strict = match text("x-portkey-strict-open-ai-compliance")? {
            None => text("x-portkey-strict-openai-compliance")?,
            strict => strict,
        };
        Ok(Self {
            config,
            virtual_key: text("x-portkey-virtual-key")?,
            provider: text("x-portkey-provider")?,
            authorization: own_credential(headers, presented),
            custom_host: text("x-portkey-custom-host")?,
            request_timeout_ms: text("x-portkey-request-timeout")?,
            forward_headers: text("x-portkey-forward-headers")?,
            lenient: strict.as_deref() == Some("false"),
            options,
        })
    }

    /// Nothing but a virtual key.
    pub(crate) fn for_virtual_key(slug: &str) -> Self {
        Self {
            virtual_key: Some(slug.to_owned()),
            ..Self::default()
        }
    }

    /// Nothing but a saved config.
    pub(crate) fn for_config(slug: &str) -> Self {
        Self {
            config: Some(slug.to_owned()),
            ..Self::default()
        }
    }

    /// The caller's own credential.
    pub(crate) fn authorization(&self) -> Option<SecretString> {
        self.authorization.as_deref().map(SecretString::from)
    }

    /// The virtual key that is named, in whichever form.
    pub(crate) fn slug(&self) -> Option<&str> {
        let named = self
            .provider
            .as_deref()
            .and_then(|name| name.strip_prefix('@'));
        self.virtual_key.as_deref().or(named)
    }

    /// Whether a virtual key or a provider is named.
    pub(crate) fn names_a_target(&self) -> bool {
        self.virtual_key.is_some() || self.provider.is_some()
    }

    /// Whether a reference to a virtual key or a saved config says it all.
    pub(crate) fn is_plain(&self) -> bool {
        let says_more = self.custom_host.is_some()
            || self.request_timeout_ms.is_some()
            || !self.options.is_empty()
            || self.config.is_some() && self.names_a_target();
        let is_own = self
            .provider
            .as_ref()
            .is_some_and(|name| !name.starts_with('@'));
        !says_more && !is_own
    }

    /// What goes before everything in a config.
    pub(crate) fn overrides(&self) -> Result<Overrides, ApiError> {
        let request_timeout = self
            .request_timeout_ms
            .as_deref()
            .map(|text| match text.trim().parse::<u64>() {
                Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
                _ => Err(ApiError::invalid(
                    "Invalid request timeout: a number of milliseconds above 0 is expected.",
                )
                .param("x-portkey-request-timeout")),
            })
            .transpose()?;
        Ok(Overrides {
            custom_host: self.custom_host.clone(),
            request_timeout,
            forward_headers: self
                .forward_headers
                .as_deref()
                .map(header_names)
                .transpose()?,
            strict_open_ai_compliance: self.lenient.then_some(false),
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    // Not `to_str`: a config may have letters of any language in it.
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
        ApiError::invalid(format!("The header '{name}' is not UTF-8."))
            .param(name.to_owned())
            .of_gateway()
    })?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// `Authorization` beside a gateway key in another header: the caller's own. Placeholders of SDKs
/// and the gateway's key are not.
fn own_credential(headers: &HeaderMap, presented: &str) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let key = match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) => return None,
        None => value,
    };
    let is_placeholder = matches!(key, "" | "OPENAI_API_KEY" | "DUMMY-KEY");
    (key != presented && !is_placeholder).then(|| key.to_owned())
}

/// `A,B`, or `['A','B']` as the documentation prints it.
fn header_names(text: &str) -> Result<Vec<String>, ApiError> {
    let names: Vec<_> = text
        .trim_matches(['[', ']'])
        .split(',')
        .map(|name| name.trim().trim_matches(['\'', '"']).to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let own = "x-portkey-forward-headers";
    if names.iter().any(|name| name == own) {
        return Err(ApiError::invalid(format!(
            "forward_headers must not contain the '{own}' header"
        ))
        .param(own));
    }
    let forbidden = [
        "metadata-flavor",
        "x-aws-ec2-metadata-token",
        "x-google-metadata-request",
    ];
    if let Some(name) = names.iter().find(|name| forbidden.contains(&name.as_str())) {
        return Err(
            ApiError::invalid(format!("The header '{name}' can not be forwarded.")).param(own),
        );
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Wishes {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        Wishes::of(&pairs.iter().map(pair).collect(), "lg-made-up").unwrap()
    }

    #[test]
    fn the_gateways_key_and_placeholders_are_no_credentials() {
        for value in [
            "Bearer lg-made-up",
            "Bearer OPENAI_API_KEY",
            "DUMMY-KEY",
            "Basic eA==",
        ] {
            assert!(
                of(&[("authorization", value)]).authorization.is_none(),
                "{value}"
            );
        }
        let own = of(&[("authorization", "bearer sk-own")]);
        assert_eq!(own.authorization.as_deref(), Some("sk-own"));
        let raw = of(&[("authorization", "sk-own")]);
        assert_eq!(raw.authorization.as_deref(), Some("sk-own"));
    }

    #[test]
    fn references_alone_are_plain() {
        assert!(of(&[]).is_plain());
        assert!(of(&[("x-portkey-virtual-key", "main")]).is_plain());
        assert!(of(&[("x-portkey-provider", "@main")]).is_plain());
        assert_eq!(of(&[("x-portkey-provider", "@main")]).slug(), Some("main"));
        assert!(!of(&[("x-portkey-provider", "openai")]).is_plain());
        assert!(!of(&[("x-portkey-custom-host", "https://a.example/v1")]).is_plain());
    }

    #[test]
    fn header_lists_come_in_both_spellings() {
        for text in ["X-A,x-b", "['X-A', 'x-b']", "[\"X-A\",\"x-b\"]"] {
            assert_eq!(header_names(text).unwrap(), ["x-a", "x-b"], "{text}");
        }
        assert!(header_names("x-portkey-forward-headers").is_err());
        assert!(header_names("Metadata-Flavor").is_err());
    }
}
