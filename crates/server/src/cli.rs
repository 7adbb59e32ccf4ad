//! The command line.

mod backup;
mod change;
mod check;
mod configs;
mod copy;
mod keys;
mod limits;
mod migrate;
mod progress;
mod secrets;
mod table;
mod virtual_keys;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use loomgate_store::{Sharing, Store};

use crate::{
    config::{self, Config, ConfigError, Environment, Flags, Role, Sources, is_workspace},
    demo, serve,
    start::{Foundation, StartError},
};

/// An OpenAI Assistants API v2 server of your own.
#[derive(Debug, Parser)]
#[command(name = "loomgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    ///
    /// Needs no configuration: without one it listens on 127.0.0.1:8787, keeps its data in
    /// ./loomgate-data, makes an API key at the first start and prints it. Model calls go to
    /// OpenAI, Anthropic, Google or Ollama where `OPENAI_API_KEY`, `ANTHROPIC_API_KEY`,
    /// `GEMINI_API_KEY` or `OLLAMA_HOST` is set, and otherwise to the built-in model `echo`.
    ///
    /// The first line on stdout is `loomgate listening on http://ADDRESS`, once requests are
    /// served. Logs go to stderr. SIGTERM or Ctrl-C ends it in good order; a second one at once.
    Serve(ServeArgs),
    /// Say whether a configuration is valid, without starting anything
    CheckConfig(check::CheckArgs),
    /// Make, list, show, change and revoke API keys
    ///
    /// Works on the database in the data folder, also while a server runs on it: a new key works
    /// at once, a revoked one stops working within five seconds. Keys that stand in the
    /// configuration are changed there.
    Keys(keys::KeysArgs),
    /// Keep providers' keys for workspaces
    ///
    /// Works on the database in the data folder, also while a server runs on it, which takes a
    /// change up within five seconds. Virtual keys that stand in the configuration are for all
    /// workspaces, and are changed there.
    VirtualKeys(virtual_keys::VirtualKeysArgs),
    /// Save, list, show and delete routing configs
    Configs(configs::ConfigsArgs),
    /// Rotate the master key, which seals providers' keys in the database
    Secrets(secrets::SecretsArgs),
    /// Bring the database up to date, and say what was done
    ///
    /// `serve` does the same at its start. By itself it is for a PostgreSQL whose tables belong to
    /// another user than the one that servers connect as.
    Migrate(ConfigArgs),
    /// Copy everything from one database to another, and compare both
    ///
    /// Between SQLite and PostgreSQL, in either direction. Servers on both sides have to be stopped
    /// meanwhile. A copy that was ended anywhere goes on when the same command is given again; until
    /// it is finished, no server takes the target. The source stays as it is.
    Copy(copy::CopyArgs),
    /// Save everything in a new folder, also while a server runs
    ///
    /// The folder holds the database of the records, the one of the logs, and the keys without which
    /// they are of little use: keep it as safe as the data folder. To restore, start a server on it, or
    /// on a copy of it: `loomgate serve --data-dir FOLDER`.
    Backup(backup::BackupArgs),
    /// Show what this server does: a tour of the API, over HTTP
    ///
    /// Assistant, thread, message, streamed run, function call, Modify Run: each call is shown as
    /// a curl command, with its time and what it answered. `make demo` takes it with a real small
    /// language model.
    Demo(demo::DemoArgs),
}

/// Flags that every command that reads the configuration takes.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// The configuration file [default: loomgate.toml, when there is one here]
    #[arg(long, value_name = "FILE", env = "LOOMGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of everything that is kept [default: loomgate-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where records are kept: sqlite, or `postgres://USER@HOST/DATABASE` [default: sqlite]
    ///
    /// Others on this machine can read the flags of a program: a password belongs into the
    /// configuration, or into `LOOMGATE_DATABASE`.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to listen, HOST:PORT; port 0 takes a free one [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// What this process does of it all: `api` leaves runs to others, `worker` the API
    /// [default: all]
    #[arg(long, value_name = "ROLE", value_parser = Role::NAMES)]
    role: Option<String>,
}

