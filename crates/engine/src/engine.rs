//! The engine: what its parts share, and how it starts and stops.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::{Clock, IdGen, Limits, RunId, Timestamp, WorkspaceId};
use loomgate_store::Store;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{ChatModel, Embedder, Reranker, bus::Bus, making::Making, vectors::Vectors, worker};

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limits of the contract.
    pub limits: Limits,
    /// Runs carried out at once.
    pub concurrency: usize,
    /// How long a worker owns a run without a sign of life.
    pub lease: Duration,
    /// How often the queue is looked at although nothing woke the worker; up to half as long more,
    /// so that several do not look at once.
    pub poll: Duration,
    /// Whether runs are carried out here; otherwise by other processes.
    pub workers: bool,
    /// How long deltas may wait to be stored.
    pub flush_every: Duration,
    /// Bytes of a model's text that do not wait any longer.
    pub flush_bytes: usize,
    /// How often streams of a run that another process carries out look for events, although
    /// nothing woke them.
    pub follow: Duration,
    /// How long the events of a run are kept once it has ended.
    pub stream_retention: Duration,
    /// What makes vectors of questions; without it, files are found by their words alone.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// What has the last word on what was found; without it, the fused ranking stands.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// The most bytes of vectors that are kept in memory.
    pub vector_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            concurrency: 256,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            workers: true,
            flush_every: Duration::from_millis(50),
            flush_bytes: 16 * 1024,
            follow: Duration::from_millis(100),
            stream_retention: Duration::from_hours(1),
            embedder: None,
            reranker: None,
            vector_bytes: 512 << 20,
        }
    }
}

/// How often a start tries what the line to the database broke under.
const STARTS: usize = 5;

/// Tries once more what does no harm twice, where nobody knows whether it was done: a process does not
/// fail to start for a line that broke once.
pub(crate) async fn persist<'a, T>(
    attempt: impl Fn() -> BoxFuture<'a, Result<T, loomgate_store::Error>>,
) -> Result<T, loomgate_store::Error> {
    for _ in 1..STARTS {
        match attempt().await {
            Err(loomgate_store::Error::Interrupted) => {}
            done => return done,
        }
    }
    attempt().await
}

/// Carries out runs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What the engine's parts share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) model: Arc<dyn ChatModel>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGen>,
    pub(crate) settings: Settings,
    /// Search by meaning, where there is an embedder.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) bus: Arc<Bus>,
    /// Wakes the worker: a place is free.
    pub(crate) place_free: Notify,
    /// Tells that a run is no longer carried out.
    pub(crate) ended: Notify,
    /// This process among the owners of leases.
    pub(crate) worker: String,
    pub(crate) running: Mutex<BTreeMap<RunId, Running>>,
    /// Places that are kept for runs that are being made (`places.rs`).
    pub(crate) reserved: AtomicUsize,
    /// Whether runs may wait in the queue, which come before new ones.
    pub(crate) may_wait: AtomicBool,
    pub(crate) tasks: TaskTracker,
    /// Runs that were let go of between two turns, because this process is going away.
    pub(crate) handed_over: AtomicUsize,
    /// Fires when no further run is to be taken up, and no further turn to be begun.
    pub(crate) draining: CancellationToken,
    /// Fires when everything is to be let go of.
    pub(crate) closing: CancellationToken,
}

impl Shared {
    /// How long a worker owns a run without a sign of life, in milliseconds.
    pub(crate) fn lease_ms(&self) -> i64 {
        i64::try_from(self.settings.lease.as_millis()).unwrap_or(i64::MAX)
    }

    /// Has an executor look whether the run is still its own: this lease is lost, it seems.
    pub(crate) fn stop(&self, run: &RunId, fence: i64) {
        let running = self.running.lock();
        if let Some(it) = running.get(run).filter(|it| it.fence == fence) {
            it.stop.cancel();
        }
    }
}

/// A run that this process carries out.
pub(crate) struct Running {
    pub(crate) ws: WorkspaceId,
    pub(crate) fence: i64,
    pub(crate) stop: CancellationToken,
    /// It waits for something else than a model, and takes no place (`places.rs`).
    pub(crate) rests: bool,
}

impl Engine {
    /// An engine that accepts commands; [`Engine::start`] makes it carry out runs, too.
    pub fn new(
        store: Store,
        model: Arc<dyn ChatModel>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
        settings: Settings,
    ) -> Self {
        let worker = format!("worker_{}", loomgate_domain::id::random_text(&*ids, 16));
        let embedder = settings.embedder.clone();
        let vectors =
            embedder.map(|embedder| Vectors::new(store.clone(), embedder, settings.vector_bytes));
        Self {
            shared: Arc::new(Shared {
                store,
                model,
                clock,
                ids,
                settings,
                vectors,
                bus: Arc::default(),
                place_free: Notify::new(),
                ended: Notify::new(),
                worker,
                running: Mutex::default(),
                reserved: AtomicUsize::new(0),
                may_wait: AtomicBool::new(true),
                tasks: TaskTracker::new(),
                handed_over: AtomicUsize::new(0),
                draining: CancellationToken::new(),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// Takes back what an earlier process left in flight, and starts to carry out runs. Without
    /// [`Settings::workers`], nothing is started.
    pub async fn start(&self) -> Result<(), loomgate_store::Error> {
        if !self.shared.settings.workers {
            return Ok(());
        }
        let now_ms = self.shared.clock.now_ms();
        let runs = self.shared.store.runs();
        let resumed = persist(|| runs.recover(now_ms).boxed()).await?;
        if resumed > 0 {
            tracing::info!(runs = resumed, "resuming runs that were in flight");
        }
        worker::spawn(&self.shared);
        Ok(())
    }

    /// Takes up no further run, waits for the turns that are under way, at most for `grace`, and gives
    /// the runs that have not ended back to the queue, each as soon as its turn is over: another process
    /// resumes them. Returns how many.
    pub async fn drain(&self, grace: Duration) -> Result<usize, loomgate_store::Error> {
        let shared = &self.shared;
        shared.draining.cancel();
        shared.tasks.close();
        let left = if tokio::time::timeout(grace, worker::idle(shared))
            .await
            .is_ok()
        {
            0
        } else {
            shared.running.lock().len()
        };
        shared.closing.cancel();
        shared.bus.hang_up();
        // Everything that is left stops at its next await.
        if tokio::time::timeout(Duration::from_secs(5), shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some runs did not stop in time");
        }
        shared.store.runs().release_all(&shared.worker).await?;
        Ok(left + shared.handed_over.load(Ordering::Relaxed))
    }

    /// Makes records at this moment.
    pub(crate) fn making(&self, now: Timestamp) -> Making<'_> {
        Making {
            ids: &self.shared.ids,
            now,
            limits: &self.shared.settings.limits,
        }
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.shared.bus.open_streams()
    }

    /// How many runs this process carries out at the moment.
    pub fn running(&self) -> usize {
        self.shared.running.lock().len()
    }
}
