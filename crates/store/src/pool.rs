//! One database: the threads that work on it, and the queues before them.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
};

use tokio::sync::{mpsc, watch};

use crate::{
    Error, Stats,
    failpoint::Boundary,
    lock::FolderLock,
    postgres::{Target, Worker},
    queue::{Access, Entrance, Order, SharedQueue, submit},
    reader::{Reader, Spare},
    schema::{Migrated, Purpose, Schema},
    sqlite,
    tx::Tx,
    work::{Wakeups, WorkSignal},
    writer::{Tally, Writer},
};

/// How to open a database of SQLite.
pub(crate) struct PoolOptions<'p> {
    /// What is in it.
    pub(crate) schema: &'static Schema,
    /// Its file; none: in memory, where the writer reads too.
    pub(crate) path: Option<&'p Path>,
    /// Threads that read; 0: the writer reads too.
    pub(crate) reader_threads: usize,
    /// Jobs that may wait for the writer, and again for the readers.
    pub(crate) queue: usize,
    /// The most jobs in one commit.
    pub(crate) batch: usize,
    /// The folder, held until the database is closed.
    pub(crate) lock: Option<Arc<FolderLock>>,
    /// Told when there is something for workers to do.
    pub(crate) work: WorkSignal,
    /// What it is opened for.
    pub(crate) purpose: Purpose,
}

/// A database in use. When it is dropped, the work that is queued is done and the threads end.
#[derive(Debug)]
pub(crate) struct Pool {
    writer: Entrance,
    readers: Option<Entrance>,
    tally: Arc<Tally>,
    work: WorkSignal,
    done: watch::Receiver<()>,
    /// Whether other processes may use the database at the same time.
    is_shared: bool,
}

impl Pool {
    /// Opens a database of SQLite, brings its schema up to date and starts the threads.
    pub(crate) fn sqlite(options: PoolOptions<'_>) -> Result<(Self, Migrated), Error> {
        let PoolOptions {
            schema,
            path,
            reader_threads,
            queue,
            batch,
            lock,
            work,
            purpose,
        } = options;
        let mut connection = sqlite::writer(path, schema)?;
        let migrated = schema.migrate(&mut connection, purpose)?;
        sqlite::settle_savepoints(&connection)?;

        let tally = Arc::new(Tally::default());
        let (read_sender, read_queue) = mpsc::channel(queue.max(1));
        let reader = match (path, reader_threads.checked_sub(1)) {
            (Some(path), Some(readers)) => {
                let reader = Reader {
                    connection: sqlite::reader(path)?,
                    queue: Arc::new(SharedQueue::new(read_queue)),
                    tally: Arc::clone(&tally),
                    spare: Some(Spare {
                        path: path.to_owned(),
                        readers,
                    }),
                };
                Some(reader.start(schema.name)?)
            }
            _ => None,
        };
        let readers = reader.is_some().then(|| Entrance::patient(read_sender));

        let (write_sender, write_queue) = mpsc::channel(queue.max(1));
        let (done_sender, done) = watch::channel(());
        let writer = Writer {
            connection,
            queue: write_queue,
            batch: batch.max(1),
            tally: Arc::clone(&tally),
            reader,
            lock,
            work: work.clone(),
            done: done_sender,
        };
        thread::Builder::new()
            .name(format!("{}-writer", schema.name))
            .spawn(move || writer.run())?;
        let pool = Self {
            writer: Entrance::patient(write_sender),
            readers,
            tally,
            work,
            done,
            is_shared: false,
        };
        Ok((pool, migrated))
    }

    /// A database without threads, and what does their work when it is told to.
    pub(crate) fn driven(
        schema: &Schema,
        name: &str,
        (queue, is_shared): (usize, bool),
    ) -> Result<(Self, Writer, Reader), Error> {
        let tally = Arc::new(Tally::default());
        let (read_sender, read_queue) = mpsc::channel(queue.max(1));
        let reader = Reader {
            connection: sqlite::shared(name, schema)?,
            queue: Arc::new(SharedQueue::new(read_queue)),
            tally: Arc::clone(&tally),
            spare: None,
        };
        let (write_sender, write_queue) = mpsc::channel(queue.max(1));
        let (done_sender, done) = watch::channel(());
        let writer = Writer {
            connection: sqlite::shared(name, schema)?,
            queue: write_queue,
            batch: usize::MAX,
            tally,
            reader: None,
            lock: None,
            work: WorkSignal::new(),
            done: done_sender,
        };
        let pool = Self {
            writer: Entrance::patient(write_sender),
            readers: Some(Entrance::patient(read_sender)),
            tally: Arc::clone(&writer.tally),
            work: writer.work.clone(),
            done,
            is_shared,
        };
        Ok((pool, writer, reader))
    }

