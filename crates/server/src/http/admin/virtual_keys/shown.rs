//! Virtual keys as answers show them: never with their secrets.

use std::collections::BTreeMap;

use loomgate_domain::{Timestamp, virtual_key::VirtualKey};
use loomgate_gateway::{Api, Provider};
use serde_json::{Map, Value, json};

use super::super::{allowance::Holder, moment};
use crate::{app::App, config::ConfiguredVirtualKey, error::AdminError};

/// Whom the meter counts.
pub(crate) fn subject(key: &VirtualKey) -> String {
    format!("vk:{}/{}", key.workspace, key.slug)
}

/// A stored virtual key.
pub(super) async fn shown(app: &App, key: &VirtualKey) -> Result<Value, AdminError> {
    let mut answer = record(key);
    holder(key).show(app, &mut answer).await?;
    Ok(Value::Object(answer))
}

/// The same without what it may use.
pub(crate) fn record(key: &VirtualKey) -> Map<String, Value> {
    let settings = &key.settings;
    let base_url = settings.base_url.as_deref().map(without_query);
    let mut answer = common(&Common {
        slug: &key.slug,
        name: &key.name,
        provider: &key.provider,
        masked_key: key.masked_key.as_deref(),
        base_url: base_url.as_deref(),
        options: &settings.options,
        model_aliases: &settings.model_aliases,
        assistants_upstream: settings.assistants_upstream,
    });
    let own = json!({
        "note": settings.note,
        "workspace_id": key.workspace,
        "created_at": moment::text(key.created_at),
        "last_updated_at": moment::text(key.updated_at),
        "read_only": false,
    });
    if let Value::Object(own) = own {
        answer.extend(own);
    }
    answer
}

/// Whose limits they are.
pub(crate) fn holder(key: &VirtualKey) -> Holder<'_> {
    let settings = &key.settings;
    Holder {
        subject: subject(key),
        whose: "virtual key",
        allowance: &settings.allowance,
        since: settings.usage_since,
        expires_at: settings.expires_at,
    }
}

/// A virtual key of the configuration file, which is there for every workspace.
pub(super) async fn shown_configured(
    app: &App,
    name: &str,
    key: &ConfiguredVirtualKey,
) -> Result<Value, AdminError> {
    let mut answer = record_of_configured(name, key);
    holder_of_configured(name, key)
        .show(app, &mut answer)
        .await?;
    Ok(Value::Object(answer))
}

/// The same without what it may use.
pub(crate) fn record_of_configured(name: &str, key: &ConfiguredVirtualKey) -> Map<String, Value> {
    let target = &key.target;
    let (base_url, options) = match &target.provider {
        Provider::Echo => (None, BTreeMap::new()),
        Provider::Http(account) => {
            let base_url = without_query(account.base_url.as_str());
            (Some(base_url), options(&account.api))
        }
    };
    let mut answer = common(&Common {
        slug: name,
        name,
        provider: &target.brand,
        masked_key: key.masked_key.as_deref(),
        base_url: base_url.as_deref(),
        options: &options,
        model_aliases: &target.model_aliases,
        assistants_upstream: target.assistants_upstream,
    });
    answer.insert("note".to_owned(), Value::Null);
    answer.insert("workspace_id".to_owned(), Value::Null);
    answer.insert("created_at".to_owned(), Value::Null);
    answer.insert("last_updated_at".to_owned(), Value::Null);
    answer.insert("read_only".to_owned(), Value::Bool(true));
    answer
}

/// Whose limits they are.
pub(crate) fn holder_of_configured<'a>(name: &str, key: &'a ConfiguredVirtualKey) -> Holder<'a> {
    Holder {
        subject: format!("vk:config/{name}"),
        whose: "virtual key",
        allowance: &key.allowance,
        since: Timestamp(0),
        expires_at: key.target.expires_at,
    }
}

/// Some servers take their key in the query.
fn without_query(base_url: &str) -> String {
    let end = base_url.find(['?', '#']).unwrap_or(base_url.len());
    base_url[..end].to_owned()
}

fn options(api: &Api) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    if let Api::Azure {
        deployment,
        api_version,
        ..
    } = api
    {
        let pairs = [
            ("deployment_name", deployment),
            ("api_version", api_version),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                options.insert(name.to_owned(), value.clone());
            }
        }
    }
    options
}

/// What both kinds have.
struct Common<'a> {
    slug: &'a str,
    name: &'a str,
    provider: &'a str,
    masked_key: Option<&'a str>,
    base_url: Option<&'a str>,
    options: &'a BTreeMap<String, String>,
    model_aliases: &'a BTreeMap<String, String>,
    assistants_upstream: bool,
}

fn common(key: &Common<'_>) -> Map<String, Value> {
    let option = |name: &str| key.options.get(name);
    let fields = json!({
        "id": key.slug,
        "slug": key.slug,
        "name": key.name,
        "object": "virtual-key",
        "provider": key.provider,
        "ai_provider_name": key.provider,
        "integration_id": key.provider,
        "masked_api_key": key.masked_key,
        "base_url": key.base_url,
        "model_config": {
            "apiVersion": option("api_version"),
            "resourceName": option("resource_name"),
            "deploymentName": option("deployment_name"),
            "organization": option("organization"),
            "project": option("project"),
        },
        "model_aliases": key.model_aliases,
        "assistants": if key.assistants_upstream { "upstream" } else { "native" },
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
