//! The background of the engine: claiming runs, keeping their leases, ending what has expired.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt;
use loomgate_domain::{
    Metadata, RunId,
    run::{EventId, Input, RunState},
};
use loomgate_store::{ClaimRequest, Guard, Lease};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    command::{self, Leg, Place},
    draft::Draft,
    engine::{Running, Shared},
    entry::{self, HalfTold},
    executor::{Executor, Fault},
    failure,
    recorder::{self, Recorder},
};

/// The most runs claimed in one transaction.
const BATCH: usize = 32;
/// How often expired runs are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often journals and receipts whose time is over are looked for.
const SWEEP_KEPT: Duration = Duration::from_mins(1);
/// About how many rows of journals are deleted in one transaction.
const SWEPT: usize = 1_000;
/// How often, at most, the pause doubles after which another attempt is made at what found no room on
/// the disk.
const DOUBLED: u32 = 6;

/// How many receipts are.
const RECEIPTS_SWEPT: u32 = 1_000;

/// How many files of deleted vector stores are, or chunks that nobody searches.
const CHUNKS_SWEPT: u32 = 200;

/// Starts the loops. They end when the engine drains.
pub(crate) fn spawn(shared: &Arc<Shared>) {
    shared.tasks.spawn(claim_loop(Arc::clone(shared)));
    shared.tasks.spawn(heartbeat_loop(Arc::clone(shared)));
    shared.tasks.spawn(expiry_loop(Arc::clone(shared)));
    shared.tasks.spawn(recorder::flush_loop(Arc::clone(shared)));
    shared.tasks.spawn(sweep_loop(Arc::clone(shared)));
}

/// Waits until no run is being carried out.
pub(crate) async fn idle(shared: &Shared) {
    loop {
        let changed = shared.ended.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if shared.running.lock().is_empty() {
            return;
        }
        changed.await;
    }
}

async fn claim_loop(shared: Arc<Shared>) {
    let mut wakeups = shared.store.runs().wakeups();
    // How often in a row no run could be claimed for want of room.
    let mut misses = 0;
    while !shared.draining.is_cancelled() {
        let place_free = shared.place_free.notified();
        tokio::pin!(place_free);
        // Registered before looking into the queue, so that no wake-up is missed.
        place_free.as_mut().enable();
        wakeups.arm();
        if let Err(error) = stop_cancelled(&shared).await {
            tracing::error!(%error, "looking for cancelled runs failed");
        }
        let free = shared.free_places().min(BATCH);
        if free > 0 {
            let claimed = claim(&shared, free).await;
            misses = match &claimed {
                Err(error) if is_out_of_room(error) => misses + 1,
                _ => 0,
            };
            match claimed {
                Ok(claimed) if claimed == free => continue,
                Ok(_) => shared.may_wait.store(false, Ordering::Relaxed),
                Err(error) => tracing::error!(%error, "claiming runs failed"),
            }
        }
        let pause = grown(poll_pause(&shared), misses);
        tokio::select! {
            biased;
            () = wakeups.woken() => shared.may_wait.store(true, Ordering::Relaxed),
            () = place_free => {}
            () = tokio::time::sleep(pause) => {}
            () = shared.draining.cancelled() => {}
        }
    }
}

/// Stops what another process has cancelled under our hands. What is cancelled here stops at once.
async fn stop_cancelled(shared: &Shared) -> Result<(), loomgate_store::Error> {
    if !shared.store.is_shared() || shared.running.lock().is_empty() {
        return Ok(());
    }
    for (run, fence) in shared.store.runs().cancelling(&shared.worker).await? {
        shared.stop(&run, fence);
    }
    Ok(())
}

/// The pause before a look that nothing called for.
fn poll_pause(shared: &Shared) -> Duration {
    let mut random = [0];
    shared.ids.fill(&mut random);
    let poll = shared.settings.poll;
    poll + poll * u32::from(random[0]) / 512
}

/// Whether the database takes no writes at the moment, and will once somebody has seen to its disk.
fn is_out_of_room(error: &loomgate_store::Error) -> bool {
    matches!(
        error,
        loomgate_store::Error::Full | loomgate_store::Error::ReadOnly
    )
}

/// A pause that was doubled so many times.
fn grown(pause: Duration, times: u32) -> Duration {
    pause * (1 << times.min(DOUBLED))
}

