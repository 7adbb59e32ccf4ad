//! `loomgate keys`.

use std::{fmt::Write as _, io::Write};

use clap::{Args, Subcommand};
use loomgate_domain::{
    Clock as _, Timestamp,
    key::{ApiKey, KeySettings},
};
use loomgate_store::Store;
use secrecy::ExposeSecret as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{ConfigArgs, Failure};
use crate::{
    clock::SystemClock,
    config::{Config, ConfigError, is_workspace},
    start::{DEFAULT_WORKSPACE, Foundation, key_record, new_key},
};

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print it; it can not be shown again
    Create(CreateArgs),
    /// List the keys: their ids and first characters, never the keys
    List(ConfigArgs),
    /// Revoke a key for good
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
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
}

#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The id of the key (`key_...`), or its name when only one key has it
    #[arg(value_name = "ID")]
    key: String,
}

pub(super) async fn run(args: KeysArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Create(args) => create(args, out).await,
        KeysCommand::List(args) => list(&args.load()?, out).await,
        KeysCommand::Revoke(args) => revoke(&args.config.load()?, &args.key, out).await,
    }
}

async fn create(args: CreateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    check(&args, &config)?;
    let (foundation, store) = open(&config)?;
    let key = new_key(&*foundation.ids);
    let workspace = store.workspaces().ensure(&args.workspace).await?;
    let settings = KeySettings {
        default_virtual_key: args.virtual_key,
        ..KeySettings::default()
    };
    let record = key_record(&foundation, &key, &args.name, workspace, settings);
    let id = record.id.clone();
    store.keys().insert(record).await?;
    store.close().await;
    writeln!(out, "api key: {}", key.expose_secret())?;
    writeln!(out, "id: {id} (workspace {})", args.workspace)?;
    writeln!(out, "It is not shown again.")?;
    Ok(())
}

fn check(args: &CreateArgs, config: &Config) -> Result<(), ConfigError> {
    let error = |message: String, help: String| ConfigError {
        message,
        help: Some(help),
    };
    let known = &config.virtual_keys;
    match &args.virtual_key {
        Some(name) if known.get(name).is_none() => Err(error(
            format!("--virtual-key: there is no virtual key `{name}`"),
            format!("known virtual keys: {}", known.list()),
        )),
        None if known.default_name().is_none() => Err(error(
            "several virtual keys are configured, and none is the default".to_owned(),
            format!("choose one with --virtual-key: {}", known.list()),
        )),
        _ if !is_workspace(&args.workspace) => Err(error(
            "--workspace: a name has 1 to 64 characters".to_owned(),
            "out of letters, digits, `-` and `_`".to_owned(),
        )),
        _ => Ok(()),
    }
}

async fn list(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, store) = open(config)?;
    let keys = store.keys().list(None).await?;
    store.close().await;
    let mut rows = vec![
        [
            "ID",
            "NAME",
            "WORKSPACE",
            "VIRTUAL KEY",
            "KEY",
            "MADE",
            "STATE",
        ]
        .map(str::to_owned),
    ];
    for key in &config.api_keys {
        let virtual_key = key.settings.default_virtual_key.clone().unwrap_or_default();
        let [name, workspace] = [&key.name, &key.workspace].map(Clone::clone);
        let [id, hint, made] = ["-", "-", "-"].map(str::to_owned);
        rows.push([
            id,
            name,
            workspace,
            virtual_key,
            hint,
            made,
            "in the config".to_owned(),
        ]);
    }
    rows.extend(keys.iter().map(row));
    write_table(out, &rows)?;
    Ok(())
}

fn row(key: &ApiKey) -> [String; 7] {
    let workspace = key.workspace.as_str();
    let state = match key.revoked_at {
        Some(at) => format!("revoked {}", day(at)),
        None => "valid".to_owned(),
    };
    [
        key.id.to_string(),
        key.name.clone(),
        workspace
            .strip_prefix("ws_")
            .unwrap_or(workspace)
            .to_owned(),
        key.settings
            .default_virtual_key
            .clone()
            .unwrap_or_else(|| "-".to_owned()),
        format!("{}...", key.hint),
        day(key.created_at),
        state,
    ]
}

async fn revoke(config: &Config, wanted: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, store) = open(config)?;
    let key = find(&store, wanted).await?;
    let revoked = store.keys().revoke(&key.id, SystemClock.now()).await?;
    store.close().await;
    if revoked {
        writeln!(out, "{} ({}) is revoked.", key.id, key.name)?;
    } else {
        writeln!(out, "{} ({}) was revoked before.", key.id, key.name)?;
    }
    Ok(())
}

async fn find(store: &Store, wanted: &str) -> Result<ApiKey, Failure> {
    let keys = store.keys().list(None).await?;
    let mut found: Vec<_> = keys
        .into_iter()
        .filter(|key| key.id.as_str() == wanted || key.name == wanted)
        .collect();
    match (found.len(), found.pop()) {
        (1, Some(key)) => Ok(key),
        (0, _) => Err(Failure {
            message: format!("there is no key `{wanted}`"),
            help: Some("`loomgate keys list` shows them".to_owned()),
            code: 1,
        }),
        _ => Err(Failure {
            message: format!("several keys have the name `{wanted}`"),
            help: Some("name it by its id; `loomgate keys list` shows them".to_owned()),
            code: 1,
        }),
    }
}

/// A server may be using the same data folder at this moment.
fn open(config: &Config) -> Result<(Foundation, Store), Failure> {
    let foundation = Foundation::lay(config)?;
    let store = foundation.store(false)?;
    Ok((foundation, store))
}

/// `2026-01-31T12:00:00Z`
fn day(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}

fn write_table(out: &mut dyn Write, rows: &[[String; 7]]) -> std::io::Result<()> {
    let mut widths = [0; 7];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string can not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