    /// A database that is not there: all that is asked of it is refused.
    pub(crate) fn absent() -> Self {
        Self {
            writer: Entrance::patient(mpsc::channel(1).0),
            readers: None,
            tally: Arc::default(),
            work: WorkSignal::new(),
            done: watch::channel(()).1,
            is_shared: false,
        }
    }

    /// Starts the threads of one schema on PostgreSQL. Each connects when it has something to do.
    pub(crate) fn postgres(
        schema: &'static Schema,
        target: &Arc<Target>,
        (connections, queue): (usize, usize),
        (us, work): (&Arc<str>, &WorkSignal),
    ) -> Result<Self, Error> {
        let tally = Arc::new(Tally::default());
        let (sender, queue) = mpsc::channel(queue.max(1));
        let queue = Arc::new(SharedQueue::new(queue));
        let (done_sender, done) = watch::channel(());
        let done_sender = Arc::new(done_sender);
        for index in 0..connections.max(1) {
            let worker = Worker {
                target: Arc::clone(target),
                durability: schema.durability,
                queue: Arc::clone(&queue),
                tally: Arc::clone(&tally),
                work: work.clone(),
                us: Arc::clone(us),
                done: Arc::clone(&done_sender),
            };
            thread::Builder::new()
                .name(format!("{}-db-{index}", schema.name))
                .spawn(move || worker.run())?;
        }
        Ok(Self {
            writer: Entrance {
                orders: sender,
                wait: Some(target.wait),
            },
            readers: None,
            tally,
            work: work.clone(),
            done,
            is_shared: true,
        })
    }

    /// Whether other processes may use the database at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Takes no more work, does what is queued, folds the write-ahead log into the file and lets
    /// go of the folder.
    pub(crate) async fn close(&self) {
        // Sending fails only when a thread has ended already.
        if let Some(readers) = &self.readers {
            let _ = readers.orders.send(Order::Close).await;
        }
        let _ = self.writer.orders.send(Order::Close).await;
        let mut done = self.done.clone();
        while done.changed().await.is_ok() {}
    }

    /// Tells when there is something for workers to do.
    pub(crate) fn wakeups(&self) -> Wakeups {
        self.work.wakeups()
    }

    /// How much was written so far.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.tally.commits.load(Ordering::Relaxed),
            jobs: self.tally.jobs.load(Ordering::Relaxed),
            statements: self.tally.statements.load(Ordering::Relaxed),
        }
    }

    /// Runs a job that writes; answers once it is committed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(&self.writer, (Access::Write, Boundary::of::<F>()), work).await
    }

    /// The same for a job of one statement that can not fail once that is done.
    pub(crate) async fn write_one<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(&self.writer, (Access::WriteOne, Boundary::of::<F>()), work).await
    }

    /// Runs a job that reads, from one consistent state.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(self.readers(), (Access::Read, Boundary::none()), work).await
    }

    /// The same for a job of one statement.
    pub(crate) async fn read_one<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(self.readers(), (Access::ReadOne, Boundary::none()), work).await
    }

    fn readers(&self) -> &Entrance {
        self.readers.as_ref().unwrap_or(&self.writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[tokio::test]
    async fn a_dropped_database_ends_its_threads_after_the_queued_work() {
        let (pool, _) = Pool::sqlite(PoolOptions {
            schema: &schema::RECORDS,
            path: None,
            reader_threads: 0,
            queue: 4,
            batch: 4,
            lock: None,
            work: WorkSignal::new(),
            purpose: Purpose::Use,
        })
        .unwrap();
        let mut done = pool.done.clone();
        let (report, mut reported) = mpsc::channel(1);
        let writer = pool.writer.clone();
        let job = submit(&writer, (Access::Write, Boundary::none()), move |_| {
            report
                .try_send(())
                .map_err(|_| Error::Unavailable("nobody listens"))
        });
        drop(pool);
        assert!(!writer.orders.is_closed());
        // One sender is left: it sends, and is the last.
        job.await.unwrap();
        drop(writer);
        reported.recv().await.unwrap();
        assert!(done.changed().await.is_err(), "the writer has ended");
    }
}
