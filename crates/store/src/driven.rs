//! A store without threads: jobs wait in its queues until a [`Driver`] is told to do them. Who owns
//! the drivers decides in which order everything happens, which is what a simulation wants.
//!
//! What it is: the queues, the group commit and the reading of SQLite's store (`writer.rs`,
//! `reader.rs`), one call at a time. A database is in memory, and any number of processes may be
//! attached to it, each with a store, connections and queues of its own. A process dies by dropping its
//! driver: what it had queued is lost, a transaction that was open is rolled back, and what was
//! committed stays.
//!
//! What it is not: it keeps no logs ([`Error::Unavailable`]). Transactions do not overlap: while one is
//! open, nobody else may write or read.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use crate::{
    Error, Migrated, Store,
    pool::Pool,
    queue::Job,
    reader::Reader,
    schema::{self, Purpose},
    sqlite,
    writer::Writer,
};

/// A database in memory that processes are attached to. It is gone with the last of them.
#[derive(Debug)]
pub struct DrivenDatabase {
    name: String,
    is_shared: bool,
    migrated: Migrated,
    /// Keeps it when nobody is attached.
    _keeper: Connection,
}

/// Does the work of one process's store. Dropping it ends the process's access: calls that wait are
/// refused, and so are later ones.
pub struct Driver {
    writer: Writer,
    reader: Reader,
    batch: Vec<Box<dyn Job>>,
    /// What came of the jobs of the batch, while their transaction is open.
    open: Option<Result<bool, Error>>,
    /// Rows that this process has changed, before the latest transaction and with it.
    changes: (u64, u64),
}

impl DrivenDatabase {
    /// An empty database. `is_shared`: processes have to expect that others are attached at the same
    /// time, as on PostgreSQL; otherwise each may take it that it is alone, as on a file.
    pub fn open(is_shared: bool) -> Result<Self, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("driven-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut keeper = sqlite::shared(&name, &schema::RECORDS)?;
        let migrated = schema::RECORDS.migrate(&mut keeper, Purpose::Use)?;
        Ok(Self {
            name,
            is_shared,
            migrated,
            _keeper: keeper,
        })
    }

    /// The store of one more process, where so many jobs may wait to be written, and as many to be
    /// read, before callers wait; and what does its work.
    pub fn attach(&self, queue: usize) -> Result<(Store, Driver), Error> {
        let size = (queue, self.is_shared);
        let (pool, writer, reader) = Pool::driven(&schema::RECORDS, &self.name, size)?;
        let driver = Driver {
            writer,
            reader,
            batch: Vec::new(),
            open: None,
            changes: (0, 0),
        };
        Ok((Store::over(pool, vec![self.migrated]), driver))
    }
}

impl Driver {
    /// How many jobs wait to be written.
    pub fn writes(&self) -> usize {
        self.writer.queue.len()
    }

    /// How many jobs wait to be read.
    pub fn reads(&self) -> usize {
        self.reader.queue.len()
    }

    /// Whether a transaction is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many rows the latest transaction has changed, or would have.
    pub fn changed(&self) -> u64 {
        self.changes.1 - self.changes.0
    }

    /// Runs the jobs that wait, `most` at most, in one transaction, and leaves it open. Returns how many;
    /// 0 where none waits, or another transaction is open.
    pub fn begin(&mut self, most: usize) -> usize {
        if self.is_open() {
            return 0;
        }
        self.writer.gather(most, &mut self.batch);
        if !self.batch.is_empty() {
            self.changes.0 = self.writer.connection.total_changes();
            self.open = Some(self.writer.begin(&mut self.batch));
            self.changes.1 = self.writer.connection.total_changes();
        }
        self.batch.len()
    }

    /// Commits the open transaction and answers its jobs. Whether that leaves something for workers
    /// to do: this process's were told, others' are by [`Driver::hint`].
    pub fn commit(&mut self) -> bool {
        let Some(ran) = self.open.take() else {
            return false;
        };
        let has_work = matches!(ran, Ok(true));
        self.writer.commit(&mut self.batch, ran);
        has_work
    }

    /// Loses the line to the database while the commit is on its way, as it happens on PostgreSQL: the
    /// jobs are answered with [`Error::Interrupted`], whether it was `kept` or not. Whether it leaves
    /// something for workers to do, who are not told.
    pub fn interrupt(&mut self, kept: bool) -> bool {
        let Some(ran) = self.open.take() else {
            return false;
        };
        let has_work = kept && matches!(ran, Ok(true));
        let ran = ran.and_then(|_| {
            if kept {
                Ok(false)
            } else {
                Err(Error::Interrupted)
            }
        });
        let ended = self.writer.end(ran);
        debug_assert!(ended.is_ok() == kept, "{ended:?}");
        for job in self.batch.drain(..) {
            job.answer(Err(Error::Interrupted));
        }
        has_work
    }

