//! Telling the events of a run that is carried out here, and storing them.
//!
//! A delta goes to readers at once, and to the table soon: one task stores what all runs have
//! pending, in one transaction every [`crate::Settings::flush_every`]. State events are stored by
//! the commit that makes them true, together with the deltas that stand before them.
//!
//! Invariant: the order of the table is that of the stream.
//! Invariant: a worker that lost its lease stores nothing.

use std::sync::Arc;

use loomgate_domain::Run;
use loomgate_store::{Error, Flush};

use crate::{
    bus::{Bus, Hold},
    engine::Shared,
    entry::{self, Entry},
    log::Pending,
};

/// The most bytes of a model's text that one run has pending; the model waits for the disk then.
const MAX_PENDING: usize = 1024 * 1024;

/// How long a flush that failed is put off.
const FAILED: std::time::Duration = std::time::Duration::from_millis(500);

/// Tells and stores the events of one run under one lease.
#[derive(Debug)]
pub(crate) struct Recorder {
    hold: Hold,
    bus: Arc<Bus>,
    fence: i64,
    flush_bytes: usize,
}

impl Recorder {
    /// The log has to be adopted for this lease.
    pub(crate) fn new(shared: &Shared, hold: Hold, fence: i64) -> Self {
        Self {
            hold,
            bus: Arc::clone(&shared.bus),
            fence,
            flush_bytes: shared.settings.flush_bytes,
        }
    }

    /// Tells a delta. Whether the run is still told of here.
    pub(crate) fn tell(&self, delta: Entry, run: &mut Run) -> bool {
        let Some(backlog) = self.hold.log.tell(self.fence, delta, run) else {
            return false;
        };
        if backlog.begins {
            self.bus.store(&self.hold.log);
        }
        if backlog.bytes >= self.flush_bytes {
            self.bus.hurry.notify_one();
        }
        true
    }

    /// Whether so much is pending that [`Recorder::drained`] is worth waiting for.
    pub(crate) fn is_full(&self) -> bool {
        self.hold.log.pending_bytes() > MAX_PENDING
    }

    /// Waits until less is pending.
    pub(crate) async fn drained(&self) {
        loop {
            let settled = self.hold.log.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if !self.is_full() {
                return;
            }
            settled.await;
        }
    }

    /// Takes what is pending; nobody else stores any of it meanwhile. `None`: the lease is lost.
    pub(crate) async fn take(&self) -> Option<Pending> {
        loop {
            let settled = self.hold.log.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if let Some(pending) = self.hold.log.take(Some(self.fence)) {
                return Some(pending);
            }
            if !self.hold.log.is_told_by(self.fence) {
                return None;
            }
            settled.await;
        }
    }

    /// Stores what is pending now.
    pub(crate) async fn flush(&self, shared: &Shared) {
        if let Some(pending) = self.take().await {
            write(shared, vec![pending]).await;
        }
    }

    /// The lease is lost: whatever was told and not stored may be told otherwise by another.
    pub(crate) fn lost(&self) {
        self.hold.log.retire(self.fence, false);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.hold.log.retire(self.fence, true);
    }
}

/// Stores what is pending, until the engine closes.
pub(crate) async fn flush_loop(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.bus.pending.notified() => {}
        }
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.bus.hurry.notified() => {}
            () = tokio::time::sleep(shared.settings.flush_every) => {}
        }
        let mut batch = Vec::new();
        for log in shared.bus.take_dirty() {
            // Where none is to be had, a commit takes it along.
            batch.extend(log.take(None).filter(|pending| !pending.entries.is_empty()));
        }
        let logs: Vec<_> = batch.iter().map(|it| Arc::clone(&it.log)).collect();
        if !write(&shared, batch).await {
            for log in &logs {
                shared.bus.store(log);
            }
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return,
                () = tokio::time::sleep(FAILED) => {}
            }
        }
    }
}

/// Stores deltas of any runs in one transaction. Whether that went well; otherwise they are
/// pending again.
async fn write(shared: &Shared, batch: Vec<Pending>) -> bool {
    let mut pending = Vec::with_capacity(batch.len());
    let mut flushes = Vec::with_capacity(batch.len());
    for it in batch {
        let Some(row) = entry::row(&it.entries, it.first()) else {
            continue;
        };
        flushes.push(Flush {
            ws: it.ws.clone(),
            run: it.log.run.clone(),
            fence: it.fence,
            after: it.after,
            row,
        });
        pending.push(it);
    }
    if flushes.is_empty() {
        return true;
    }
    let last: Vec<_> = flushes.iter().map(|flush| flush.row.last).collect();
    let kept = match append(shared, flushes).await {
        Ok(kept) => kept,
        Err(error) => {
            tracing::error!(%error, runs = pending.len(), "storing stream events failed");
            return false;
        }
    };
    for ((it, last), kept) in pending.into_iter().zip(last).zip(kept) {
        let (log, fence) = (Arc::clone(&it.log), it.fence);
        it.settle(last);
        if !kept {
            log.retire(fence, false);
            shared.stop(&log.run, fence);
        }
    }
    true
}

/// Stores deltas; whether each was kept. When the connection to the database was lost meanwhile, this
/// goes on until it is known: a commit would store what is pending once more.
async fn append(shared: &Shared, mut flushes: Vec<Flush>) -> Result<Vec<bool>, Error> {
    let events = shared.store.events();
    let mut is_in_doubt = false;
    loop {
        let again = shared.store.is_shared().then(|| flushes.clone());
        let error = match events.append(flushes, shared.clock.now_ms()).await {
            Ok(kept) => return Ok(kept),
            Err(error) => error,
        };
        is_in_doubt |= matches!(error, Error::Interrupted);
        flushes = match again {
            Some(flushes) if is_in_doubt => flushes,
            _ => return Err(error),
        };
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return Err(error),
            () = tokio::time::sleep(FAILED) => {}
        }
    }
}
