//! What clients send to save a config, and what a config has to be.

use loomgate_domain::{Patch, WorkspaceId};
use loomgate_gateway::config::{Config, Destination, Overrides};
use serde_json::Value;

use super::super::{fields::Fields, slug};
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// The most bytes of a config.
const LARGEST: usize = 64 * 1024;

/// A config to be saved.
pub(super) struct Creation {
    /// The slug that the client chose.
    pub(super) slug: Option<String>,
    /// A name for people.
    pub(super) name: String,
    /// The config itself, checked.
    pub(super) config: Value,
}

impl Creation {
    /// Reads and checks the whole body, the workspace apart.
    pub(super) fn read(mut body: Fields) -> Result<Self, AdminError> {
        let name = body.needed_text("name", 256)?;
        let slug = slug::chosen(&mut body)?;
        let config = config(&mut body)?.ok_or_else(|| body.missing("config"))?;
        finish(body)?;
        Ok(Self { slug, name, config })
    }
}

/// A change of a config.
pub(super) struct Change {
    /// Its new name.
    pub(super) name: Option<String>,
    /// Its new version, checked.
    pub(super) config: Option<Value>,
}

impl Change {
    /// Reads and checks the whole body, the slug apart.
    pub(super) fn read(mut body: Fields) -> Result<Self, AdminError> {
        let name = body.text("name", 256)?.into_option();
        let config = config(&mut body)?;
        if body
            .text("status", 32)?
            .into_option()
            .is_some_and(|status| status != "active")
        {
            let message = "Every config is 'active' here: delete the one that is not wanted.";
            return Err(body.refuse("status", message));
        }
        finish(body)?;
        Ok(Self { name, config })
    }
}

/// Portkey's default config of a workspace is a default of API keys here.
fn finish(mut body: Fields) -> Result<(), AdminError> {
    for name in ["is_default", "isDefault"] {
        if body.flag(name)? == Patch::Set(true) {
            let message = format!(
                "'{name}' is not known here: name the config in 'defaults.config_id' of an API key."
            );
            return Err(body.refuse(name, message));
        }
    }
    body.finish()
}

/// Takes the config: an object, or its JSON as a text.
fn config(body: &mut Fields) -> Result<Option<Value>, AdminError> {
    let config = match body.value("config") {
        Patch::Absent | Patch::Null => return Ok(None),
        Patch::Set(Value::String(text)) => serde_json::from_str(&text)
            .map_err(|_| body.wrong("config", "an object", "a text that is no JSON"))?,
        Patch::Set(config) => config,
    };
    if !config.is_object() {
        return Err(body.wrong("config", "an object", "something else"));
    }
    if config.to_string().len() > LARGEST {
        return Err(body.wrong("config", format!("at most {LARGEST} bytes"), "more"));
    }
    if let Some(place) = credential(&config, "config") {
        let message = format!(
            "'{place}' looks like a credential, which a saved config can not hold: make a virtual \
             key with it, and name that one by 'virtual_key'."
        );
        return Err(body.refuse("config", message));
    }
    parsed(body, &config)?;
    Ok(Some(config))
}

fn parsed(body: &Fields, config: &Value) -> Result<Config, AdminError> {
    Config::parse(config, &Overrides::default()).map_err(|invalid| {
        let mut message = format!("Invalid 'config': {}", invalid.message);
        for error in &invalid.errors {
            message.push_str("; ");
            message.push_str(error);
        }
        body.refuse("config", message)
    })
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
pub(super) fn redacted(config: &Value) -> Value {
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

/// Errors unless every virtual key that a config names is there.
pub(super) async fn check_virtual_keys(
    app: &App,
    workspace: &WorkspaceId,
    config: &Value,
) -> Result<(), AdminError> {
    let parsed = Config::parse(config, &Overrides::default());
    // It was parsed before.
    let parsed = parsed.map_err(|error| ApiError::internal(&error))?;
    for leaf in parsed.leaves() {
        if let Destination::VirtualKey(slug) = &leaf.destination
            && app.accounts.find(workspace, slug).await?.is_none()
        {
            let message = format!(
                "Invalid 'config': {} names the virtual key '{slug}', which is not there.",
                leaf.path
            );
            return Err(ApiError::invalid(message).param("config").into());
        }
    }
    Ok(())
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
