//! What a config that is kept has to be, whoever brings it: the admin API or the command line.

use loomgate_gateway::{
    config::{Config, Destination, Invalid, Overrides},
    preset::preset,
};
use serde_json::Value;

use crate::account::{self, PROVIDERS};

/// The most bytes of a config.
const LARGEST: usize = 64 * 1024;

/// Why a config is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    /// It is too large.
    #[error("Invalid 'config': it has more than {LARGEST} bytes.")]
    TooLarge,
    /// It holds a secret, and saved configs are not sealed.
    #[error(
        "'{0}' looks like a credential, which a saved config can not hold: make a virtual key with \
         it, and name that one by 'virtual_key'."
    )]
    Credential(String),
    /// It names a provider that nobody knows.
    #[error("Invalid 'config': unknown provider '{0}'. Known: {known}.", known = PROVIDERS.join(", "))]
    Provider(String),
    /// It makes no sense.
    #[error("Invalid 'config': {}", told(.0))]
    Invalid(Invalid),
}

fn told(invalid: &Invalid) -> String {
    let mut text = invalid.message.clone();
    for error in &invalid.errors {
        text.push_str("; ");
        text.push_str(error);
    }
    text
}

/// Checks a config; gives what it says.
pub(crate) fn check(config: &Value) -> Result<Config, Wrong> {
    if config.to_string().len() > LARGEST {
        return Err(Wrong::TooLarge);
    }
    if let Some(place) = credential(config, "config") {
        return Err(Wrong::Credential(place));
    }
    let parsed = Config::parse(config, &Overrides::default()).map_err(Wrong::Invalid)?;
    for leaf in parsed.leaves() {
        if let Destination::Inline(inline) = &leaf.destination
            && preset(&inline.provider).is_none()
        {
            return Err(Wrong::Provider(inline.provider.clone()));
        }
        if let Some(invalid) = account::meaningless(leaf) {
            return Err(Wrong::Invalid(invalid));
        }
    }
    Ok(parsed)
}

/// Where a config holds what looks like a credential: those are sealed, and configs are not.
fn credential(value: &Value, place: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            if is_credential(name) && value.as_str().is_some_and(|text| !text.is_empty()) {
                return Some(place);
            }
            credential(value, &place)
        }),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .find_map(|(index, value)| credential(value, &format!("{place}[{index}]"))),
        _ => None,
    }
}

fn is_credential(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let parts = [
        "apikey",
        "secret",
        "password",
        "adtoken",
        "accesstoken",
        "sessiontoken",
        "accesskey",
        "serviceaccountjson",
        "privatekey",
    ];
    name == "authorization" || parts.iter().any(|part| name.contains(part))
}

/// A config without the credentials that an operator may have written into it.
pub(crate) fn redacted(config: &Value) -> Value {
    match config {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let hidden = is_credential(name) && !value.is_null();
                let value = if hidden {
                    Value::from("****")
                } else {
                    redacted(value)
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(redacted).collect()),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_found_wherever_they_stand() {
        for (config, place) in [
            (
                json!({"provider": "openai", "api_key": "sk-x"}),
                "config.api_key",
            ),
            (
                json!({"targets": [{}, {"apiKey": "sk-x"}]}),
                "config.targets[1].apiKey",
            ),
            (json!({"azure_ad_token": "x"}), "config.azure_ad_token"),
            (
                json!({"aws_secret_access_key": "x"}),
                "config.aws_secret_access_key",
            ),
            (
                json!({"override_params": {"authorization": "x"}}),
                "config.override_params.authorization",
            ),
        ] {
            assert_eq!(credential(&config, "config").as_deref(), Some(place));
            assert_eq!(
                credential(&config, "config").is_some(),
                redacted(&config) != config
            );
        }
        for config in [
            json!({"virtual_key": "main", "override_params": {"max_tokens": 5}}),
            json!({"api_key": ""}),
            json!({"retry": {"attempts": 3}}),
        ] {
            assert_eq!(credential(&config, "config"), None, "{config}");
        }
    }
}
