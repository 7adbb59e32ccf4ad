//! Opening, using and closing the store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
};

use tokio::sync::{mpsc, watch};

use crate::{
    Assistants, Error, Keys, Messages, Runs, Steps, Threads, Workspaces,
    lock::FolderLock,
    migrate,
    queue::{Order, submit},
    reader::Reader,
    sqlite,
    tx::{Tx, statements},
    writer::{Counters, Writer},
};

statements! {
    PING = "SELECT MAX(version) FROM schema_version";
}

/// Where the records are kept.
#[derive(Debug, Clone)]
pub enum Database {
    /// In this file. Its folder, made when missing, is used by one process at a time.
    File(PathBuf),
    /// In memory, for tests: gone with the store. One thread both reads and writes.
    Memory,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the records are kept.
    pub database: Database,
    /// Threads that read, each with a connection of its own; 0: the writer reads too.
    pub reader_threads: usize,
    /// Jobs that may wait for the writer, and again for the readers, before callers wait.
    pub queue: usize,
    /// The most jobs in one commit.
    pub batch: usize,
    /// Whether the folder of a file is to be had alone, which is what a server needs. Without it
    /// a second process may look in, or change what no server caches, such as API keys.
    pub exclusive: bool,
}

impl Options {
    /// A database in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            database: Database::File(path.into()),
            reader_threads: 2,
            queue: 1024,
            batch: 512,
            exclusive: true,
        }
    }

    /// A database in memory.
    pub fn memory() -> Self {
        Self {
            database: Database::Memory,
            ..Self::file("")
        }
    }
}

/// How much was written since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Transactions.
    pub commits: u64,
    /// Jobs in them.
    pub jobs: u64,
}

/// The store. Clones share it; when the last one is dropped, the work that is queued is done and
/// the threads end.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: mpsc::Sender<Order>,
    readers: Option<mpsc::Sender<Order>>,
    counters: Arc<Counters>,
    done: watch::Receiver<()>,
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the threads. Blocks the
    /// calling thread for some milliseconds.
    ///
    /// Errors: [`Error::Locked`], [`Error::NewerSchema`], [`Error::Corrupt`] (not a database, or
    /// another program's), [`Error::Driver`].
    pub fn open(options: Options) -> Result<Self, Error> {
        let Options {
            database,
            reader_threads,
            queue,
            batch,
            exclusive,
        } = options;
        let (path, reader_threads) = match &database {
            Database::File(path) => (Some(path.as_path()), reader_threads),
            Database::Memory => (None, 0),
        };
        let folder = path.map(folder_of).transpose()?.filter(|_| exclusive);
        let lock = folder
            .map(|folder| FolderLock::acquire(&folder))
            .transpose()?;
        let mut connection = sqlite::writer(path)?;
        migrate::migrate(&mut connection)?;

        let (read_sender, read_queue) = mpsc::channel(queue.max(1));
        let read_queue = Arc::new(Mutex::new(read_queue));
        let mut readers = Vec::new();
        for _ in 0..reader_threads {
            let Some(path) = path else { break };
            let reader = Reader {
                connection: sqlite::reader(path)?,
                queue: Arc::clone(&read_queue),
            };
            let thread = thread::Builder::new().name("store-reader".to_owned());
            readers.push(thread.spawn(move || reader.run())?);
        }
        let read_sender = (!readers.is_empty()).then_some(read_sender);

        let counters = Arc::new(Counters::default());
        let (write_sender, write_queue) = mpsc::channel(queue.max(1));
        let (done_sender, done) = watch::channel(());
        let writer = Writer {
            connection,
            queue: write_queue,
            batch: batch.max(1),
            counters: Arc::clone(&counters),
            readers,
            lock,
            done: done_sender,
        };
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer: write_sender,
                readers: read_sender,
                counters,
                done,
            }),
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|tx| tx.exists(PING, &[]).map(|_| ())).await
    }

    /// Takes no more work from any clone, does what is queued, folds the write-ahead log into
    /// the file and lets go of the folder. Later calls on other clones give
    /// [`Error::Unavailable`].
    pub async fn close(self) {
        // Sending fails only when a thread has ended already.
        if let Some(readers) = &self.inner.readers {
            let _ = readers.send(Order::Close).await;
        }
        let _ = self.inner.writer.send(Order::Close).await;
        let mut done = self.inner.done.clone();
        while done.changed().await.is_ok() {}
    }

    /// How much was written so far.
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.inner.counters.commits.load(Ordering::Relaxed),
            jobs: self.inner.counters.jobs.load(Ordering::Relaxed),
        }
    }

    /// The assistants.
    pub fn assistants(&self) -> Assistants<'_> {
        Assistants(self)
    }

    /// The threads.
    pub fn threads(&self) -> Threads<'_> {
        Threads(self)
    }

    /// The messages.
    pub fn messages(&self) -> Messages<'_> {
        Messages(self)
    }

    /// The runs.
    pub fn runs(&self) -> Runs<'_> {
        Runs(self)
    }

    /// The run steps.
    pub fn steps(&self) -> Steps<'_> {
        Steps(self)
    }

    /// The API keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys(self)
    }

    /// The workspaces.
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces(self)
    }

    /// Runs a job on the thread that writes; answers once it is committed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        submit(&self.inner.writer, work).await
    }

    /// Runs a job on a thread that reads.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        let queue = self.inner.readers.as_ref().unwrap_or(&self.inner.writer);
        submit(queue, work).await
    }
}

/// The folder of the database, made when missing.
fn folder_of(path: &Path) -> Result<PathBuf, Error> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}

    #[tokio::test]
    async fn the_last_clone_ends_the_threads_after_the_queued_work() {
        let store = Store::open(Options::memory()).unwrap();
        shared(&store);
        let mut done = store.inner.done.clone();
        let (report, reported) = tokio::sync::oneshot::channel();
        let writer = store.inner.writer.clone();
        let job = submit(&writer, move |_| {
            report
                .send(())
                .map_err(|()| Error::Unavailable("nobody listens"))
        });
        let clone = store.clone();
        drop(store);
        assert!(!clone.inner.writer.is_closed());
        drop(clone);
        // One sender is left: it sends, and is the last.
        job.await.unwrap();
        drop(writer);
        reported.await.unwrap();
        assert!(done.changed().await.is_err(), "the writer has ended");
    }
}