/// Claims up to `max` runs and starts them. Returns how many.
async fn claim(shared: &Arc<Shared>, max: usize) -> Result<usize, loomgate_store::Error> {
    // The drafts are made inside the transaction, and used after it.
    let drafts: Arc<Mutex<HashMap<RunId, Claimed>>> = Arc::default();
    let made = Arc::clone(&drafts);
    let (now, now_ms) = (shared.clock.now(), shared.clock.now_ms());
    let request = ClaimRequest {
        worker: shared.worker.clone(),
        now_ms,
        lease_ms: shared.lease_ms(),
        max: u32::try_from(max).unwrap_or(u32::MAX),
    };
    let runs = shared.store.runs();
    let claims = runs
        .claim(request, move |row| {
            let (run, recorded) = (row.run.clone(), row.recording.is_some());
            let mut draft = Draft::new(run, row.steps.clone(), row.messages.clone(), recorded);
            let half = HalfTold::of(&row.told);
            if let RunState::InProgress { .. } = row.run.state
                && !draft.is_called()
            {
                draft.take_out(half.words.clone());
            }
            draft.restore(half);
            // Claimable states accept it; should one not, the run is taken up as it is.
            if let Err(error) = draft.step(now, Input::Start) {
                tracing::error!(run_id = %row.run.id, %error, "claimed a run that can not start");
            }
            let mut change = draft.change(now_ms);
            let after = row.recording.map(|journal| journal.last);
            change.events = row.recording.and_then(|journal| {
                let first = EventId {
                    attempt: journal.attempt,
                    number: journal.last.number + 1,
                };
                entry::row(draft.told(), first)
            });
            let claimed = Claimed { draft, after };
            made.lock().insert(row.run.id.clone(), claimed);
            change
        })
        .await?;
    let count = claims.len();
    for claim in claims {
        if let Some(claimed) = drafts.lock().remove(&claim.run.id) {
            let guard = Guard {
                ws: claim.ws,
                thread: claim.run.thread_id,
                run: claim.run.id,
                fence: claim.fence,
                version: claim.version,
            };
            start(shared, guard, claim.run.metadata, claimed);
        }
    }
    Ok(count)
}

/// A run that is being claimed.
pub(crate) struct Claimed {
    pub(crate) draft: Draft,
    /// The last event before the claim, if the leg is recorded.
    pub(crate) after: Option<EventId>,
}

/// Carries a run out that has been claimed.
pub(crate) fn start(shared: &Arc<Shared>, guard: Guard, metadata: Metadata, claimed: Claimed) {
    let Claimed { mut draft, after } = claimed;
    let stop = CancellationToken::new();
    let running = Running {
        ws: guard.ws.clone(),
        fence: guard.fence,
        stop: stop.clone(),
        rests: false,
    };
    shared.running.lock().insert(guard.run.clone(), running);
    let told = draft.committed(metadata);
    let recorder = after.map(|after| {
        let first = EventId {
            attempt: guard.fence,
            number: after.number + 1,
        };
        let told = entry::slots(&told, first, &mut draft.run);
        let hold = shared.bus.hold(&guard.run);
        hold.log.adopt(guard.ws.clone(), guard.fence, after, told);
        Arc::new(Recorder::new(shared, hold, guard.fence))
    });
    if recorder.is_none() {
        shared.bus.wake(&guard.run);
    }
    let executor = Executor {
        shared: Arc::clone(shared),
        recorder,
        guard,
        draft,
        stop,
        due: None,
    };
    shared.tasks.spawn(attend(Arc::clone(shared), executor));
}

/// Sees an executor through: its faults, its panics, and the process's own end.
async fn attend(shared: Arc<Shared>, executor: Executor) {
    let guard = executor.guard.clone();
    let recorder = executor.recorder.clone();
    let flush = async || {
        if let Some(recorder) = &recorder {
            recorder.flush(&shared).await;
        }
    };
    let work = AssertUnwindSafe(executor.execute()).catch_unwind();
    let ended = tokio::select! {
        biased;
        ended = Box::pin(work) => Some(ended),
        () = shared.closing.cancelled() => None,
    };
    let mut lacks_room = false;
    match ended {
        Some(Ok(Ok(()))) => {}
        None => flush().await,
        Some(Ok(Err(Fault::Lost))) => {
            tracing::debug!(run_id = %guard.run, "run is no longer ours");
            if let Some(recorder) = &recorder {
                recorder.lost();
            }
        }
        // It goes on from its last commit, once its lease has run out.
        Some(Ok(Err(Fault::Store(
            error @ (loomgate_store::Error::Unavailable(_) | loomgate_store::Error::Interrupted),
        )))) => {
            tracing::warn!(run_id = %guard.run, %error, "run is let go of");
        }
        // Nothing of its last commit stands. That is no reason to fail what was acknowledged.
        Some(Ok(Err(Fault::Store(error)))) if is_out_of_room(&error) => {
            tracing::error!(run_id = %guard.run, %error, "run is let go of");
            lacks_room = true;
        }
        Some(Ok(Err(error))) => {
            tracing::error!(run_id = %guard.run, %error, "run broke off");
            flush().await;
            fail_internally(&shared, &guard).await;
        }
        Some(Err(_panic)) => {
            tracing::error!(run_id = %guard.run, "executor panicked");
            flush().await;
            fail_internally(&shared, &guard).await;
        }
    }
    drop(recorder);
    shared.leave(&guard);
    if lacks_room {
        put_off(&shared, guard).await;
    }
    shared.ended.notify_waiters();
}

