//! `loomgate keys`.

mod create;
mod list;

use std::io::Write;

use clap::{Args, Subcommand};
use loomgate_domain::{Clock as _, key::ApiKey};
use loomgate_store::Store;
use secrecy::ExposeSecret as _;

use super::{ConfigArgs, Failure, open};
use crate::{clock::SystemClock, config::Config, start::new_key};

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print it; it can not be shown again
    Create(create::CreateArgs),
    /// List the keys: their ids and first characters, never the keys
    List(ConfigArgs),
    /// Give a key a new secret and print it; the old one goes on for a while
    Rotate(RotateArgs),
    /// Revoke a key for good
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The id of the key (`key_...`), or its name when only one key has it
    #[arg(value_name = "ID")]
    key: String,
    /// How long the old secret goes on, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    transition: u32,
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
        KeysCommand::Create(args) => create::run(args, out).await,
        KeysCommand::List(args) => list::run(&args.load()?, out).await,
        KeysCommand::Rotate(args) => rotate(&args, out).await,
        KeysCommand::Revoke(args) => revoke(&args.config.load()?, &args.key, out).await,
    }
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

async fn rotate(args: &RotateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (foundation, store) = open(&args.config.load()?)?;
    let key = find(&store, &args.key).await?;
    let secret = new_key(&*foundation.ids);
    let text = secret.expose_secret();
    let (hash, hint) = (foundation.hasher.hex(text), text.chars().take(7).collect());
    let now = SystemClock.now();
    let until = now.plus(args.transition.saturating_mul(60));
    let after = key.rotated(hash, hint, until, now);
    let keys = store.keys();
    let rotated = keys.rotate(&key.workspace, &key, after, None).await?;
    store.close().await;
    if rotated.is_none() {
        return Err(Failure::failed(
            format!("{} ({}) was revoked before", key.id, key.name),
            "`loomgate keys create` makes another",
        ));
    }
    writeln!(out, "api key: {text}")?;
    writeln!(out, "id: {} ({})", key.id, key.name)?;
    writeln!(
        out,
        "It is not shown again. The old one goes on for {} minutes.",
        args.transition
    )?;
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
        (0, _) => Err(Failure::failed(
            format!("there is no key `{wanted}`"),
            "`loomgate keys list` shows them",
        )),
        _ => Err(Failure::failed(
            format!("several keys have the name `{wanted}`"),
            "name it by its id; `loomgate keys list` shows them",
        )),
    }
}
