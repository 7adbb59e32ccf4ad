//! The PostgreSQL engine: one small runtime and one connection a thread, on each of which jobs run
//! one after the other. The closures are those of SQLite; see [`worker`] for what surrounds them.

mod fault;
mod listener;
mod migrate;
mod pgvector;
mod session;
mod target;
mod tls;
mod transaction;
mod url;
mod values;
mod worker;

use std::time::Duration;

pub use self::url::{PostgresUrl, UrlError};

pub(crate) use self::{
    listener::{Listener, Presence},
    migrate::{Steps, migrate},
    pgvector::look_for as look_for_pgvector,
    session::Session,
    target::Target,
    values::storable,
    worker::Worker,
};

#[cfg(test)]
pub(crate) use self::transaction::POSTGRES_STATEMENTS;

/// How to use a PostgreSQL.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Where it is.
    pub url: PostgresUrl,
    /// Connections for the records, each made when it is first needed.
    pub connections: usize,
    /// The same for the logs, so that a flood of logs delays no run.
    pub log_connections: usize,
    /// The longest that one statement may take.
    pub statement_timeout: Duration,
    /// How long a job waits for a connection before its caller is told that there is none.
    pub wait: Duration,
}

impl Postgres {
    /// Eight connections for the records and two for the logs; statements take 30 seconds at most,
    /// and jobs wait for a connection for 10.
    pub fn at(url: PostgresUrl) -> Self {
        Self {
            url,
            connections: 8,
            log_connections: 2,
            statement_timeout: Duration::from_secs(30),
            wait: Duration::from_secs(10),
        }
    }
}
