//! `loomgate migrate`.

use std::io::Write;

use loomgate_store::{Migrated, Options, Sharing, Store};

use super::{ConfigArgs, Failure};
use crate::config::Database;

pub(super) async fn run(args: &ConfigArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.load()?;
    let sharing = match config.database {
        // Its file is migrated by whoever has it.
        Database::Sqlite => Sharing::Alone,
        // A server of the release before may go on meanwhile.
        Database::Postgres(_) => Sharing::Tool,
    };
    let options = Options {
        sharing,
        ..config.database.options(&config.data_dir)
    };
    let store = Store::open(options)?;
    let migrated = store.migrated().to_vec();
    store.close().await;
    for Migrated { name, from, to } in migrated {
        if from == to {
            writeln!(out, "{name}: schema {to}, up to date")?;
        } else {
            writeln!(out, "{name}: schema {from} -> {to}")?;
        }
    }
    Ok(())
}
