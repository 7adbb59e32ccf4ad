//! Indexing: files that were put into vector stores become chunks that searches find.
//!
//! The queue is the store's (`vector_stores/queue.rs` there): a row of a file in a store is its own
//! entry, with a lease and a fence as a run has. A worker takes a file, has its text read, cuts it up,
//! has the chunks embedded and writes them, a few at a time, where no search sees them; the commit that ends the work
//! shows all of them. What a worker left half done is begun anew by the next one.
//!
//! Files that were indexed without an embedder, or with another one, get its vectors when nothing else is
//! to be done (`renewal`).
//!
//! Invariant: of a file all chunks are found, or none.
//! Invariant: every file ends `completed`, `failed` or `cancelled`, also one that takes its workers down.
//! Invariant: a client that goes away, or another file, never changes what becomes of a file.

mod embedding;
mod filling;
mod pipeline;
mod renewal;
mod worker;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::{
    Clock, FileId, IdGen, VectorStoreId, WorkspaceId,
    id::random_text,
    vector_store::{IndexingError, IndexingErrorCode},
};
use loomgate_store::{IndexingGuard, IndexingTask, Store};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Embedder, engine::persist};

/// Where the texts of files come from. The server implements it over its files and the readers of
/// document formats.
pub trait Documents: Send + Sync + 'static {
    /// The text of a file, or why it has none. Dropping the future ends the work on it.
    fn text<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<String, Unreadable>>;
}

/// Why a file has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// Whose fault it is. What is this machine's ([`IndexingErrorCode::ServerError`]) is tried again.
    pub code: IndexingErrorCode,
    /// For whoever uploaded the file: what is wrong, and how to mend it.
    pub message: String,
}

/// How files are indexed.
#[derive(Debug, Clone)]
pub struct IndexingSettings {
    /// Files that are worked on at once.
    pub concurrency: usize,
    /// The most tokens of a file.
    pub tokens: usize,
    /// How long a worker owns a file without a sign of life.
    pub lease: Duration,
    /// How often the queue is looked at although nothing called for it; up to half as long more.
    pub poll: Duration,
    /// Whether files are indexed here; otherwise by other processes.
    pub workers: bool,
    /// What makes vectors of chunks; without it they are found by their words alone.
    pub embedder: Option<Arc<dyn Embedder>>,
}

impl Default for IndexingSettings {
    fn default() -> Self {
        Self {
            concurrency: 2,
            tokens: loomgate_search::DEFAULT_TOKEN_LIMIT,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            workers: true,
            embedder: None,
        }
    }
}

/// Indexes files. Cheap to clone.
#[derive(Clone)]
pub struct Indexer {
    shared: Arc<Shared>,
}

/// What the parts of an [`Indexer`] share.
struct Shared {
    store: Store,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    settings: IndexingSettings,
    /// This process among the owners of leases.
    worker: String,
    /// Behind which number there may be files that want other vectors; none: all were looked at.
    outdated: Mutex<Option<i64>>,
    /// What is being worked on.
    working: Mutex<BTreeMap<Place, Working>>,
    /// Tells that a file is no longer worked on.
    ended: Notify,
    tasks: TaskTracker,
    /// Fires when no further file is to be taken up.
    draining: CancellationToken,
}

/// Where a file stands in the queue.
type Place = (WorkspaceId, VectorStoreId, FileId);

/// A file that this process works on.
struct Working {
    guard: IndexingGuard,
    task: IndexingTask,
    /// Fires when the lease is lost, or the process stops.
    stop: CancellationToken,
}

impl Indexer {
    /// An indexer; [`Indexer::start`] makes it work.
    pub fn new(
        (store, documents): (Store, Arc<dyn Documents>),
        (clock, ids): (Arc<dyn Clock>, Arc<dyn IdGen>),
        settings: IndexingSettings,
    ) -> Self {
        let worker = format!("indexer_{}", random_text(&*ids, 16));
        let outdated = Mutex::new(settings.embedder.as_ref().map(|_| 0));
        Self {
            shared: Arc::new(Shared {
                store,
                documents,
                clock,
                ids,
                settings,
                worker,
                outdated,
                working: Mutex::default(),
                ended: Notify::new(),
                tasks: TaskTracker::new(),
                draining: CancellationToken::new(),
            }),
        }
    }

    /// Takes back what an earlier process left half done, and starts to work. Without
    /// [`IndexingSettings::workers`], nothing is started.
    pub async fn start(&self) -> Result<(), loomgate_store::Error> {
        let shared = &self.shared;
        if !shared.settings.workers {
            return Ok(());
        }
        let now_ms = shared.clock.now_ms();
        let queue = shared.store.indexing();
        let left = persist(|| queue.recover(now_ms).boxed()).await?;
        if left > 0 {
            tracing::info!(files = left, "indexing files that were left half done");
        }
        worker::spawn(shared);
        Ok(())
    }

    /// Stops: what is half done is given back to the queue, for the next process. Returns how many
    /// files that are.
    pub async fn drain(&self) -> Result<u64, loomgate_store::Error> {
        let shared = &self.shared;
        shared.draining.cancel();
        shared.tasks.close();
        shared.tasks.wait().await;
        shared.store.indexing().release_all(&shared.worker).await
    }
}

impl std::fmt::Debug for Indexer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexer")
            .field("worker", &self.shared.worker)
            .finish_non_exhaustive()
    }
}

impl From<Unreadable> for IndexingError {
    fn from(Unreadable { code, message }: Unreadable) -> Self {
        Self { code, message }
    }
}
