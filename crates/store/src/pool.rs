//! One database: a thread that writes, threads that read, and the queues before them.

use std::{
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
};

use tokio::sync::{mpsc, watch};

use crate::{
    Error, Stats,
    lock::FolderLock,
    queue::{Order, submit},
    reader::Reader,
    schema::Schema,
    sqlite,
    tx::Tx,
    writer::{Tally, Writer},
};

/// How to open a database.
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
}

/// A database in use. When it is dropped, the work that is queued is done and the threads end.
#[derive(Debug)]
pub(crate) struct Pool {
    writer: mpsc::Sender<Order>,
    readers: Option<mpsc::Sender<Order>>,
    tally: Arc<Tally>,
    done: watch::Receiver<()>,
}

impl Pool {
    /// Opens the database, brings its schema up to date and starts the threads.
    pub(crate) fn open(options: PoolOptions<'_>) -> Result<Self, Error> {
        let PoolOptions {
            schema,
            path,
            reader_threads,
            queue,
            batch,
            lock,
        } = options;
        let mut connection = sqlite::writer(path, schema)?;
        schema.migrate(&mut connection)?;

        let (read_sender, read_queue) = mpsc::channel(queue.max(1));
        let read_queue = Arc::new(Mutex::new(read_queue));
        let mut readers = Vec::new();
        for _ in 0..reader_threads {
            let Some(path) = path else { break };
            let reader = Reader {
                connection: sqlite::reader(path)?,
                queue: Arc::clone(&read_queue),
            };
            let thread = thread::Builder::new().name(format!("{}-reader", schema.name));
            readers.push(thread.spawn(move || reader.run())?);
        }
        let read_sender = (!readers.is_empty()).then_some(read_sender);

        let tally = Arc::new(Tally::default());
        let (write_sender, write_queue) = mpsc::channel(queue.max(1));
        let (done_sender, done) = watch::channel(());
        let writer = Writer {
            connection,
            queue: write_queue,
            batch: batch.max(1),
            tally: Arc::clone(&tally),
            readers,
            lock,
            done: done_sender,
        };
        thread::Builder::new()
            .name(format!("{}-writer", schema.name))
            .spawn(move || writer.run())?;
        Ok(Self {
            writer: write_sender,
            readers: read_sender,
            tally,
            done,
        })
    }

    /// Takes no more work, does what is queued, folds the write-ahead log into the file and lets
    /// go of the folder.
    pub(crate) async fn close(&self) {
        // Sending fails only when a thread has ended already.
        if let Some(readers) = &self.readers {
            let _ = readers.send(Order::Close).await;
        }
        let _ = self.writer.send(Order::Close).await;
        let mut done = self.done.clone();
        while done.changed().await.is_ok() {}
    }

    /// How much was written so far.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.tally.commits.load(Ordering::Relaxed),
            jobs: self.tally.jobs.load(Ordering::Relaxed),
        }
    }

    /// Runs a job on the thread that writes; answers once it is committed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(&self.writer, work).await
    }

    /// Runs a job on a thread that reads.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(self.readers.as_ref().unwrap_or(&self.writer), work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[tokio::test]
    async fn a_dropped_database_ends_its_threads_after_the_queued_work() {
        let pool = Pool::open(PoolOptions {
            schema: &schema::RECORDS,
            path: None,
            reader_threads: 0,
            queue: 4,
            batch: 4,
            lock: None,
        })
        .unwrap();
        let mut done = pool.done.clone();
        let (report, reported) = tokio::sync::oneshot::channel();
        let writer = pool.writer.clone();
        let job = submit(&writer, move |_| {
            report
                .send(())
                .map_err(|()| Error::Unavailable("nobody listens"))
        });
        drop(pool);
        assert!(!writer.is_closed());
        // One sender is left: it sends, and is the last.
        job.await.unwrap();
        drop(writer);
        reported.await.unwrap();
        assert!(done.changed().await.is_err(), "the writer has ended");
    }
}
