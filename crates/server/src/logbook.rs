//! The logbook: records of requests and model calls on their way into the store, and with them
//! what keys have used. Nobody waits for it: records go through a bounded queue, and what does not
//! fit is counted.

use std::{sync::Arc, time::Duration};

use loomgate_domain::{Clock, feedback::Feedback, log::LogRecord};
use loomgate_gateway::Gateway;
use loomgate_store::Store;
use tokio::{
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{config::Logs, limits::shared};

/// Records in one commit.
const BATCH: usize = 512;
/// The longest that a record waits for others.
const FLUSH: Duration = Duration::from_millis(200);
/// How often old records are looked for.
const PURGE: Duration = Duration::from_mins(10);
/// Old records deleted in one commit.
const PURGED: usize = 2_000;
/// Counters of rates older than this are of no window any more.
const OLDEST_WINDOW_S: i64 = 15 * 24 * 3_600;

const WRITTEN: &str = "loomgate_log_records_written_total";
const DROPPED: &str = "loomgate_log_records_dropped_total";

/// What is handed in. Records are far more frequent than the other, and large all the same.
#[derive(Debug)]
enum Entry {
    Record(Box<LogRecord>),
    /// What a guardrail says of a call.
    Feedback(Box<Feedback>),
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<LogRecord>,
    feedback: Vec<Feedback>,
}

impl Batch {
    fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Record(record) => self.records.push(*record),
            Entry::Feedback(feedback) => self.feedback.push(*feedback),
        }
    }

    fn len(&self) -> usize {
        self.records.len() + self.feedback.len()
    }
}

/// Where records are handed in.
#[derive(Debug, Clone)]
pub struct Logbook {
    queue: mpsc::Sender<Entry>,
    /// Told when a batch is waiting.
    full: Arc<Notify>,
    /// How much of a body is kept; 0: none.
    body_bytes: usize,
    logs: Logs,
}

/// The other end: writes what was handed in.
#[derive(Debug)]
pub struct Scribe {
    queue: mpsc::Receiver<Entry>,
    full: Arc<Notify>,
    retention: Duration,
}

/// A logbook, and what writes it.
pub fn open(logs: Logs) -> (Logbook, Scribe) {
    let (sender, receiver) = mpsc::channel(logs.queue.max(1));
    let full = Arc::new(Notify::new());
    let logbook = Logbook {
        queue: sender,
        full: Arc::clone(&full),
        body_bytes: if logs.bodies { logs.body_bytes } else { 0 },
        logs,
    };
    let scribe = Scribe {
        queue: receiver,
        full,
        retention: logs.retention,
    };
    (logbook, scribe)
}

impl Logbook {
    /// Hands a record in, or counts it as dropped.
    pub(crate) fn write(&self, record: LogRecord) {
        self.hand_in(Entry::Record(Box::new(record)));
    }

    /// The same for what a guardrail says of a call.
    pub(crate) fn judge(&self, feedback: Feedback) {
        self.hand_in(Entry::Feedback(Box::new(feedback)));
    }

    fn hand_in(&self, entry: Entry) {
        match self.queue.try_send(entry) {
            Ok(()) => {
                // Waking the other end for each record would cost more than the record.
                let most = self.queue.max_capacity();
                if most - self.queue.capacity() >= BATCH.min(most) {
                    self.full.notify_one();
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                metrics::counter!(DROPPED).increment(1);
            }
        }
    }

    /// How many bytes of a body are kept.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// What is recorded.
    pub(crate) fn settings(&self) -> Logs {
        self.logs
    }
}

impl Scribe {
    /// Writes until `stop`, and then what is left.
    pub async fn run(
        mut self,
        (store, gateway): (Store, Arc<Gateway>),
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let shared = async {
            if gateway.meter().is_shared() {
                shared::run((&store, &gateway), &*clock, &stop).await;
            }
        };
        tokio::join!(self.write((&store, &gateway), &*clock, &stop), shared);
    }

    async fn write(
        &mut self,
        (store, gateway): (&Store, &Gateway),
        clock: &dyn Clock,
        stop: &CancellationToken,
    ) {
        // At once, or else a server that is often started again would keep them for ever.
        purge(store, clock, self.retention).await;
        let mut due = Instant::now() + PURGE;
        let mut batch = Batch::default();
        while stop
            .run_until_cancelled(self.gather(&mut batch))
            .await
            .is_some()
        {
            flush(store, gateway, &mut batch).await;
            if due <= Instant::now() {
                due = Instant::now() + PURGE;
                purge(store, clock, self.retention).await;
            }
        }
        loop {
            self.take(&mut batch);
            let is_last = batch.len() == 0;
            flush(store, gateway, &mut batch).await;
            if is_last {
                return;
            }
        }
    }

    /// Records until a batch is full, or the first has waited long enough. What keys have used is
    /// written at least as often.
    async fn gather(&mut self, batch: &mut Batch) {
        if self.queue.len() < BATCH {
            // Either will do.
            let _ = timeout(FLUSH, self.full.notified()).await;
        }
        self.take(batch);
    }

    /// What is there, up to a batch.
    fn take(&mut self, batch: &mut Batch) {
        batch.records.reserve(self.queue.len().min(BATCH));
        while batch.len() < BATCH
            && let Ok(entry) = self.queue.try_recv()
        {
            batch.push(entry);
        }
    }
}

async fn flush(store: &Store, gateway: &Gateway, batch: &mut Batch) {
    if !gateway.meter().is_shared() {
        settle(store, gateway).await;
    }
    for feedback in batch.feedback.drain(..) {
        if let Err(error) = store.logs().add_feedback(vec![feedback], None).await {
            tracing::error!(%error, "a guardrail's feedback was not written");
            metrics::counter!(DROPPED).increment(1);
        }
    }
    if batch.records.is_empty() {
        return;
    }
    let count = batch.records.len() as u64;
    match store
        .logs()
        .insert(std::mem::take(&mut batch.records), None)
        .await
    {
        Ok(_) => metrics::counter!(WRITTEN).increment(count),
        Err(error) => {
            tracing::error!(%error, records = count, "log records were not written");
            metrics::counter!(DROPPED).increment(count);
        }
    }
}

/// Writes what keys have used, where nobody else counts it.
async fn settle(store: &Store, gateway: &Gateway) {
    let owed = gateway.owed();
    if !owed.is_empty()
        && let Err(error) = store.counters().settle(owed.clone()).await
    {
        tracing::error!(%error, "what keys have used was not written, and will be tried again");
        gateway.restore(owed);
    }
}

async fn purge(store: &Store, clock: &dyn Clock, retention: Duration) {
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let before_ms = clock.now_ms().saturating_sub(retention_ms);
    loop {
        match store.logs().purge(before_ms, PURGED).await {
            Ok(PURGED..) => {}
            Ok(_) => break,
            Err(error) => {
                tracing::error!(%error, "old log records were not deleted");
                break;
            }
        }
    }
    let oldest = clock.now().0 - OLDEST_WINDOW_S;
    if let Err(error) = store.counters().purge(oldest).await {
        tracing::error!(%error, "old counters were not deleted");
    }
}
