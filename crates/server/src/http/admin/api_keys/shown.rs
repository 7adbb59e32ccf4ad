//! API keys as answers show them: by their first characters.

use loomgate_domain::{
    ApiKeyId, Timestamp, WorkspaceId,
    key::{ApiKey, KeySettings},
};
use serde_json::{Map, Value, json};

use super::{
    super::{allowance::Holder, moment},
    kind::{Kind, USER},
};
use crate::{app::App, auth::KeyRecord, config::ConfiguredKey, error::AdminError};

/// Whom the meter counts.
pub(crate) fn subject(id: &ApiKeyId) -> String {
    format!("key:{id}")
}

/// A key of the store.
pub(super) async fn shown(app: &App, key: &ApiKey) -> Result<Value, AdminError> {
    let mut answer = record(key, app.clock.now());
    holder(&key.id, &key.settings)
        .show(app, &mut answer)
        .await?;
    Ok(Value::Object(answer))
}

/// The same without what it may use.
pub(crate) fn record(key: &ApiKey, now: Timestamp) -> Map<String, Value> {
    let mut answer = common(&key.id, &key.workspace, &key.settings);
    answer.insert("name".to_owned(), json!(key.name));
    answer.insert("key".to_owned(), json!(format!("{}...", key.hint)));
    let times = [
        ("created_at", key.created_at),
        ("last_updated_at", key.updated_at),
    ];
    for (name, time) in times {
        answer.insert(name.to_owned(), json!(moment::text(time)));
    }
    let previous = key
        .previous
        .as_ref()
        .filter(|previous| now < previous.until);
    let until: Option<Timestamp> = previous.map(|previous| previous.until);
    let until = json!(until.map(moment::text));
    answer.insert("key_transition_expires_at".to_owned(), until);
    answer.insert("read_only".to_owned(), Value::Bool(false));
    answer
}

/// A key of the configuration file.
pub(super) async fn shown_configured(app: &App, key: &KeyRecord) -> Result<Value, AdminError> {
    let mut answer = record_of_configured(&key.id, &key.workspace, &key.settings);
    holder(&key.id, &key.settings)
        .show(app, &mut answer)
        .await?;
    Ok(Value::Object(answer))
}

/// The same without what it may use.
pub(crate) fn record_of_configured(
    id: &ApiKeyId,
    workspace: &WorkspaceId,
    settings: &KeySettings,
) -> Map<String, Value> {
    let mut answer = common(id, workspace, settings);
    let id = id.as_str();
    let name = id.strip_prefix(ConfiguredKey::ID_PREFIX).unwrap_or(id);
    answer.insert("name".to_owned(), json!(name));
    for absent in [
        "key",
        "created_at",
        "last_updated_at",
        "key_transition_expires_at",
    ] {
        answer.insert(absent.to_owned(), Value::Null);
    }
    answer.insert("read_only".to_owned(), Value::Bool(true));
    answer
}

/// Whose limits they are.
pub(crate) fn holder<'a>(id: &ApiKeyId, settings: &'a KeySettings) -> Holder<'a> {
    Holder {
        subject: subject(id),
        whose: "API key",
        allowance: &settings.allowance,
        since: settings.usage_since,
        expires_at: settings.expires_at,
    }
}

fn common(id: &ApiKeyId, workspace: &WorkspaceId, settings: &KeySettings) -> Map<String, Value> {
    let fields = json!({
        "id": id,
        "object": "api-key",
        "type": Kind::of(settings).as_str(),
        "description": settings.description,
        "workspace_id": workspace,
        "organisation_id": null,
        "user_id": settings.metadata.get(USER),
        "scopes": settings.scopes,
        "defaults": {
            "metadata": settings.metadata,
            "config_id": settings.default_config,
            "virtual_key": settings.default_virtual_key,
            "allow_config_override": settings.allow_config_override,
            "when_locked": settings.when_locked,
        },
        "alert_emails": settings.alert_emails,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
