//! `loomgate configs`: the routing configs of the store, each for one workspace.

use std::{
    io::{Read as _, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use loomgate_domain::{
    Clock as _, WorkspaceId, config::SavedConfig, id::ConfigVersionKind, id::new_id,
};
use loomgate_gateway::config::{Config as RoutingConfig, Destination};
use loomgate_store::Store;
use serde_json::Value;

use super::{ConfigArgs, Failure, expect_workspace, open, table};
use crate::{
    clock::SystemClock,
    config::{Config, is_name},
    saved_config,
    start::DEFAULT_WORKSPACE,
};

#[derive(Debug, Args)]
pub(super) struct ConfigsArgs {
    #[command(subcommand)]
    command: ConfigsCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigsCommand {
    /// Save a config under a slug; one that is there gets a new version
    Save(SaveArgs),
    /// List them
    List(ConfigArgs),
    /// Print the JSON of one
    Show(OneArgs),
    /// Delete one, with all its versions
    Delete(OneArgs),
}

#[derive(Debug, Args)]
struct SaveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The file with the JSON; `-` reads the standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// A name for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What callers name it by, in `x-portkey-config`
    slug: String,
    /// The workspace that it belongs to
    #[arg(long, default_value = DEFAULT_WORKSPACE)]
    workspace: String,
}

pub(super) async fn run(args: ConfigsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        ConfigsCommand::Save(args) => save(&args, out).await,
        ConfigsCommand::List(args) => list(&args.load()?, out).await,
        ConfigsCommand::Show(args) => show(&args, out).await,
        ConfigsCommand::Delete(args) => delete(&args, out).await,
    }
}

async fn save(args: &SaveArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.one.config.load()?;
    refuse_configured(&config, &args.one.slug)?;
    expect_workspace(&args.one.workspace)?;
    if !is_name(&args.one.slug) {
        return Err(Failure::misused(
            format!("`{}` is no slug", args.one.slug),
            "a slug has 1 to 64 letters, digits, `-`, `_` and `.`",
        ));
    }
    let routing = read(&args.file)?;
    let checked = saved_config::check(&routing).map_err(|wrong| {
        Failure::misused(
            wrong.to_string(),
            "docs/gateway.md shows what a config may say",
        )
    })?;
    let (foundation, store) = open(&config)?;
    expect_virtual_keys(&checked, (&config, &store), &workspace(&args.one)).await?;
    let workspace = store.workspaces().ensure(&args.one.workspace).await?;
    let version = new_id::<ConfigVersionKind>(&*foundation.ids);
    let now = SystemClock.now();
    let slug = &args.one.slug;
    let name = args.name.clone();
    let configs = store.configs();
    let changed = configs
        .update(
            &workspace,
            slug,
            name.clone(),
            Some((version.clone(), routing.clone())),
            now,
        )
        .await?;
    if changed.is_none() {
        let made = SavedConfig {
            workspace,
            slug: slug.clone(),
            name: name.unwrap_or_else(|| slug.clone()),
            version: version.clone(),
            config: routing,
            created_at: now,
            updated_at: now,
        };
        configs.insert(made, None).await?;
    }
    store.close().await;
    let workspace = &args.one.workspace;
    writeln!(out, "config: {slug} (workspace {workspace})")?;
    writeln!(out, "version: {version}")?;
    Ok(())
}

/// Errors unless every virtual key that it names is there, in the configuration or in the workspace.
async fn expect_virtual_keys(
    routing: &RoutingConfig,
    (config, store): (&Config, &Store),
    workspace: &WorkspaceId,
) -> Result<(), Failure> {
    for leaf in routing.leaves() {
        if let Destination::VirtualKey(slug) = &leaf.destination
            && config.virtual_keys.get(slug).is_none()
            && store.virtual_keys().get(workspace, slug).await?.is_none()
        {
            return Err(Failure::misused(
                format!(
                    "{} names the virtual key `{slug}`, which is not there",
                    leaf.path
                ),
                "`loomgate virtual-keys create` makes it",
            ));
        }
    }
    Ok(())
}

async fn list(config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, store) = open(config)?;
    let mut rows = vec![["SLUG", "WORKSPACE", "NAME", "VERSION"].map(str::to_owned)];
    for (slug, _) in config.saved_configs.iter() {
        let [name, version] = [slug.as_str(), "in the config"].map(str::to_owned);
        rows.push([slug.clone(), "(all)".to_owned(), name, version]);
    }
    for workspace in store.workspaces().list().await? {
        for config in store.configs().list(&workspace).await? {
            let version = config.version.to_string();
            rows.push([
                config.slug,
                table::workspace(&workspace),
                config.name,
                version,
            ]);
        }
    }
    store.close().await;
    table::write(out, &rows)?;
    Ok(())
}

async fn show(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let found = if let Some(config) = config.saved_configs.get(&args.slug) {
        saved_config::redacted(config)
    } else {
        let (_, store) = open(&config)?;
        let found = store.configs().get(&workspace(args), &args.slug).await?;
        store.close().await;
        found.ok_or_else(|| no_such(args))?.config
    };
    table::object(out, &found)?;
    Ok(())
}

async fn delete(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    refuse_configured(&config, &args.slug)?;
    let (_, store) = open(&config)?;
    let deleted = store.configs().delete(&workspace(args), &args.slug).await?;
    store.close().await;
    if !deleted {
        return Err(no_such(args));
    }
    writeln!(
        out,
        "{} (workspace {}) is deleted.",
        args.slug, args.workspace
    )?;
    Ok(())
}

fn workspace(args: &OneArgs) -> WorkspaceId {
    WorkspaceId::trusted(format!("ws_{}", args.workspace))
}

fn read(file: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|error| {
        Failure::misused(
            format!("cannot read {}: {error}", file.display()),
            "--file names a file with the config's JSON; `-` reads the standard input",
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::misused(
            format!("{}: no JSON: {error}", file.display()),
            "docs/gateway.md shows what a config may say",
        )
    })
}

fn refuse_configured(config: &Config, slug: &str) -> Result<(), Failure> {
    if config.saved_configs.contains_key(slug) {
        return Err(Failure::misused(
            format!("the config `{slug}` stands in the configuration"),
            "it is changed there",
        ));
    }
    Ok(())
}

fn no_such(args: &OneArgs) -> Failure {
    Failure::failed(
        format!(
            "there is no config `{}` in the workspace `{}`",
            args.slug, args.workspace
        ),
        "`loomgate configs list` shows them",
    )
}
