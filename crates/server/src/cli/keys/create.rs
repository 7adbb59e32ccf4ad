//! `loomgate keys create`.

use std::io::Write;

use clap::Args;
use loomgate_domain::{Scope, Scopes, WorkspaceId, key::KeySettings};
use loomgate_store::Store;
use secrecy::ExposeSecret as _;

use super::super::{ConfigArgs, Failure, expect_workspace, limits::LimitArgs, open};
use crate::{
    config::{Config, ConfigError, scopes, when_locked},
    start::{DEFAULT_WORKSPACE, key_record, marks, new_key},
};

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A name for people
    #[arg(long)]
    name: String,
    /// The workspace whose assistants and threads it opens; made when it is new
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    workspace: String,
    /// The virtual key that its model calls use [default: the configuration's]
    #[arg(long, value_name = "NAME")]
    virtual_key: Option<String>,
    /// The config that says where its model calls go; it goes before the virtual key
    #[arg(long, value_name = "SLUG")]
    config_slug: Option<String>,
    /// What it may do [default: calls, logs and analytics]
    #[arg(long, value_delimiter = ',', value_name = "SCOPES")]
    scopes: Vec<String>,
    /// It may do everything, in all workspaces
    #[arg(long, conflicts_with = "scopes")]
    admin: bool,
    /// What becomes of messages and runs whose thread is locked (docs/locked-threads.md): `fail`,
    /// `wait`, `enqueue` or `cancel_previous`
    #[arg(long, default_value = "fail", value_name = "CHOICE")]
    when_locked: String,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) async fn run(args: CreateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    expect_workspace(&args.workspace)?;
    let settings = args.settings()?;
    let (foundation, store) = open(&config)?;
    marks::expect_hash_key(&foundation, &store).await?;
    let key = new_key(&*foundation.ids);
    let workspace = store.workspaces().ensure(&args.workspace).await?;
    expect_ways(&settings, (&config, &store), &workspace).await?;
    let record = key_record(&foundation, &key, &args.name, workspace, settings);
    let id = record.id.clone();
    store.keys().insert(record, None).await?;
    store.close().await;
    writeln!(out, "api key: {}", key.expose_secret())?;
    writeln!(out, "id: {id} (workspace {})", args.workspace)?;
    writeln!(out, "It is not shown again.")?;
    let has_way = args.virtual_key.is_some() || args.config_slug.is_some();
    if !has_way && config.virtual_keys.default_name().is_none() {
        let known = config.virtual_keys.list();
        writeln!(
            out,
            "Its requests have to name one of several virtual keys: {known}"
        )?;
    }
    Ok(())
}

impl CreateArgs {
    fn settings(&self) -> Result<KeySettings, ConfigError> {
        let scopes = match (self.admin, self.scopes.is_empty()) {
            (true, _) => Scopes::new([Scope::Admin]),
            (false, true) => Scopes::usual(),
            (false, false) => scopes(self.scopes.iter().map(|name| name.trim()), "--scopes")?,
        };
        Ok(KeySettings {
            scopes,
            allowance: self.limits.allowance()?,
            default_virtual_key: self.virtual_key.clone(),
            default_config: self.config_slug.clone(),
            when_locked: when_locked(Some(&self.when_locked), "--when-locked")?,
            ..KeySettings::default()
        })
    }
}

/// Errors unless there are such a virtual key and such a config, in the configuration or in the
/// workspace.
pub(super) async fn expect_ways(
    settings: &KeySettings,
    (config, store): (&Config, &Store),
    workspace: &WorkspaceId,
) -> Result<(), Failure> {
    if let Some(name) = &settings.default_virtual_key
        && config.virtual_keys.get(name).is_none()
        && store.virtual_keys().get(workspace, name).await?.is_none()
    {
        return Err(Failure::misused(
            format!("default virtual key: there is no virtual key `{name}`"),
            format!("known virtual keys: {}", config.virtual_keys.list()),
        ));
    }
    if let Some(slug) = &settings.default_config
        && !config.saved_configs.contains_key(slug)
        && store.configs().get(workspace, slug).await?.is_none()
    {
        return Err(Failure::misused(
            format!("default config: there is no config `{slug}`"),
            "[configs.NAME] of the configuration and POST /v1/configs make them",
        ));
    }
    Ok(())
}
