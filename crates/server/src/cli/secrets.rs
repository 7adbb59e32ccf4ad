//! `loomgate secrets`: the master keys, and what is sealed with them.
//!
//! A rotation can be killed at any moment: the file holds the old keys and the new one until
//! everything is sealed with the new one, and whatever was left is taken up by the next.

use std::io::Write;

use clap::{Args, Subcommand};
use loomgate_store::{Sharing, Store};
use loomgate_vault::{MasterKeys, Vault};
use secrecy::ExposeSecret as _;

use super::{ConfigArgs, Failure};
use crate::{
    app::sealed_for,
    config::Config,
    data_dir::newest,
    http::idempotency,
    routing::seal_context,
    start::{Foundation, StartError, marks},
};

/// Runs that are sealed anew before the next are read.
const BATCH: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// Make another master key, and seal everything with it
    ///
    /// All servers have to be stopped meanwhile. Where the master keys come from `LOOMGATE_MASTER_KEY`,
    /// add the new one there and use `reseal`.
    Rotate(ConfigArgs),
    /// Seal everything with the newest master key
    Reseal(ConfigArgs),
    /// Go on with other keys than the database was written with, because those are lost
    ///
    /// API keys that were hashed with a lost hash key, and secrets that were sealed with a lost master key,
    /// stay lost: make them anew.
    Adopt(ConfigArgs),
}

pub(super) async fn run(args: SecretsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        SecretsCommand::Rotate(args) => rotate(&args.load()?, out).await,
        SecretsCommand::Reseal(args) => reseal(&args.load()?, out).await,
        SecretsCommand::Adopt(args) => adopt(&args.load()?, out).await,
    }
}

async fn rotate(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    if config.master_key.is_some() {
        return Err(Failure::misused(
            "the master keys come from LOOMGATE_MASTER_KEY, so they are changed there".to_owned(),
            "set it to 1:OLD,2:NEW (the old digits, and 64 new hexadecimal digits), run `loomgate \
             secrets reseal`, and take 1:OLD away",
        ));
    }
    let foundation = Foundation::lay(config)?;
    // No server may have the old keys in its memory.
    let store = foundation.store(Sharing::Alone)?;
    foundation.master_keys(config)?;
    let lock = foundation.lock_master_keys()?;
    let mut keys = foundation.master_keys(config)?;
    let version = keys.rotate(&mut |bytes| foundation.ids.fill(bytes));
    let left = only_newest(&keys)?;
    foundation.keep_master_keys(&keys, &lock)?;
    let resealed = seal_all(&store, &Vault::new(keys), &foundation).await?;
    store.close().await;
    foundation.keep_master_keys(&left, &lock)?;
    writeln!(out, "master key: version {version}")?;
    told(&resealed, out)?;
    writeln!(
        out,
        "The versions before are gone: a backup of the database from before needs a backup of \
         the master key from before."
    )?;
    Ok(())
}

async fn reseal(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let foundation = Foundation::lay(config)?;
    let store = foundation.store(Sharing::Alone)?;
    foundation.master_keys(config)?;
    let _lock = foundation.lock_master_keys()?;
    let vault = Vault::new(foundation.master_keys(config)?);
    let resealed = seal_all(&store, &vault, &foundation).await?;
    store.close().await;
    writeln!(out, "master key: version {}", vault.current_version())?;
    told(&resealed, out)
}

async fn adopt(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let foundation = Foundation::lay(config)?;
    let store = foundation.store(Sharing::Alone)?;
    let vault = Vault::new(foundation.master_keys(config)?);
    marks::adopt(&foundation, &store, &vault).await?;
    store.close().await;
    writeln!(
        out,
        "The hash key and the master key of this process are the database's now."
    )?;
    Ok(())
}

fn only_newest(keys: &MasterKeys) -> Result<MasterKeys, StartError> {
    newest(keys).map_err(|error| StartError::System(std::io::Error::other(error)))
}

fn told(resealed: &Resealed, out: &mut dyn Write) -> Result<(), Failure> {
    let Resealed {
        virtual_keys,
        runs,
        answers,
    } = resealed;
    writeln!(
        out,
        "sealed anew: {virtual_keys} virtual keys, {runs} runs, {answers} answers"
    )?;
    Ok(())
}

/// How much was sealed anew.
#[derive(Debug, Default, PartialEq, Eq)]
struct Resealed {
    virtual_keys: usize,
    runs: usize,
    /// Of creations under an `Idempotency-Key`.
    answers: usize,
}

/// Seals with the newest key whatever is not. Nobody else writes meanwhile.
async fn seal_all(
    store: &Store,
    vault: &Vault,
    foundation: &Foundation,
) -> Result<Resealed, Failure> {
    let mut resealed = Resealed::default();
    marks::reseal(foundation, store, vault).await?;
    for key in store.virtual_keys().all().await? {
        let Some(old) = key.sealed_key.filter(|sealed| !vault.is_current(sealed)) else {
            continue;
        };
        let what = format!("the virtual key `{}` of {}", key.slug, key.workspace);
        let context = seal_context(&key.workspace, &key.slug);
        let new = again(vault, foundation, (&context, &old), &what)?;
        let keys = store.virtual_keys();
        keys.reseal(&key.workspace, &key.slug, &old, &new).await?;
        resealed.virtual_keys += 1;
    }
    let start = format!("v{}:", vault.current_version());
    loop {
        let batch = store.runs().sealed_otherwise(&start, BATCH).await?;
        if batch.is_empty() {
            break;
        }
        for (workspace, run, old) in batch {
            let what = format!("what came with the run {run}");
            let new = again(vault, foundation, (&sealed_for(&workspace), &old), &what)?;
            store.runs().reseal(&workspace, &run, &old, &new).await?;
            resealed.runs += 1;
        }
    }
    resealed.answers = seal_answers(store, vault, foundation, &start).await?;
    Ok(resealed)
}

/// The same of the answers to creations that may be asked for again. Returns how many.
async fn seal_answers(
    store: &Store,
    vault: &Vault,
    foundation: &Foundation,
    start: &str,
) -> Result<usize, Failure> {
    let receipts = store.receipts();
    let (mut resealed, mut last) = (0, None);
    loop {
        let batch = receipts
            .sealed_otherwise(start, last.as_ref(), BATCH)
            .await?;
        let Some(end) = batch.last() else {
            return Ok(resealed);
        };
        last = Some(end.clone());
        for receipt in batch {
            let context = idempotency::sealed_for(&receipt.workspace, &receipt.key);
            // One that was sealed with a lost key is lost with or without this, and expires within a
            // day: that is no reason to keep a master key.
            let Ok(secret) = vault.open(&context, &receipt.sealed) else {
                continue;
            };
            let mut random = |bytes: &mut [u8]| foundation.ids.fill(bytes);
            let new = vault.seal(&context, secret.expose_secret(), &mut random);
            receipts.reseal(receipt, new).await?;
            resealed += 1;
        }
    }
}

fn again(
    vault: &Vault,
    foundation: &Foundation,
    (context, old): (&str, &str),
    what: &str,
) -> Result<String, Failure> {
    let secret = vault.open(context, old).map_err(|error| {
        Failure::failed(
            format!("{what} can not be opened: {error}"),
            "nothing is lost: the old keys stay. A virtual key is mended by `loomgate \
             virtual-keys rotate-key` or deleted, a run by its expiry; then rotate again",
        )
    })?;
    let mut random = |bytes: &mut [u8]| foundation.ids.fill(bytes);
    Ok(vault.seal(context, secret.expose_secret(), &mut random))
}
