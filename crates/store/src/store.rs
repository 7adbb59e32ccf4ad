//! Opening, using and closing the store.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Affinity, Assistants, Configs, Counters, Error, Events, Keys, Logs, Messages, Runs, Steps,
    Threads, VirtualKeys, Workspaces,
    lock::FolderLock,
    pool::{Pool, PoolOptions},
    schema,
    tx::{Tx, statements},
};

/// The file of the logs, beside that of the records.
const LOGS_FILE: &str = "logs.db";

/// Jobs that may wait for the writer of the logs: each carries many records.
const LOGS_QUEUE: usize = 64;

statements! {
    PING = "SELECT MAX(version) FROM schema_version";
}

/// Where the records are kept.
#[derive(Debug, Clone)]
pub enum Database {
    /// In this file, and the logs in `logs.db` beside it. The folder, made when missing, is used
    /// by one process at a time.
    File(PathBuf),
    /// In memory, for tests: gone with the store. One thread both reads and writes.
    Memory,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the records are kept.
    pub database: Database,
    /// Threads that read the records, and as many that read the logs, each with a connection of
    /// its own; 0: the writers read too.
    pub reader_threads: usize,
    /// Jobs that may wait for the writer, and again for the readers, before callers wait. Of those
    /// that carry logs, 64 at most.
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
    records: Pool,
    logs: Pool,
}

impl Store {
    /// Opens both databases, brings their schemas up to date and starts the threads. Blocks the
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
        let (path, logs_path) = match &database {
            Database::File(path) => (Some(path.as_path()), Some(path.with_file_name(LOGS_FILE))),
            Database::Memory => (None, None),
        };
        if path.is_some() && path == logs_path.as_deref() {
            let taken = format!("{LOGS_FILE} is the name of the database of the logs");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, taken).into());
        }
        let folder = path.map(folder_of).transpose()?;
        let folder = folder.filter(|_| exclusive);
        let lock = folder
            .map(|folder| FolderLock::acquire(&folder))
            .transpose()?
            .map(Arc::new);
        let records = Pool::open(PoolOptions {
            schema: &schema::RECORDS,
            path,
            reader_threads,
            queue,
            batch,
            lock: lock.clone(),
        })?;
        let logs = Pool::open(PoolOptions {
            schema: &schema::LOGS,
            path: logs_path.as_deref(),
            reader_threads,
            queue: queue.min(LOGS_QUEUE),
            batch: batch.min(LOGS_QUEUE),
            lock,
        })?;
        Ok(Self {
            inner: Arc::new(Inner { records, logs }),
        })
    }

    /// Whether the database of the records answers. The logs are not asked: the server does its
    /// work without them.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|tx| tx.exists(PING, &[]).map(|_| ())).await
    }

    /// Takes no more work from any clone, does what is queued, folds the write-ahead logs into
    /// the files and lets go of the folder. Later calls on other clones give
    /// [`Error::Unavailable`].
    pub async fn close(self) {
        self.inner.records.close().await;
        self.inner.logs.close().await;
    }

    /// How much was written to the records so far.
    pub fn stats(&self) -> Stats {
        self.inner.records.stats()
    }

    /// How much was written to the logs so far.
    pub fn log_stats(&self) -> Stats {
        self.inner.logs.stats()
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

    /// The stream events of runs.
    pub fn events(&self) -> Events<'_> {
        Events(self)
    }

    /// The API keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys(self)
    }

    /// The workspaces.
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces(self)
    }

    /// The virtual keys.
    pub fn virtual_keys(&self) -> VirtualKeys<'_> {
        VirtualKeys(self)
    }

    /// The saved configs.
    pub fn configs(&self) -> Configs<'_> {
        Configs(self)
    }

    /// The counters of limits.
    pub fn counters(&self) -> Counters<'_> {
        Counters(self)
    }

    /// Which target keeps which object.
    pub fn affinity(&self) -> Affinity<'_> {
        Affinity(self)
    }

    /// The logs, and what people thought of what is in them.
    pub fn logs(&self) -> Logs<'_> {
        Logs(&self.inner.logs)
    }

    /// Runs a job on the thread that writes the records; answers once it is committed.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        self.inner.records.write(work).await
    }

    /// Runs a job on a thread that reads the records.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
    {
        self.inner.records.read(work).await
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
    use loomgate_domain::{
        Metadata, Thread, ThreadId, Timestamp, WorkspaceId, tool::ToolResources,
    };

    use super::*;

    #[tokio::test]
    async fn a_record_is_written_while_the_logs_are_stuck() {
        let store = Store::open(Options::memory()).unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (busy, is_busy) = tokio::sync::oneshot::channel();
        let stuck = store.inner.logs.write(move |_| {
            busy.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        });
        let work = async {
            is_busy.await.unwrap();
            let thread = Thread {
                id: ThreadId::trusted("thread_1"),
                created_at: Timestamp(0),
                metadata: Metadata::default(),
                tool_resources: ToolResources::default(),
            };
            let ws = WorkspaceId::trusted("ws_1");
            let inserted = store.threads().insert(&ws, thread, Vec::new()).await;
            inserted.unwrap();
            assert_eq!((store.stats().commits, store.log_stats().commits), (1, 0));
            release.send(()).unwrap();
        };
        let (stuck, ()) = tokio::join!(stuck, work);
        stuck.unwrap();
    }
}
