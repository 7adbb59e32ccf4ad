//! One connection, the runtime that drives it, and the statements that are prepared on it.

use std::{collections::HashMap, pin::pin, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{Client, Statement};

use super::{Target, fault};
use crate::Error;

/// What a `SELECT` ends with whose rows are to stay as they are. It lets others refer to the rows,
/// by a foreign key, but not change or lock them.
pub(super) const LOCKING: &str = " FOR NO KEY UPDATE";

/// How long a connection may take to end in good order.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection of a thread. The runtime runs on that thread, and only while something waits.
#[derive(Debug)]
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
    line: JoinHandle<()>,
    /// How long an answer may take before the line counts as broken.
    patience: Option<Duration>,
    /// By their text, and whether their rows are locked.
    statements: HashMap<(&'static str, bool), Statement>,
}

impl Session {
    /// Connects, and says what comes first. An answer may take as long as `patience`, if there is
    /// any: a line that is half open, beyond a proxy or a firewall, brings none, and no error.
    pub(crate) fn open(
        target: &Target,
        setup: &str,
        patience: Option<Duration>,
    ) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (client, line) = runtime.block_on(async {
            let (client, connection) = target.connect().await?;
            // Its error reaches whoever waits for an answer.
            let line = runtime.spawn(async move {
                let _ = connection.await;
            });
            Ok::<_, Error>((client, line))
        })?;
        let session = Self {
            runtime,
            client,
            line,
            patience,
            statements: HashMap::new(),
        };
        let told = session.run(async |client| client.batch_execute(setup).await);
        told.map_err(|error| fault::error(&error))?;
        Ok(session)
    }

    /// Runs what waits for answers of the server.
    pub(crate) fn run<T>(&self, wait: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(async {
            let mut answer = pin!(wait(&self.client));
            let Some(patience) = self.patience else {
                return answer.await;
            };
            if let Ok(answer) = timeout(patience, &mut answer).await {
                return answer;
            }
            tracing::warn!("the database does not answer: the connection is given up");
            // Whatever is waited for learns that the line is closed.
            self.line.abort();
            answer.await
        })
    }

    /// Whether the line was open a moment ago: takes note of what has come meanwhile.
    pub(super) fn is_open(&self) -> bool {
        self.runtime.block_on(async {
            // The runtime looks at the socket, then lets the connection read, then us go on.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
        !self.client.is_closed()
    }

    /// A statement, prepared once.
    pub(crate) fn statement(
        &mut self,
        sql: &'static str,
        locks: bool,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(known) = self.statements.get(&(sql, locks)) {
            return Ok(known.clone());
        }
        let statement = self.run(async |client| {
            if locks {
                client.prepare(&format!("{sql}{LOCKING}")).await
            } else {
                client.prepare(sql).await
            }
        })?;
        self.statements.insert((sql, locks), statement.clone());
        Ok(statement)
    }

    /// Ends the connection in good order.
    pub(super) fn close(self) {
        drop(self.statements);
        drop(self.client);
        self.runtime.shutdown_timeout(GOODBYE);
    }
}
