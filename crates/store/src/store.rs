//! Opening, using and closing the store.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Affinity, Assistants, Blobs, Chunks, Configs, Counters, Error, Events, FileBatches, Files,
    Indexing, Keys, Leases, Logs, Marks, Messages, Receipts, Runs, Steps, Threads, Uploads,
    VectorStoreFiles, VectorStores, VirtualKeys, Workspaces,
    lock::FolderLock,
    pool::{Pool, PoolOptions},
    postgres::{self, Listener, Postgres, Presence, Target},
    schema::{self, Migrated, Purpose},
    tx::statements,
    work::WorkSignal,
};

/// The file of the logs, beside that of the records.
pub(crate) const LOGS_FILE: &str = "logs.db";

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
    /// In tables of a PostgreSQL, and the logs in others beside them. Any number of processes share
    /// them.
    Postgres(Box<Postgres>),
}

/// Who else may use the database at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// For servers: tools may look in, or change what no server caches, such as API keys; where the
    /// database is a PostgreSQL, other servers share it.
    Server,
    /// For tools beside a server.
    Tool,
    /// For what can not go on beside a server.
    Alone,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the records are kept.
    pub database: Database,
    /// The most threads that read the records, and as many that read the logs, each with a connection of
    /// its own; all but the first are started once jobs wait. 0: the writers read too. PostgreSQL has its own number of connections.
    pub reader_threads: usize,
    /// Jobs that may wait for the writer, and again for the readers, before callers wait. Of those
    /// that carry logs, 64 at most.
    pub queue: usize,
    /// The most jobs in one commit of SQLite.
    pub batch: usize,
    /// Who else may use the database.
    pub sharing: Sharing,
}

