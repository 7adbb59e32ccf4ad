//! The thread that writes: group commit.
//!
//! It takes everything that is queued into one transaction, commits once, and only then answers.
//! Under load one disk flush thus serves many jobs; alone, a job waits for nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use crate::{
    Error,
    lock::FolderLock,
    queue::{Job, Order},
    reader::join,
    sqlite::Open,
    work::WorkSignal,
};

/// Counts what was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) commits: AtomicU64,
    pub(crate) jobs: AtomicU64,
    /// Of all jobs, those that read too.
    pub(crate) statements: AtomicU64,
}

/// The writer's belongings.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: mpsc::Receiver<Order>,
    pub(crate) batch: usize,
    pub(crate) tally: Arc<Tally>,
    /// The thread that reads, and ends after those that it started: before the database is closed.
    pub(crate) reader: Option<JoinHandle<()>>,
    /// Shared with the writer of the other database.
    pub(crate) lock: Option<Arc<FolderLock>>,
    /// Told when a commit leaves something for workers to do.
    pub(crate) work: WorkSignal,
    /// Dropped when all is done.
    pub(crate) done: watch::Sender<()>,
}

/// Readers go on; nobody else writes.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// What has to be rolled back when a job fails. A savepoint has each page that the job changes copied
/// once more, so that none is set where another way leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// A statement that fails leaves nothing behind.
    Nothing,
    /// The whole transaction: nobody else's work is in it.
    All,
    /// What came after the savepoint.
    ToSavepoint,
}

impl Undo {
    fn of(job: &dyn Job, is_alone: bool) -> Self {
        if job.is_one_statement() {
            Self::Nothing
        } else if is_alone {
            Self::All
        } else {
            Self::ToSavepoint
        }
    }
}

impl Writer {
    /// Works until the store is closed or dropped and the queue is empty.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        while let Some(order) = self.queue.blocking_recv() {
            self.take(order, &mut batch);
            self.gather(self.batch, &mut batch);
            if !batch.is_empty() {
                let ran = self.begin(&mut batch);
                self.commit(&mut batch, ran);
            }
        }
        self.finish();
    }

    /// Takes what is queued, until there are `most` jobs.
    pub(crate) fn gather(&mut self, most: usize, batch: &mut Vec<Box<dyn Job>>) {
        while batch.len() < most {
            match self.queue.try_recv() {
                Ok(order) => self.take(order, batch),
                Err(_) => break,
            }
        }
    }

    fn take(&mut self, order: Order, batch: &mut Vec<Box<dyn Job>>) {
        match order {
            Order::Job(ticket) => batch.push(ticket.job),
            Order::Close => self.queue.close(),
        }
    }

    /// Runs the jobs in one transaction, which stays open; those that fail are rolled back alone.
    /// Returns whether they leave something for workers to do.
    pub(crate) fn begin(&self, batch: &mut [Box<dyn Job>]) -> Result<bool, Error> {
        self.statement(BEGIN)?;
        let mut tx = Open::new(&self.connection, &self.tally);
        let is_alone = batch.len() == 1;
        for job in batch {
            let undo = Undo::of(&**job, is_alone);
            if undo == Undo::ToSavepoint {
                self.statement("SAVEPOINT job")?;
            }
            if !job.run(&mut tx) {
                if self.connection.is_autocommit() {
                    // What SQLite does when there is no room: the batch goes with the job.
                    return Err(Error::Full);
                }
                match undo {
                    Undo::Nothing => {}
                    Undo::ToSavepoint => self.statement("ROLLBACK TO job")?,
                    Undo::All => {
                        self.statement("ROLLBACK")?;
                        self.statement(BEGIN)?;
                    }
                }
            }
            if undo == Undo::ToSavepoint {
                self.statement("RELEASE job")?;
            }
        }
        Ok(tx.has_work)
    }

    /// Commits what [`Writer::begin`] has begun, and only then answers the jobs.
    pub(crate) fn commit(&self, batch: &mut Vec<Box<dyn Job>>, ran: Result<bool, Error>) {
        let count = batch.len() as u64;
        for job in &*batch {
            job.commits();
        }
        let kept = self.end(ran);
        self.tally.jobs.fetch_add(count, Ordering::Relaxed);
        self.tally.commits.fetch_add(1, Ordering::Relaxed);
        for job in batch.drain(..) {
            job.answer(kept.clone());
        }
    }

    /// Ends the transaction and wakes the workers.
    pub(crate) fn end(&self, ran: Result<bool, Error>) -> Result<(), Error> {
        let ended = ran.and_then(|has_work| self.statement("COMMIT").map(|()| has_work));
        if ended.is_err() && !self.connection.is_autocommit() {
            self.statement("ROLLBACK")?;
        }
        if ended? {
            self.work.send();
        }
        Ok(())
    }

    fn statement(&self, sql: &'static str) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute([])?;
        Ok(())
    }

    /// Waits for the readers, folds the log into the file and lets go of the folder.
    fn finish(self) {
        self.reader.into_iter().for_each(join);
        let checkpoint = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpoint {
            tracing::warn!(%error, "the write-ahead log stays: the next start reads it");
        }
        drop(self.connection);
        drop(self.lock);
        drop(self.done);
    }
}
