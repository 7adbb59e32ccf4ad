//! `loomgate keys update`.

use std::io::Write;

use clap::Args;
use loomgate_domain::{
    Clock as _,
    key::{ApiKey, KeySettings},
};

use super::{
    super::{Failure, change::ChangeArgs, open, table},
    OneArgs,
    create::expect_ways,
    find, revoked, show, shown,
};
use crate::{clock::SystemClock, http::admin::api_keys::Change};

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
    let (_, store) = open(&config)?;
    let before = find(&config, &store, &args.one.key).await?;
    if before.revoked_at.is_some() {
        return Err(revoked(&before));
    }
    let change = Change::read(fields, &before, SystemClock.now())?;
    let ways = new_ways(&before.settings, &change.settings);
    expect_ways(&ways, (&config, &store), &before.workspace).await?;
    let after = ApiKey {
        name: change.name,
        settings: change.settings,
        updated_at: SystemClock.now(),
        ..before.clone()
    };
    let keys = store.keys();
    let Some(key) = keys.update(&before.workspace, &before, after).await? else {
        return Err(Failure::contended(before.id.as_str()));
    };
    if change.reset_usage {
        store.counters().reset(&shown::subject(&key.id)).await?;
    }
    let object = show::object(&store, &key).await?;
    store.close().await;
    table::object(out, &object)?;
    Ok(())
}

/// The defaults that were not so before: those that were may lead nowhere meanwhile.
fn new_ways(before: &KeySettings, after: &KeySettings) -> KeySettings {
    let new =
        |before: &Option<String>, after: &Option<String>| after.clone().filter(|_| before != after);
    KeySettings {
        default_virtual_key: new(&before.default_virtual_key, &after.default_virtual_key),
        default_config: new(&before.default_config, &after.default_config),
        ..KeySettings::default()
    }
}
