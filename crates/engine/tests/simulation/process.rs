//! One process: an engine on a runtime and a store of its own. It does nothing unless it is told to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use loomgate_domain::{Clock, IdGen};
use loomgate_engine::{ChatModel, Engine, Settings};
use loomgate_store::{DrivenDatabase, Driver, Store};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use crate::{
    model::{Calls, Model},
    random::Random,
};

/// The time, which goes on when the world says so.
#[derive(Default)]
pub(crate) struct VirtualClock(AtomicI64);

impl VirtualClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ids that say who made them: three digits of the process, and a number.
pub(crate) struct Ids {
    process: u32,
    count: AtomicU64,
    random: Mutex<Random>,
}

impl Ids {
    pub(crate) fn new(process: u32, random: Random) -> Self {
        Self {
            process,
            count: AtomicU64::new(0),
            random: Mutex::new(random),
        }
    }
}

impl IdGen for Ids {
    fn fill(&self, bytes: &mut [u8]) {
        if let [byte] = bytes {
            // Chance, and no id.
            *byte = self.random.lock().next().to_le_bytes()[0];
            return;
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // A byte below 10 becomes a digit.
        let text = format!("{:03}{count:021}", self.process);
        bytes.fill(0);
        for (byte, digit) in bytes.iter_mut().zip(text.bytes()) {
            *byte = digit - b'0';
        }
    }
}

/// What processes have in common.
pub(crate) struct Common {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) calls: Arc<Mutex<Calls>>,
    pub(crate) database: DrivenDatabase,
    pub(crate) settings: Settings,
}

/// A process that is alive.
pub(crate) struct Process {
    /// It among all that there were.
    pub(crate) number: u32,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) ids: Arc<Ids>,
    pub(crate) driver: Driver,
    /// Stopped by the operating system: it goes on as if nothing had been.
    pub(crate) is_frozen: bool,
    /// It was told to go.
    pub(crate) is_leaving: bool,
    started: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    clock: Arc<VirtualClock>,
    /// How far its own time is.
    at_ms: i64,
    runtime: Runtime,
}

impl Process {
    pub(crate) fn start(number: u32, common: &Common, random: Random) -> Self {
        // One task at a time, so that a crash may come between any two.
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).event_interval(1);
        let runtime = builder.build().unwrap();
        let (store, driver) = common.database.attach(64).unwrap();
        let ids = Arc::new(Ids::new(number, random));
        let model = Model {
            process: number,
            calls: Arc::clone(&common.calls),
        };
        let engine = Engine::new(
            store.clone(),
            Arc::new(model) as Arc<dyn ChatModel>,
            Arc::clone(&common.clock) as Arc<dyn Clock>,
            Arc::clone(&ids) as Arc<dyn IdGen>,
            common.settings.clone(),
        );
        let process = Self {
            number,
            engine,
            store,
            ids,
            driver,
            is_frozen: false,
            is_leaving: false,
            started: Arc::default(),
            gone: Arc::default(),
            clock: Arc::clone(&common.clock),
            at_ms: common.clock.now_ms(),
            runtime,
        };
        let (engine, started) = (process.engine.clone(), Arc::clone(&process.started));
        process.runtime.spawn(async move {
            if engine.start().await.is_ok() {
                started.store(true, Ordering::Relaxed);
            }
        });
        process
    }

    /// Whether it serves clients.
    pub(crate) fn is_serving(&self) -> bool {
        self.started.load(Ordering::Relaxed) && !self.is_leaving && !self.is_frozen
    }

    /// Whether it has gone as it was told to.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Lets it do some work: so many polls of tasks, at most.
    pub(crate) fn work(&mut self, polls: usize) {
        let behind = self.clock.now_ms() - self.at_ms;
        self.at_ms += behind;
        self.runtime.block_on(async {
            if behind > 0 {
                tokio::time::advance(Duration::from_millis(behind.unsigned_abs())).await;
            }
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Tells it to go, and to finish what it does within `grace`.
    pub(crate) fn leave(&mut self, grace: Duration) {
        self.is_leaving = true;
        let (engine, gone) = (self.engine.clone(), Arc::clone(&self.gone));
        self.runtime.spawn(async move {
            let _left = engine.drain(grace).await;
            gone.store(true, Ordering::Relaxed);
        });
    }

    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::AbortHandle {
        self.runtime.spawn(task).abort_handle()
    }
}
