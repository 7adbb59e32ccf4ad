//! `loomgate keys`.

mod create;
mod list;
mod show;
mod update;

use std::io::Write;

use clap::{Args, Subcommand};
use loomgate_domain::{Clock as _, key::ApiKey};
use loomgate_store::Store;
use secrecy::ExposeSecret as _;

use super::{ConfigArgs, Failure, open};
use crate::{
    clock::SystemClock,
    config::{Config, ConfiguredKey},
    http::admin::api_keys::shown,
    start::new_key,
};

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
    /// Print everything about one but the key itself, as JSON
    Show(OneArgs),
    /// Change a key: its name, scopes, limits, defaults; also begin its budget anew
    Update(update::UpdateArgs),
    /// Give a key a new secret and print it; the old one goes on for a while
    Rotate(RotateArgs),
    /// Revoke a key for good
    Revoke(OneArgs),
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The id of the key (`key_...`), or its name when only one key has it
    #[arg(value_name = "ID")]
    key: String,
}

#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How long the old secret goes on, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    transition: u32,
}

pub(super) async fn run(args: KeysArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Create(args) => create::run(args, out).await,
        KeysCommand::List(args) => list::run(&args.load()?, out).await,
        KeysCommand::Show(args) => show::run(&args, out).await,
        KeysCommand::Update(args) => update::run(&args, out).await,
        KeysCommand::Rotate(args) => rotate(&args, out).await,
        KeysCommand::Revoke(args) => revoke(&args, out).await,
    }
}

async fn revoke(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let (_, store) = open(&config)?;
    let key = find(&config, &store, &args.key).await?;
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
    let config = args.one.config.load()?;
    let (foundation, store) = open(&config)?;
    let key = find(&config, &store, &args.one.key).await?;
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
        return Err(revoked(&key));
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

/// A key of the store.
async fn find(config: &Config, store: &Store, wanted: &str) -> Result<ApiKey, Failure> {
    let keys = store.keys().list(None).await?;
    let mut found: Vec<_> = keys
        .into_iter()
        .filter(|key| key.id.as_str() == wanted || key.name == wanted)
        .collect();
    match (found.len(), found.pop()) {
        (1, Some(key)) => Ok(key),
        (0, _) if configured(config, wanted).is_some() => Err(Failure::misused(
            format!("the key `{wanted}` stands in the configuration"),
            "it is changed there",
        )),
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

/// A key of the configuration.
fn configured<'a>(config: &'a Config, wanted: &str) -> Option<&'a ConfiguredKey> {
    let mut keys = config.api_keys.iter();
    keys.find(|key| key.name == wanted || key.id().as_str() == wanted)
}

fn revoked(key: &ApiKey) -> Failure {
    Failure::failed(
        format!("{} ({}) was revoked before", key.id, key.name),
        "`loomgate keys create` makes another",
    )
}