impl Options {
    /// A database in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            database: Database::File(path.into()),
            reader_threads: 2,
            queue: 1024,
            batch: 512,
            sharing: Sharing::Server,
        }
    }

    /// A database in memory.
    pub fn memory() -> Self {
        Self {
            database: Database::Memory,
            ..Self::file("")
        }
    }

    /// Tables of a PostgreSQL.
    pub fn postgres(postgres: Postgres) -> Self {
        Self {
            database: Database::Postgres(Box::new(postgres)),
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
    /// SQL statements of all jobs, those that only read too; what opens and ends transactions apart.
    pub statements: u64,
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
    migrated: Vec<Migrated>,
    /// Where the database is shared.
    shared: Option<Shared>,
}

/// What belongs to a database that others use too.
#[derive(Debug)]
struct Shared {
    target: Arc<Target>,
    /// None: a tool's store, or one that is closed.
    listener: Mutex<Option<Listener>>,
}

impl Store {
    /// Opens both databases, brings their schemas up to date and starts the threads. Blocks the
    /// calling thread for some milliseconds; on PostgreSQL for as long as it takes to connect, and
    /// for others to migrate.
    ///
    /// What is asked of a store on PostgreSQL has to be awaited on a runtime that has a clock.
    ///
    /// Errors: [`Error::Locked`], [`Error::InUse`], [`Error::NewerSchema`], [`Error::Corrupt`] (not
    /// a database, or another program's), [`Error::Connect`], [`Error::Driver`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for the one store that is opened with them"
    )]
    pub fn open(options: Options) -> Result<Self, Error> {
        Self::open_for(&options, Purpose::Use)
    }

    /// The same for a copy. A source that is not there is not made.
    pub(crate) fn open_for(options: &Options, purpose: Purpose) -> Result<Self, Error> {
        match &options.database {
            Database::File(path) => {
                if purpose == Purpose::Source && !path.exists() {
                    let known = 0;
                    return Err(Error::OlderSchema { found: 0, known });
                }
                Self::open_sqlite(options, Some(path), purpose)
            }
            Database::Memory => Self::open_sqlite(options, None, purpose),
            Database::Postgres(postgres) => Self::open_postgres(options, postgres, purpose),
        }
    }

    fn open_sqlite(
        options: &Options,
        path: Option<&Path>,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let Options {
            reader_threads,
            queue,
            batch,
            sharing,
            ..
        } = *options;
        let logs_path = path.map(|path| path.with_file_name(LOGS_FILE));
        if path.is_some() && path == logs_path.as_deref() {
            let taken = format!("{LOGS_FILE} is the name of the database of the logs");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, taken).into());
        }
        let folder = path.map(folder_of).transpose()?;
        let folder = folder.filter(|_| sharing != Sharing::Tool);
        let lock = folder
            .map(|folder| FolderLock::acquire(&folder))
            .transpose()?
            .map(Arc::new);
        let work = WorkSignal::new();
        let (records, migrated) = Pool::sqlite(PoolOptions {
            schema: &schema::RECORDS,
            path,
            reader_threads,
            queue,
            batch,
            lock: lock.clone(),
            work: work.clone(),
            purpose,
        })?;
        let (logs, logs_migrated) = Pool::sqlite(PoolOptions {
            schema: &schema::LOGS,
            path: logs_path.as_deref(),
            reader_threads,
            queue: queue.min(LOGS_QUEUE),
            batch: batch.min(LOGS_QUEUE),
            lock,
            work,
            purpose,
        })?;
        Ok(Self::of(Inner {
            records,
            logs,
            migrated: vec![migrated, logs_migrated],
            shared: None,
        }))
    }

    fn open_postgres(
        options: &Options,
        postgres: &Postgres,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let target = Target::new(postgres)?;
        let migrated = postgres::migrate(&target, &[&schema::RECORDS, &schema::LOGS], purpose)?;
        if purpose != Purpose::Source {
            postgres::look_for_pgvector(&target)?;
        }
        // Told to others, who do not tell it back.
        let us: Arc<str> = format!("{:016x}", RandomState::new().hash_one(())).into();
        let work = WorkSignal::new();
        let presence = match options.sharing {
            Sharing::Server => Some(Presence::Shared),
            Sharing::Alone => Some(Presence::Alone),
            Sharing::Tool => None,
        };
        let listen = |presence| {
            Listener::start(Arc::clone(&target), presence, Arc::clone(&us), work.clone())
        };
        let listener = presence.map(listen).transpose()?;
        let pool = |schema, connections, queue| {
            Pool::postgres(schema, &target, (connections, queue), (&us, &work))
        };
        let logs_queue = options.queue.min(LOGS_QUEUE);
        Ok(Self::of(Inner {
            records: pool(&schema::RECORDS, postgres.connections, options.queue)?,
            logs: pool(&schema::LOGS, postgres.log_connections, logs_queue)?,
            migrated,
            shared: Some(Shared {
                target,
                listener: Mutex::new(listener),
            }),
        }))
    }

    /// A store over records that are worked on elsewhere, and no logs.
    pub(crate) fn over(records: Pool, migrated: Vec<Migrated>) -> Self {
        Self::of(Inner {
            records,
            logs: Pool::absent(),
            migrated,
            shared: None,
        })
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The database of the records.
    pub(crate) fn records(&self) -> &Pool {
        &self.inner.records
    }

    /// The database of the logs, or the tables beside those of the records.
    pub(crate) fn log_records(&self) -> &Pool {
        &self.inner.logs
    }

    /// Whether both are one database, which other processes may use at the same time.
    pub fn is_shared(&self) -> bool {
        self.inner.records.is_shared()
    }

    /// Whether the database has pgvector and is asked for the nearest vectors. It was looked for when
    /// this store was opened; should it go away since, then this becomes false.
    pub fn uses_pgvector(&self) -> bool {
        let shared = self.inner.shared.as_ref();
        shared.is_some_and(|shared| shared.target.pgvector.is_used())
    }

    /// What opening did to the schemas.
    pub fn migrated(&self) -> &[Migrated] {
        &self.inner.migrated
    }

    /// Whether the database of the records answers. The logs are not asked: the server does its
    /// work without them. Does not wait where the database is known to be out of reach.
    pub async fn ping(&self) -> Result<(), Error> {
        if let Some(shared) = &self.inner.shared
            && !shared.target.is_up()
        {
            return Err(Error::Unavailable("the database can not be reached"));
        }
        self.inner
            .records
            .read_one(|tx| tx.exists(PING, &[]).map(|_| ()))
            .await
    }

    /// Takes no more work from any clone, does what is queued, folds the write-ahead logs into
    /// the files and lets go of the folder. Later calls on other clones give
    /// [`Error::Unavailable`].
    pub async fn close(self) {
        self.inner.records.close().await;
        self.inner.logs.close().await;
        if let Some(shared) = &self.inner.shared {
            let listener = shared.listener.lock();
            let listener = listener.unwrap_or_else(PoisonError::into_inner).take();
            if let Some(listener) = listener {
                listener.stop();
            }
        }
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
        Assistants(&self.inner.records)
    }

    /// The threads.
    pub fn threads(&self) -> Threads<'_> {
        Threads(&self.inner.records)
    }

    /// The messages.
    pub fn messages(&self) -> Messages<'_> {
        Messages(&self.inner.records)
    }

    /// The runs.
    pub fn runs(&self) -> Runs<'_> {
        Runs(&self.inner.records)
    }

    /// The run steps.
    pub fn steps(&self) -> Steps<'_> {
        Steps(&self.inner.records)
    }

    /// The stream events of runs.
    pub fn events(&self) -> Events<'_> {
        Events(&self.inner.records)
    }

    /// The API keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys(&self.inner.records)
    }

    /// The workspaces.
    pub fn workspaces(&self) -> Workspaces<'_> {
        Workspaces(&self.inner.records)
    }

    /// The virtual keys.
    pub fn virtual_keys(&self) -> VirtualKeys<'_> {
        VirtualKeys(&self.inner.records)
    }

    /// The saved configs.
    pub fn configs(&self) -> Configs<'_> {
        Configs(&self.inner.records)
    }

    /// The counters of limits.
    pub fn counters(&self) -> Counters<'_> {
        Counters(&self.inner.records)
    }

    /// Which target keeps which object.
    pub fn affinity(&self) -> Affinity<'_> {
        Affinity(&self.inner.records)
    }

    /// The vector stores.
    pub fn vector_stores(&self) -> VectorStores<'_> {
        VectorStores(&self.inner.records)
    }

    /// The files in vector stores.
    pub fn vector_store_files(&self) -> VectorStoreFiles<'_> {
        VectorStoreFiles(&self.inner.records)
    }

    /// The batches of files in vector stores.
    pub fn file_batches(&self) -> FileBatches<'_> {
        FileBatches(&self.inner.records)
    }

    /// The queue of what is to be indexed.
    pub fn indexing(&self) -> Indexing<'_> {
        Indexing(&self.inner.records)
    }

    /// The chunks of files in vector stores.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks(&self.inner.records)
    }

    /// What tells whether a process has the right keys.
    pub fn marks(&self) -> Marks<'_> {
        Marks(&self.inner.records)
    }

    /// The receipts of creations.
    pub fn receipts(&self) -> Receipts<'_> {
        Receipts::of_records(&self.inner.records)
    }

    /// The receipts of what is created among the logs.
    pub fn log_receipts(&self) -> Receipts<'_> {
        Receipts::of_logs(&self.inner.logs)
    }

    /// The files.
    pub fn files(&self) -> Files<'_> {
        Files(&self.inner.records)
    }

    /// What the bytes of files are kept in.
    pub fn blobs(&self) -> Blobs<'_> {
        Blobs(&self.inner.records)
    }

    /// The uploads in parts.
    pub fn uploads(&self) -> Uploads<'_> {
        Uploads(&self.inner.records)
    }

    /// What one process does for all.
    pub fn leases(&self) -> Leases<'_> {
        Leases(&self.inner.records)
    }

    /// The logs, and what people thought of what is in them.
    pub fn logs(&self) -> Logs<'_> {
        Logs(&self.inner.logs)
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
        let (busy, mut is_busy) = tokio::sync::mpsc::channel(1);
        let stuck = store.inner.logs.write(move |_| {
            busy.try_send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        });
        let work = async {
            is_busy.recv().await.unwrap();
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

    /// A statement on the connection that writes, past the methods of the store.
    async fn pragma(store: &Store, sql: &'static str) {
        let set = store
            .inner
            .records
            .write(move |tx| tx.visit(sql, &[], &mut |_| Ok(std::ops::ControlFlow::Continue(()))));
        set.await.unwrap();
    }

    fn thread(n: usize) -> Thread {
        Thread {
            id: ThreadId::trusted(format!("thread_{n}")),
            created_at: Timestamp(0),
            metadata: Metadata::new([("k".to_owned(), "v".repeat(500))]).unwrap(),
            tool_resources: ToolResources::default(),
        }
    }

    /// SQLite's own limit stands for the disk's: it fails at the same places, in the same way.
    #[tokio::test]
    async fn a_full_disk_is_named_and_loses_nothing_that_was_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let ws = WorkspaceId::trusted("ws_1");
        let store = Store::open(Options::file(&path)).unwrap();
        pragma(&store, "PRAGMA max_page_count = 200").await;
        let mut kept = Vec::new();
        let mut refused = None;
        // Alone, and together in one commit.
        for n in (0..1_000).step_by(4) {
            let inserts = (n..n + 4).map(|n| {
                let (store, ws) = (store.clone(), ws.clone());
                async move { (n, store.threads().insert(&ws, thread(n), Vec::new()).await) }
            });
            for (n, end) in futures::future::join_all(inserts).await {
                match end {
                    Ok(()) => kept.push(n),
                    Err(error) => refused = Some(error),
                }
            }
            if refused.is_some() {
                break;
            }
        }
        assert!(matches!(refused, Some(Error::Full)), "{refused:?}");
        assert!(kept.len() > 10, "{}", kept.len());
        // Reading goes on.
        let found = store.threads().get(&ws, &thread(kept[0]).id).await;
        assert_eq!(found.unwrap(), Some(thread(kept[0])));
        // So does writing, once there is room.
        pragma(&store, "PRAGMA max_page_count = 100000").await;
        let inserted = store.threads().insert(&ws, thread(5_000), Vec::new()).await;
        inserted.unwrap();
        kept.push(5_000);
        store.close().await;
        let store = Store::open(Options::file(&path)).unwrap();
        for n in kept {
            let found = store.threads().get(&ws, &thread(n).id).await.unwrap();
            assert_eq!(found, Some(thread(n)));
        }
        store.close().await;
    }

    #[tokio::test]
    async fn a_disk_that_takes_no_writes_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::file(folder.path().join("records.db"))).unwrap();
        let ws = WorkspaceId::trusted("ws_1");
        pragma(&store, "PRAGMA query_only = 1").await;
        let refused = store.threads().insert(&ws, thread(1), Vec::new()).await;
        assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
        assert_eq!(store.threads().get(&ws, &thread(1).id).await.unwrap(), None);
    }
}
