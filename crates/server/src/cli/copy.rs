//! `loomgate copy`.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use loomgate_search::lexical::index_text;
use loomgate_store::{
    Options, Postgres, PostgresUrl,
    copy::{CopyError, Digest, Progress, Stage, copy},
};

use super::{Failure, progress::ProgressLine};
use crate::{config::Environment, data_dir};

const PLACES: &str = "sqlite:FOLDER, sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or env:NAME \
    for one that stands in an environment variable";

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// Where everything comes from: sqlite:FOLDER, postgres://..., or env:NAME
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where it goes to; has to be empty, or to hold the beginning of the same copy
    #[arg(long, value_name = "URL")]
    to: String,
}

pub(super) async fn run(args: &CopyArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let from = Place::parse("--from", &args.from, &environment)?;
    let to = Place::parse("--to", &args.to, &environment)?;
    if from.to_string() == to.to_string() {
        let message = format!("--from and --to are the same: {from}");
        return Err(Failure::misused(message, PLACES));
    }
    let mut line = ProgressLine::new();
    let source = (from.options(), from.to_string());
    let show = |step| {
        let Progress {
            stage,
            table,
            rows,
            of,
        } = step;
        let doing = match stage {
            Stage::Copy => "copying",
            Stage::Verify => "comparing",
        };
        line.show(
            (stage, table),
            format_args!("{doing} {table}: {rows} of {of}"),
        );
    };
    let target = (to.options(), index_text as fn(&str) -> String);
    let copied = copy(source, target, show).await;
    line.end();
    let digests = copied.map_err(|error| failure(&error, &from))?;
    for (table, digest) in &digests {
        let Digest { rows, .. } = digest;
        writeln!(out, "{table:<16}{rows:>10} rows  {digest}")?;
    }
    writeln!(out, "Everything is copied, and the same on both sides.")?;
    writeln!(
        out,
        "What is sealed stays sealed, and API keys stay hashed: the target needs the same master key \
         and hash key. They are the files master-key and hash-key in the data folder of the source, \
         or LOOMGATE_MASTER_KEY and LOOMGATE_HASH_KEY."
    )?;
    Ok(())
}

/// One of the two databases.
enum Place {
    File(PathBuf),
    Postgres(Box<PostgresUrl>),
}

impl Place {
    fn parse(flag: &str, text: &str, environment: &Environment) -> Result<Self, Failure> {
        let text = match text.strip_prefix("env:") {
            None => text,
            Some(name) => environment.get(name).ok_or_else(|| {
                let message = format!("{flag}: the environment variable {name} is not set");
                Failure::misused(message, PLACES)
            })?,
        };
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = Path::new(path);
            let is_folder = path.is_dir() || path.extension().is_none();
            return Ok(Self::File(if is_folder {
                data_dir::database(path)
            } else {
                path.to_owned()
            }));
        }
        match PostgresUrl::parse(text) {
            Ok(url) => Ok(Self::Postgres(Box::new(url))),
            // Not shown: it may hold a password.
            Err(error) => Err(Failure::misused(format!("{flag}: {error}"), PLACES)),
        }
    }

    /// Whether there is no database, where one was found that has no tables. Beside a file of records
    /// that of the logs may be missing.
    fn is_nothing(&self) -> bool {
        match self {
            Self::File(path) => !path.exists(),
            Self::Postgres(_) => true,
        }
    }

    fn options(&self) -> Options {
        match self {
            Self::File(path) => Options::file(path),
            Self::Postgres(url) => Options::postgres(Postgres::at((**url).clone())),
        }
    }
}

/// Without a password.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                write!(f, "sqlite:{}", path.display())
            }
            Self::Postgres(url) => write!(f, "postgres://{url}"),
        }
    }
}

fn failure(error: &CopyError, from: &Place) -> Failure {
    use loomgate_store::Error;
    let help = match error {
        CopyError::Store(Error::OlderSchema { found: 0, .. }) if from.is_nothing() => {
            return Failure::failed(format!("there is nothing of Loomgate's in {from}"), PLACES);
        }
        CopyError::Store(Error::OlderSchema { .. }) => "run `loomgate migrate` on the source first",
        CopyError::Store(Error::Unfinished) => {
            "the source is the target of a copy that is not finished; finish that one first"
        }
        CopyError::Store(Error::Locked { .. } | Error::InUse(_)) => {
            "nobody may change either side meanwhile: stop the servers on both"
        }
        CopyError::Store(_) => "start it again: it goes on where it ended",
        CopyError::NotEmpty(_) => "choose an empty one: a new folder, database or schema",
        CopyError::OtherCopy(_) => "name that source to go on with it, or choose an empty target",
        CopyError::Differs { .. } => {
            "the source was changed while it was copied, or before the copy went on: begin again \
             with an empty target"
        }
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Failure::failed(format!("{error}{}", cause.unwrap_or_default()), help)
}
