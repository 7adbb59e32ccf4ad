//! Where records are kept.

use std::{path::Path, time::Duration};

use loomgate_store::{Options, Postgres, PostgresUrl};
use secrecy::{ExposeSecret, SecretString};

use super::{ConfigError, raw::RawPostgres};
use crate::data_dir;

/// The engine behind the store.
#[derive(Debug, Clone)]
pub enum Database {
    /// SQLite, in files of the data folder.
    Sqlite,
    /// PostgreSQL. Shown without its password.
    Postgres(Box<Postgres>),
}

impl Database {
    pub(super) fn check(
        url: Option<&SecretString>,
        postgres: &RawPostgres,
    ) -> Result<Self, ConfigError> {
        let known = "\"sqlite\", a file in data_dir, or \"postgres://user:password@host/database\"";
        match url.map(ExposeSecret::expose_secret) {
            None | Some("sqlite") => Ok(Self::Sqlite),
            Some(url) if url.starts_with("postgres") => {
                // Not shown: it holds a password.
                let url = PostgresUrl::parse(url).map_err(|error| {
                    ConfigError::new(format!("`database`: {error}")).help(known)
                })?;
                Ok(Self::Postgres(Box::new(options(url, postgres)?)))
            }
            Some(_) => Err(ConfigError::new("`database`: unknown kind of database").help(known)),
        }
    }

    /// How to open it.
    pub fn options(&self, data_dir: &Path) -> Options {
        match self {
            Self::Sqlite => Options::file(data_dir::database(data_dir)),
            Self::Postgres(postgres) => Options::postgres((**postgres).clone()),
        }
    }
}

fn options(url: PostgresUrl, raw: &RawPostgres) -> Result<Postgres, ConfigError> {
    let default = Postgres::at(url);
    let number = |option: &str, value: Option<usize>, default| match value {
        Some(0) => Err(ConfigError::at_least_one(option)),
        value => Ok(value.unwrap_or(default)),
    };
    let seconds = |option: &str, value: Option<u64>, default| match value {
        Some(0) => Err(ConfigError::at_least_one(option)),
        value => Ok(value.map_or(default, Duration::from_secs)),
    };
    Ok(Postgres {
        connections: number("postgres.connections", raw.connections, default.connections)?,
        log_connections: number(
            "postgres.log_connections",
            raw.log_connections,
            default.log_connections,
        )?,
        statement_timeout: seconds(
            "postgres.statement_timeout_s",
            raw.statement_timeout_s,
            default.statement_timeout,
        )?,
        wait: seconds("postgres.wait_s", raw.wait_s, default.wait)?,
        ..default
    })
}
