//! A connection of its own that listens for work, watches over the database, and shows others that
//! somebody uses it.

use std::{
    future::poll_fn,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client, error::SqlState};

use super::{Target, fault, worker::Backoff};
use crate::{Error, work::WorkSignal};

/// How often the database is asked whether it is there while it says nothing, and how long an
/// answer may take.
const WATCH: Duration = Duration::from_secs(5);

/// How long a new connection may take to be set up.
const SETTLE: Duration = Duration::from_secs(10);

const SILENT: &str = "the database does not answer";

/// An advisory lock that shows that the tables are in use: on "Loom", and on the table of the schema's
/// version.
pub(super) const PRESENCE: &str = "1282371437, 'schema_version'::regclass::oid::integer";

/// Who else may use the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Others that share them, too.
    Shared,
    /// Nobody.
    Alone,
}

/// How often the lock is asked for, and the pause between: the server may not have noticed yet that
/// a process that was killed is gone.
const ASKED: (u32, Duration) = (10, Duration::from_millis(100));

/// The listening thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// What the thread needs.
struct Ear {
    target: Arc<Target>,
    presence: Presence,
    us: Arc<str>,
    work: WorkSignal,
}

impl Listener {
    /// Connects, and takes the tables for this process or for those that share them.
    ///
    /// Errors: [`Error::InUse`], [`Error::Connect`].
    pub(crate) fn start(
        target: Arc<Target>,
        presence: Presence,
        us: Arc<str>,
        work: WorkSignal,
    ) -> Result<Self, Error> {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std_mpsc::channel();
        let ear = Ear {
            target,
            presence,
            us,
            work,
        };
        let thread = thread::Builder::new()
            .name("store-listener".to_owned())
            .spawn(
                move || match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime.block_on(async {
                        tokio::select! {
                            () = ear.listen(ready) => {}
                            // Also when the sender is dropped.
                            _ = stopped => {}
                        }
                    }),
                    Err(error) => {
                        let _ = ready.send(Err(error.into()));
                    }
                },
            )?;
        match is_ready.recv() {
            Ok(Ok(())) => Ok(Self { stop, thread }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Unavailable("the thread that listens has ended")),
        }
    }

    /// Ends it, and waits until it has.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread that listens to the database ended in a panic");
        }
    }
}

impl Ear {
    /// Listens for ever, on one connection after the other. Ends at once where the first one says
    /// that the tables can not be had.
    async fn listen(&self, ready: std_mpsc::Sender<Result<(), Error>>) {
        let mut ready = Some(ready);
        let mut backoff = Backoff::default();
        loop {
            let lost = self.listen_once(&mut ready, &mut backoff).await;
            self.target.missed(&lost);
            if let Some(ready) = ready.take() {
                // Whoever started this waits for it.
                let _ = ready.send(Err(lost));
                return;
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen_once(
        &self,
        ready: &mut Option<std_mpsc::Sender<Result<(), Error>>>,
        backoff: &mut Backoff,
    ) -> Error {
        let (client, mut connection) = match self.target.connect().await {
            Ok(connected) => connected,
            Err(error) => return error,
        };
        let (sender, mut messages) = mpsc::unbounded_channel();
        let driven = async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let Ok(AsyncMessage::Notification(notification)) = message {
                    // Nobody receives any more when this is about to end.
                    let _ = sender.send(notification);
                } else if let Err(error) = message {
                    return fault::error(&error);
                }
            }
            Error::Unavailable(fault::LOST)
        };
        let listened = async {
            match timeout(SETTLE, self.settle(&client)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(_) => return Error::Unavailable(SILENT),
            }
            self.target.reached();
            *backoff = Backoff::default();
            // What was told while nobody listened.
            self.work.send();
            if let Some(ready) = ready.take() {
                let _ = ready.send(Ok(()));
            }
            loop {
                match timeout(WATCH, messages.recv()).await {
                    Ok(Some(notification)) if notification.payload() == &*self.us => {}
                    Ok(Some(_)) => self.work.send(),
                    Ok(None) => return Error::Unavailable(fault::LOST),
                    Err(_) => match timeout(WATCH, client.simple_query("")).await {
                        Ok(Ok(_)) => self.target.reached(),
                        Ok(Err(error)) => return fault::error(&error),
                        Err(_) => return Error::Unavailable(SILENT),
                    },
                }
            }
        };
        tokio::select! {
            lost = driven => lost,
            lost = listened => lost,
        }
    }

    /// Sets a new connection up.
    async fn settle(&self, client: &Client) -> Result<(), Error> {
        let (lock, meaning) = match self.presence {
            Presence::Shared => (
                "pg_try_advisory_lock_shared",
                "another program has it alone",
            ),
            Presence::Alone => ("pg_try_advisory_lock", "a server uses it"),
        };
        let lock = format!("SELECT {lock}({PRESENCE})");
        match taken(client, &lock).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::InUse(meaning)),
            // Databases that only resemble PostgreSQL have no such locks.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => {
                tracing::warn!(
                    "this database has no advisory locks: see to it yourself that \
                    nobody changes the master keys, or copies it, beside a server"
                );
            }
            Err(error) => return Err(fault::error(&error)),
        }
        if let Err(error) = client.batch_execute("LISTEN loomgate_work").await {
            // It may have no notifications either: then workers find their work by looking for it.
            tracing::warn!(error = %fault::error(&error), "no notifications of work");
        }
        Ok(())
    }
}

/// Whether a lock could be taken.
pub(super) async fn taken(client: &Client, lock: &str) -> Result<bool, tokio_postgres::Error> {
    let (times, pause) = ASKED;
    for _ in 1..times {
        if client.query_one(lock, &[]).await?.try_get(0)? {
            return Ok(true);
        }
        sleep(pause).await;
    }
    client.query_one(lock, &[]).await?.try_get(0)
}