    /// Undoes the open transaction and answers its jobs with this error, as where a commit finds no room.
    pub fn refuse(&mut self, error: &Error) {
        if self.open.take().is_none() {
            return;
        }
        let ended = self.writer.end(Err(error.clone()));
        debug_assert!(ended.is_err());
        for job in self.batch.drain(..) {
            job.answer(Err(error.clone()));
        }
    }

    /// Runs a job that reads and answers it. Whether there was one.
    pub fn read(&mut self) -> bool {
        let ticket = self.reader.queue.take();
        let found = ticket.is_some();
        if let Some(ticket) = ticket {
            self.reader.serve(ticket);
        }
        found
    }

    /// Tells this process's workers that another process has left something for them to do.
    pub fn hint(&self) {
        self.writer.work.send();
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("writes", &self.writes())
            .field("reads", &self.reads())
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use loomgate_domain::{
        Metadata, Thread, ThreadId, Timestamp, WorkspaceId, tool::ToolResources,
    };

    use super::*;

    fn ws() -> WorkspaceId {
        WorkspaceId::trusted("ws_1")
    }

    async fn insert(store: &Store, id: &'static str) -> Result<(), Error> {
        let thread = Thread {
            id: ThreadId::trusted(id),
            created_at: Timestamp(0),
            metadata: Metadata::default(),
            tool_resources: ToolResources::default(),
        };
        store.threads().insert(&ws(), thread, Vec::new()).await
    }

    /// Whether a thread is there.
    fn has((store, driver): &mut (Store, Driver), id: &'static str) -> bool {
        let id = ThreadId::trusted(id);
        let (threads, ws) = (store.threads(), ws());
        let mut get = std::pin::pin!(threads.get(&ws, &id));
        assert!(get.as_mut().now_or_never().is_none());
        assert!(driver.read());
        get.now_or_never().unwrap().unwrap().is_some()
    }

    #[test]
    fn nothing_happens_by_itself_and_one_commit_serves_many() {
        let database = DrivenDatabase::open(false).unwrap();
        let (store, mut driver) = database.attach(8).unwrap();
        let (mut a, mut b) = (
            Box::pin(insert(&store, "thread_a")),
            Box::pin(insert(&store, "thread_b")),
        );
        assert!((&mut a).now_or_never().is_none());
        assert!((&mut b).now_or_never().is_none());
        assert_eq!(
            (driver.writes(), driver.begin(1), driver.writes()),
            (2, 1, 1)
        );
        assert_eq!(driver.begin(8), 0, "one at a time");
        assert!(
            (&mut a).now_or_never().is_none(),
            "not before it is committed"
        );
        assert!(!driver.commit());
        a.now_or_never().unwrap().unwrap();
        driver.begin(8);
        driver.commit();
        b.now_or_never().unwrap().unwrap();
        assert_eq!(store.stats().jobs, 2);
        assert_eq!(driver.changed(), 1);
        assert!(has(&mut (store, driver), "thread_a"));
    }

    #[test]
    fn a_process_that_dies_loses_what_it_had_not_committed() {
        let database = DrivenDatabase::open(true).unwrap();
        let (store, mut driver) = database.attach(8).unwrap();
        let mut kept = Box::pin(insert(&store, "thread_kept"));
        assert!((&mut kept).now_or_never().is_none());
        driver.begin(1);
        driver.commit();
        let mut open = Box::pin(insert(&store, "thread_open"));
        let mut queued = Box::pin(insert(&store, "thread_queued"));
        assert!((&mut open).now_or_never().is_none());
        driver.begin(1);
        assert!((&mut queued).now_or_never().is_none());
        drop(driver);
        for lost in [open, queued] {
            let refused = lost.now_or_never().unwrap();
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
        let mut next = database.attach(8).unwrap();
        assert!(next.0.is_shared());
        assert!(has(&mut next, "thread_kept"), "though nobody heard of it");
        assert!(!has(&mut next, "thread_open"));
        assert!(!has(&mut next, "thread_queued"));
    }

    #[test]
    fn a_line_that_breaks_leaves_open_what_became_of_the_commit() {
        let database = DrivenDatabase::open(true).unwrap();
        let mut process = database.attach(8).unwrap();
        for (id, kept) in [("thread_a", true), ("thread_b", false)] {
            let (store, driver) = &mut process;
            let mut insert = Box::pin(insert(store, id));
            assert!((&mut insert).now_or_never().is_none());
            driver.begin(1);
            driver.interrupt(kept);
            let refused = insert.now_or_never().unwrap();
            assert!(matches!(refused, Err(Error::Interrupted)), "{refused:?}");
            assert_eq!(has(&mut process, id), kept);
        }
    }

    #[test]
    fn there_are_no_logs() {
        let database = DrivenDatabase::open(false).unwrap();
        let (store, _driver) = database.attach(8).unwrap();
        let job = store.log_records().write(|_| Ok(()));
        let refused = job.now_or_never().unwrap();
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
}
