//! `loomgate virtual-keys update`.

use std::io::Write;

use clap::Args;
use loomgate_domain::{Clock as _, virtual_key::VirtualKey};

use super::{
    super::{Failure, change::ChangeArgs, open, table},
    OneArgs, Sealer, expect_callable, find, show, shown,
};
use crate::{clock::SystemClock, config::Config, http::admin::virtual_keys::Change};

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: &UpdateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.one.config.load()?;
    let fields = args.change.fields()?;
    let (foundation, store) = open(&config)?;
    let before = find(&config, &store, &args.one).await?;
    let change = Change::read(fields, &before, SystemClock.now())?;
    let mut key = change.record;
    expect_address(&config, &before, &key)?;
    if let Some(secret) = change.key {
        Sealer::new(&config, &foundation)?.put(&mut key, &secret.into_inner());
    }
    let virtual_keys = store.virtual_keys();
    let updated = virtual_keys.update(&key.workspace, &before, key.clone());
    if !updated.await? {
        return Err(Failure::contended(&key.slug));
    }
    if change.reset_usage {
        store.counters().reset(&shown::subject(&key)).await?;
    }
    let object = show::object(&store, &key).await?;
    store.close().await;
    table::object(out, &object)?;
    Ok(())
}

/// Errors if it has another address than before, and one that may not be called.
fn expect_address(config: &Config, before: &VirtualKey, key: &VirtualKey) -> Result<(), Failure> {
    match &key.settings.base_url {
        Some(url) if before.settings.base_url.as_ref() != Some(url) => expect_callable(url, config),
        _ => Ok(()),
    }
}
