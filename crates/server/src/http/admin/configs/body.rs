//! What clients send to save a config, and what a config has to be.

use loomgate_domain::{Patch, WorkspaceId};
use loomgate_gateway::config::{Config, Destination, Overrides};
use serde_json::Value;

use super::super::{fields::Fields, slug};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    saved_config,
};

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
    match saved_config::check(&config) {
        Ok(_) => Ok(Some(config)),
        Err(wrong) => Err(body.refuse("config", wrong.to_string())),
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