impl ConfigArgs {
    fn sources(&self, flags: Flags) -> Sources {
        Sources {
            file: self.config.clone(),
            folder: PathBuf::new(),
            environment: Environment::of_process(),
            flags: Flags {
                data_dir: self.data_dir.clone(),
                database: self.database.clone(),
                ..flags
            },
        }
    }

    fn load(&self) -> Result<Config, ConfigError> {
        config::load(&self.sources(Flags::default()))
    }
}

impl ServeArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        let flags = Flags {
            listen: self.listen.clone(),
            role: self.role.clone(),
            ..Flags::default()
        };
        config::load(&self.config.sources(flags))
    }
}

/// Why a command failed: one line, what to do about it, and the exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    help: Option<String>,
    code: u8,
}

impl Failure {
    /// The command could not do its work.
    fn failed(message: String, help: impl Into<String>) -> Self {
        Self {
            message,
            help: Some(help.into()),
            code: 1,
        }
    }

    /// Somebody else came between the reading and the writing.
    fn contended(what: &str) -> Self {
        Self::failed(
            format!("{what} was changed by somebody else at the same time"),
            "look at it, and try again",
        )
    }

    /// The command makes no sense as it is.
    fn misused(message: String, help: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::failed(message, help)
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            message: error.message,
            help: error.help,
            code: 2,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self {
            message: error.to_string(),
            help: error.help().map(str::to_owned),
            code: 1,
        }
    }
}

impl From<demo::DemoError> for Failure {
    fn from(error: demo::DemoError) -> Self {
        Self {
            message: error.to_string(),
            help: error.help().map(str::to_owned),
            code: 1,
        }
    }
}

impl From<loomgate_store::Error> for Failure {
    fn from(error: loomgate_store::Error) -> Self {
        StartError::from(error).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            message: format!("cannot write the output: {error}"),
            help: None,
            code: 1,
        }
    }
}

/// Carries out the command. Exit code 0, or 1 when it failed, or 2 when it makes no sense.
pub async fn run(cli: Cli) -> ExitCode {
    #[cfg(debug_assertions)]
    if let Err(error) = Environment::of_process().arm_failpoints() {
        report(&error.into());
        return ExitCode::from(2);
    }
    let mut out = io::stdout();
    let result = match cli.command {
        Command::Serve(args) => Box::pin(serve_with(&args, &mut out)).await,
        Command::CheckConfig(args) => check::run(&args, &mut out),
        Command::Keys(args) => Box::pin(keys::run(args, &mut out)).await,
        Command::VirtualKeys(args) => Box::pin(virtual_keys::run(args, &mut out)).await,
        Command::Configs(args) => Box::pin(configs::run(args, &mut out)).await,
        Command::Secrets(args) => Box::pin(secrets::run(args, &mut out)).await,
        Command::Migrate(args) => Box::pin(migrate::run(&args, &mut out)).await,
        Command::Copy(args) => Box::pin(copy::run(&args, &mut out)).await,
        Command::Backup(args) => backup::run(args, &mut out).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await.map_err(Failure::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.code)
        }
    }
}

async fn serve_with(args: &ServeArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // The parts of a server are many.
    Box::pin(serve::serve(args.load()?, out)).await?;
    Ok(())
}

/// A server may be using the same data folder at this moment.
fn open(config: &Config) -> Result<(Foundation, Store), Failure> {
    let foundation = Foundation::lay(config)?;
    let store = foundation.store(Sharing::Tool)?;
    Ok((foundation, store))
}

/// Errors unless a workspace can have this name.
fn expect_workspace(name: &str) -> Result<(), Failure> {
    if is_workspace(name) {
        return Ok(());
    }
    Err(Failure::misused(
        "--workspace: a name has 1 to 64 characters".to_owned(),
        "out of letters, digits, `-` and `_`",
    ))
}

fn report(failure: &Failure) {
    let mut stderr = io::stderr();
    // There is nobody left to tell when this fails.
    let _ = writeln!(stderr, "error: {}", failure.message);
    if let Some(help) = &failure.help {
        let _ = writeln!(stderr, "help: {help}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
