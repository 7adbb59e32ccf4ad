//! `loomgate virtual-keys`: those of the store, each for one workspace.

mod create;
mod list;
mod secret;
mod show;
mod update;

use std::io::Write;

use clap::{Args, Subcommand};
use loomgate_domain::{Clock as _, virtual_key::VirtualKey};
use loomgate_gateway::egress::check_url;
use loomgate_store::Store;
use loomgate_vault::Vault;
use secrecy::{ExposeSecret as _, SecretString};

use self::secret::SecretArgs;
use super::{ConfigArgs, Failure, open};
use crate::{
    account,
    clock::SystemClock,
    config::Config,
    data_dir::MasterKeyLock,
    http::admin::virtual_keys::shown,
    routing::seal_context,
    start::{DEFAULT_WORKSPACE, Foundation, StartError},
};

#[derive(Debug, Args)]
pub(super) struct VirtualKeysArgs {
    #[command(subcommand)]
    command: VirtualKeysCommand,
}

#[derive(Debug, Subcommand)]
enum VirtualKeysCommand {
    /// Keep a provider's key, sealed, under a slug
    Create(create::CreateArgs),
    /// List them: never their secrets
    List(ConfigArgs),
    /// Print everything about one but its secret, as JSON
    Show(OneArgs),
    /// Change one: its name, address, model aliases, limits; also begin its budget anew
    Update(update::UpdateArgs),
    /// Delete one, and its provider's key with it
    Delete(OneArgs),
    /// Give one another key of its provider
    RotateKey(RotateArgs),
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What callers name it by
    slug: String,
    /// The workspace that it belongs to
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    workspace: String,
}

#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    secret: SecretArgs,
}

pub(super) async fn run(args: VirtualKeysArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        VirtualKeysCommand::Create(args) => create::run(args, out).await,
        VirtualKeysCommand::List(args) => list::run(&args.load()?, out).await,
        VirtualKeysCommand::Show(args) => show::run(&args, out).await,
        VirtualKeysCommand::Update(args) => update::run(&args, out).await,
        VirtualKeysCommand::Delete(args) => delete(&args, out).await,
        VirtualKeysCommand::RotateKey(args) => rotate_key(&args, out).await,
    }
}

async fn delete(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let (_, store) = open(&config)?;
    let key = find(&config, &store, args).await?;
    store
        .virtual_keys()
        .delete(&key.workspace, &key.slug)
        .await?;
    // One that is made under the same slug later begins anew.
    store.counters().reset(&shown::subject(&key)).await?;
    store.close().await;
    writeln!(
        out,
        "{} (workspace {}) is deleted.",
        key.slug, args.workspace
    )?;
    Ok(())
}

async fn rotate_key(args: &RotateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.one.config.load()?;
    let (foundation, store) = open(&config)?;
    let before = find(&config, &store, &args.one).await?;
    let mut key = before.clone();
    if key.provider == account::ECHO {
        return Err(Failure::misused(
            format!("`{}` is the built-in provider, which has no key", key.slug),
            "nothing is to be done",
        ));
    }
    let Some(secret) = args.secret.read()? else {
        return Err(Failure::misused(
            "there is no new key".to_owned(),
            "--key-env NAME or --key-stdin says where it is",
        ));
    };
    let sealer = Sealer::new(&config, &foundation)?;
    sealer.put(&mut key, &secret);
    key.updated_at = SystemClock.now();
    let workspace = key.workspace.clone();
    let masked = key.masked_key.clone().unwrap_or_default();
    let slug = key.slug.clone();
    let updated = store
        .virtual_keys()
        .update(&workspace, &before, key)
        .await?;
    store.close().await;
    if updated {
        writeln!(out, "{slug} has the key {masked} now.")?;
        Ok(())
    } else {
        Err(Failure::contended(&slug))
    }
}

async fn find(config: &Config, store: &Store, args: &OneArgs) -> Result<VirtualKey, Failure> {
    if config.virtual_keys.get(&args.slug).is_some() {
        return Err(Failure::misused(
            format!(
                "the virtual key `{}` stands in the configuration",
                args.slug
            ),
            "it is changed there",
        ));
    }
    let workspace = format!("ws_{}", args.workspace);
    let all = store.virtual_keys().all().await?;
    let mut all = all.into_iter();
    let found = all.find(|key| key.slug == args.slug && key.workspace.as_str() == workspace);
    found.ok_or_else(|| no_such(&args.slug, &args.workspace))
}

fn no_such(slug: &str, workspace: &str) -> Failure {
    Failure::failed(
        format!("there is no virtual key `{slug}` in the workspace `{workspace}`"),
        "`loomgate virtual-keys list` shows them",
    )
}

/// Errors unless callers may name this address.
fn expect_callable(url: &str, config: &Config) -> Result<(), Failure> {
    let checked = check_url(url, &config.gateway.exceptions);
    checked.map(|_| ()).map_err(|invalid| {
        Failure::misused(
            format!("the address can not be called: {}", invalid.reason()),
            "name it in [egress] allow, or put the virtual key into the configuration, whose \
             addresses are trusted",
        )
    })
}

/// Seals with the master keys; nobody changes them meanwhile.
struct Sealer<'a> {
    vault: Vault,
    foundation: &'a Foundation,
    _lock: MasterKeyLock,
}

impl<'a> Sealer<'a> {
    fn new(config: &Config, foundation: &'a Foundation) -> Result<Self, StartError> {
        // Makes them where there are none yet, which takes the lock by itself.
        foundation.master_keys(config)?;
        let lock = foundation.lock_master_keys()?;
        Ok(Self {
            vault: Vault::new(foundation.master_keys(config)?),
            foundation,
            _lock: lock,
        })
    }

    /// Puts a provider's secret into a virtual key.
    fn put(&self, key: &mut VirtualKey, secret: &SecretString) {
        let context = seal_context(&key.workspace, &key.slug);
        let secret = secret.expose_secret();
        let mut random = |bytes: &mut [u8]| self.foundation.ids.fill(bytes);
        key.sealed_key = Some(self.vault.seal(&context, secret, &mut random));
        key.masked_key = Some(account::masked(secret));
    }
}
