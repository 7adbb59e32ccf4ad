//! `loomgate keys list`.

use std::io::Write;

use loomgate_domain::{
    Scope, Scopes,
    key::{ApiKey, KeySettings},
};
use loomgate_store::Store;

use super::{
    super::{Failure, limits, open, table},
    shown,
};
use crate::config::{Config, ConfiguredKey, allowance};

const HEAD: [&str; 9] = [
    "ID",
    "NAME",
    "WORKSPACE",
    "DEFAULT",
    "SCOPES",
    "LIMITS",
    "KEY",
    "MADE",
    "STATE",
];

pub(super) async fn run(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, store) = open(config)?;
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(config.api_keys.iter().map(of_config));
    for key in store.keys().list(None).await? {
        rows.push(of_store(&store, &key).await?);
    }
    store.close().await;
    table::write(out, &rows)?;
    Ok(())
}

fn of_config(key: &ConfiguredKey) -> [String; 9] {
    let settings = &key.settings;
    [
        "-".to_owned(),
        key.name.clone(),
        key.workspace.clone(),
        default_way(settings),
        scopes(&settings.scopes),
        allowance::words(&settings.allowance),
        "-".to_owned(),
        "-".to_owned(),
        "in the config".to_owned(),
    ]
}

async fn of_store(store: &Store, key: &ApiKey) -> Result<[String; 9], Failure> {
    let settings = &key.settings;
    let state = if let Some(at) = key.revoked_at {
        format!("revoked {}", table::moment(at))
    } else {
        limits::state(store, &shown::holder(&key.id, settings)).await?
    };
    Ok([
        key.id.to_string(),
        key.name.clone(),
        table::workspace(&key.workspace),
        default_way(settings),
        scopes(&settings.scopes),
        allowance::words(&settings.allowance),
        format!("{}...", key.hint),
        table::moment(key.created_at),
        state,
    ])
}

/// Where its model calls go when a request says nothing.
fn default_way(settings: &KeySettings) -> String {
    match (&settings.default_config, &settings.default_virtual_key) {
        (Some(config), _) => format!("config {config}"),
        (None, virtual_key) => table::or_dash(virtual_key.as_deref()),
    }
}

fn scopes(scopes: &Scopes) -> String {
    if scopes.allow(Scope::Admin) {
        return Scope::Admin.as_str().to_owned();
    }
    if *scopes == Scopes::usual() {
        return "usual".to_owned();
    }
    let names: Vec<_> = scopes.iter().map(Scope::as_str).collect();
    names.join(",")
}
