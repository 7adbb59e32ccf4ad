//! Everything that is needed to open another connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_postgres::{Client, Config, Connection, Socket, tls::TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Postgres, fault, pgvector::Pgvector, tls};
use crate::{Error, schema::Durability};

/// How long a connection may take to come about, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a transaction may wait for its next statement: closures are quick. One that waits is of
/// a process that was frozen, or of a line that is half open, and keeps others from its rows.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// When a line that is quiet is tested, how often then, and how many answers may be missing.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(5), 3);

/// How long something that was sent may stay without a sign that it arrived.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How much later than it is due an answer may come.
const LATE: Duration = Duration::from_secs(2);

/// Where connections lead, and how they are set up.
#[derive(Debug)]
pub(crate) struct Target {
    config: Config,
    tls: Tls,
    name: String,
    statement_timeout: Duration,
    /// How long a job waits for a connection.
    pub(crate) wait: Duration,
    pub(crate) pgvector: Pgvector,
    health: AtomicBool,
}

/// It can not be shown.
struct Tls(MakeRustlsConnect);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Target {
    pub(crate) fn new(options: &Postgres) -> Result<Arc<Self>, Error> {
        let mut config = options.url.config.clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let (idle, interval, retries) = KEEPALIVE;
        config
            .keepalives_idle(idle)
            .keepalives_interval(interval)
            .keepalives_retries(retries)
            .tcp_user_timeout(UNACKNOWLEDGED);
        Ok(Arc::new(Self {
            config,
            tls: Tls(tls::connector(&options.url.verify).map_err(Error::driver)?),
            name: options.url.to_string(),
            statement_timeout: options.statement_timeout,
            wait: options.wait,
            pgvector: Pgvector::default(),
            health: AtomicBool::new(true),
        }))
    }

    /// Connects, and keeps to a time also where the server takes the connection and says nothing.
    pub(super) async fn connect(
        &self,
    ) -> Result<
        (
            Client,
            Connection<Socket, impl TlsStream + Unpin + Send + use<>>,
        ),
        Error,
    > {
        let attempts = self.config.get_hosts().len().max(1);
        let limit = self.config.get_connect_timeout().copied();
        let limit = limit.unwrap_or(CONNECT_TIMEOUT) * u32::try_from(attempts).unwrap_or(1) * 2;
        let connecting = self.config.connect(self.tls.0.clone());
        match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(self.unconnected(fault::text(&error))),
            Err(_) => Err(self.unconnected("it does not answer".to_owned())),
        }
    }

    fn unconnected(&self, reason: String) -> Error {
        Error::Connect {
            to: self.name.clone(),
            reason,
        }
    }

    /// What a connection for jobs is told first. The limit of statements is for those: a migration
    /// takes the time that it needs.
    pub(super) fn setup(&self, durability: Durability) -> String {
        let flushed = match durability {
            Durability::EachCommit => "",
            Durability::Checkpoints => "; SET synchronous_commit = off",
        };
        // A comparison with all vectors of a store is worth more than a plan is, but no compiler's time.
        let uncompiled = if self.pgvector.is_used() {
            "; SET jit = off"
        } else {
            ""
        };
        format!(
            "SET default_transaction_isolation = 'read committed'; SET statement_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}{flushed}{uncompiled}",
            self.statement_timeout.as_millis(),
            IDLE_IN_TRANSACTION.as_millis(),
        )
    }

    /// How long the answer to a statement may take: past its limit the server has given it up, and
    /// says so.
    pub(super) fn patience(&self) -> Duration {
        self.statement_timeout + LATE
    }

    /// Whether the database could be reached when that was last tried.
    pub(crate) fn is_up(&self) -> bool {
        self.health.load(Ordering::Relaxed)
    }

    /// Remembers that the database was reached.
    pub(super) fn reached(&self) {
        if !self.health.swap(true, Ordering::Relaxed) {
            tracing::info!(database = self.name, "the database can be reached again");
        }
    }

    /// Remembers that it was not.
    pub(super) fn missed(&self, error: &Error) {
        if self.health.swap(false, Ordering::Relaxed) {
            tracing::warn!(database = self.name, %error, "the database can not be reached");
        }
    }
}