/// Has the lease of a run that was let go of end after a while, which is longer each time that the run
/// was taken up: each attempt asks its model again.
async fn put_off(shared: &Shared, guard: Guard) {
    let times = u32::try_from(guard.fence).unwrap_or(DOUBLED);
    let pause = grown(shared.settings.poll, times).as_millis();
    let until_ms = i64::try_from(pause).unwrap_or(i64::MAX);
    let until_ms = shared.clock.now_ms().saturating_add(until_ms);
    let lease = Lease {
        ws: guard.ws,
        run: guard.run,
        fence: guard.fence,
    };
    let runs = shared.store.runs();
    // Where there is no room for that either, the lease runs out as it is.
    if let Err(error) = runs.heartbeat(&shared.worker, vec![lease], until_ms).await {
        tracing::debug!(%error, "the lease of a run that was let go of stays as it is");
    }
}

/// A defect of ours must not leave a thread locked: the run fails.
async fn fail_internally(shared: &Arc<Shared>, guard: &Guard) {
    let place = Place {
        ws: guard.ws.clone(),
        thread: guard.thread.clone(),
        run: guard.run.clone(),
    };
    let ended = end(shared, &place, |state| match state {
        RunState::Cancelling { .. } => Input::Stop,
        _ => Input::Fail(failure::internal()),
    });
    if let Err(error) = ended.await {
        tracing::error!(run_id = %guard.run, %error, "could not fail the run; its lease will run out");
    }
}

/// Ends a run from outside its executor. One that can not be ended so is left alone.
async fn end(
    shared: &Arc<Shared>,
    place: &Place,
    input: fn(&RunState) -> Input,
) -> Result<(), loomgate_store::Error> {
    let _ended_or_illegal = command::command(shared, place, Leg::Present, input).await?;
    Ok(())
}

async fn heartbeat_loop(shared: Arc<Shared>) {
    let every = shared.settings.lease / 3;
    let lease_ms = shared.lease_ms();
    loop {
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let held: Vec<Lease> = {
            let running = shared.running.lock();
            let lease = |(run, it): (&RunId, &Running)| Lease {
                ws: it.ws.clone(),
                run: run.clone(),
                fence: it.fence,
            };
            running.iter().map(lease).collect()
        };
        if held.is_empty() {
            continue;
        }
        let until_ms = shared.clock.now_ms().saturating_add(lease_ms);
        let runs = shared.store.runs();
        match runs.heartbeat(&shared.worker, held.clone(), until_ms).await {
            Ok(still) => {
                let lost = held.into_iter().filter(|lease| !still.contains(&lease.run));
                for lease in lost {
                    shared.stop(&lease.run, lease.fence);
                }
            }
            Err(error) => tracing::error!(%error, "heartbeat failed"),
        }
    }
}

async fn expiry_loop(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let due = match shared.store.runs().due(shared.clock.now(), 100).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "looking for expired runs failed");
                continue;
            }
        };
        for (ws, thread, run) in due {
            // Whoever carries it out has a timer of its own.
            if shared.running.lock().contains_key(&run) {
                continue;
            }
            let place = Place { ws, thread, run };
            if let Err(error) = end(&shared, &place, |_| Input::Expire).await {
                tracing::error!(run_id = %place.run, %error, "could not expire a run");
            }
        }
    }
}

/// Deletes the journals of runs that ended long ago, receipts that have expired, and what is left of
/// vector stores.
async fn sweep_loop(shared: Arc<Shared>) {
    let retention = i64::try_from(shared.settings.stream_retention.as_millis());
    let retention_ms = retention.unwrap_or(i64::MAX);
    loop {
        let before_ms = shared.clock.now_ms().saturating_sub(retention_ms);
        let pause = match sweep(&shared, before_ms).await {
            Ok(0) => SWEEP_KEPT,
            // There may be more. Others get their turn at the database first.
            Ok(_) => Duration::from_millis(50),
            Err(error) => {
                tracing::error!(%error, "deleting what nobody needs any more failed");
                SWEEP_KEPT
            }
        };
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn sweep(shared: &Shared, before_ms: i64) -> Result<usize, loomgate_store::Error> {
    let journals = shared.store.events().sweep(before_ms, SWEPT).await?;
    let now = shared.clock.now();
    let receipts = shared.store.receipts().sweep(now, RECEIPTS_SWEPT).await?;
    let receipts = receipts
        + shared
            .store
            .log_receipts()
            .sweep(now, RECEIPTS_SWEPT)
            .await?;
    let stores = shared.store.vector_stores();
    let chunks = stores.sweep(CHUNKS_SWEPT, None).await?.rows;
    Ok(journals + receipts + chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_tried_at_pauses_that_grow_to_a_longest() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (0..9).map(|times| grown(second, times).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }
}
