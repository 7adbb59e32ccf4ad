//! Takes files from the queue, keeps their leases, and sees the work on them through.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use loomgate_domain::vector_store::IndexingErrorCode;
use loomgate_store::{
    ClaimRequest, IndexingClaim, IndexingGuard, IndexingTask, IndexingTurns, Swept,
};
use tokio_util::sync::CancellationToken;

use super::{
    Place, Shared, Unreadable, Working, filling,
    pipeline::{self, Fault, broken},
    renewal,
};

/// How often a file is tried whose failure is this machine's. A file that takes its process down
/// counts, too.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; before each other, twice that of the last.
const PAUSE: Duration = Duration::from_secs(2);
/// How often deleted stores and chunks that nobody searches are looked for.
const SWEEP: Duration = Duration::from_mins(1);
/// About how many rows of them are deleted in one transaction.
const SWEPT: u32 = 500;
/// Between two sweeps that follow each other, others get their turn at the database.
const TURN: Duration = Duration::from_millis(50);
/// How long nothing is indexed until the index of words is put together, so that searches are fast.
const QUIET: Duration = Duration::from_secs(3);
/// From so many pieces on: with fewer, all of it would be written anew for little.
const PIECES: u64 = 6;

/// Starts the loops. They end when the indexer drains.
pub(super) fn spawn(shared: &Arc<Shared>) {
    shared.tasks.spawn(claim_loop(Arc::clone(shared)));
    shared.tasks.spawn(heartbeat_loop(Arc::clone(shared)));
    shared.tasks.spawn(sweep_loop(Arc::clone(shared)));
    shared.tasks.spawn(filling::fill(Arc::clone(shared)));
}

async fn claim_loop(shared: Arc<Shared>) {
    let mut wakeups = shared.store.indexing().wakeups();
    let mut turns = IndexingTurns::default();
    while !shared.draining.is_cancelled() {
        let ended = shared.ended.notified();
        tokio::pin!(ended);
        // Registered before looking into the queue, so that nothing is missed.
        ended.as_mut().enable();
        wakeups.arm();
        let working = shared.working.lock().len();
        let free = shared.settings.concurrency.saturating_sub(working);
        if free > 0 {
            match claim(&shared, free, &mut turns).await {
                Ok(claimed) if claimed == free => continue,
                Ok(claimed) => match renewal::claim(&shared, free - claimed).await {
                    Ok(claims) => begin(&shared, claims),
                    Err(error) => tracing::error!(%error, "taking files to embed failed"),
                },
                Err(error) => tracing::error!(%error, "taking files to index failed"),
            }
        }
        let pause = pause(&shared).await;
        tokio::select! {
            biased;
            () = wakeups.woken() => {}
            () = ended => {}
            () = tokio::time::sleep(pause) => {}
            () = shared.draining.cancelled() => {}
        }
    }
}

/// Until the next file is due that waits for its next attempt, or the queue is looked at anyhow.
async fn pause(shared: &Shared) -> Duration {
    let mut random = [0];
    shared.ids.fill(&mut random);
    let poll = shared.settings.poll;
    let poll = poll + poll * u32::from(random[0]) / 512;
    match shared.store.indexing().next_wake().await {
        Ok(Some(due_ms)) => {
            // Taken once that millisecond has passed.
            let wait = u64::try_from(due_ms + 1 - shared.clock.now_ms()).unwrap_or(0);
            // What is due already is in somebody's hands.
            if wait == 0 {
                poll
            } else {
                poll.min(Duration::from_millis(wait))
            }
        }
        _ => poll,
    }
}

/// Takes up to `max` files and begins with them. Returns how many.
async fn claim(
    shared: &Arc<Shared>,
    max: usize,
    turns: &mut IndexingTurns,
) -> Result<usize, loomgate_store::Error> {
    let queue = shared.store.indexing();
    let claims = queue.claim(request(shared, max), turns).await?;
    let count = claims.len();
    begin(shared, claims);
    Ok(count)
}

/// What is said of this process when it takes files.
pub(super) fn request(shared: &Shared, max: usize) -> ClaimRequest {
    ClaimRequest {
        worker: shared.worker.clone(),
        now_ms: shared.clock.now_ms(),
        lease_ms: lease_ms(shared),
        max: u32::try_from(max).unwrap_or(u32::MAX),
    }
}

/// Begins with files that were taken.
fn begin(shared: &Arc<Shared>, claims: Vec<IndexingClaim>) {
    for claim in claims {
        let stop = shared.draining.child_token();
        let working = Working {
            guard: claim.guard.clone(),
            task: claim.task,
            stop: stop.clone(),
        };
        shared.working.lock().insert(place(&claim.guard), working);
        shared.tasks.spawn(attend(Arc::clone(shared), claim, stop));
    }
}

/// Sees the work on a file through: its faults, its panics, and the process's own end.
async fn attend(shared: Arc<Shared>, claim: IndexingClaim, stop: CancellationToken) {
    let guard = &claim.guard;
    let began = shared.clock.now_ms();
    let ended = if claim.attempt > ATTEMPTS {
        // Whoever took it did not come to its end.
        Err(Fault::Unreadable(broken("the file was given up")))
    } else {
        let work = async {
            match claim.task {
                IndexingTask::Index => pipeline::index(&shared, &claim).await,
                IndexingTask::Renew => renewal::renew(&shared, guard).await,
            }
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Fault::Lost),
            ended = Box::pin(work) => ended.unwrap_or_else(|_panic| {
                tracing::error!(file_id = %guard.file_id, "indexing panicked");
                Err(Fault::Unreadable(broken("the file could not be indexed")))
            }),
        }
    };
    match ended {
        Ok(()) => tracing::info!(
            vector_store_id = %guard.vector_store_id,
            file_id = %guard.file_id,
            duration_ms = shared.clock.now_ms() - began,
            task = ?claim.task,
            "a file was indexed",
        ),
        Err(Fault::Lost) => tracing::debug!(file_id = %guard.file_id, "a file is no longer ours"),
        Err(Fault::Unreadable(unreadable)) => {
            let is_ours = unreadable.code == IndexingErrorCode::ServerError;
            give_up(&shared, &claim, unreadable, is_ours).await;
        }
        Err(Fault::Refused(refused)) => give_up(&shared, &claim, refused, false).await,
        // Another worker takes it up, once its lease has run out.
        Err(Fault::Store(error)) => {
            tracing::error!(file_id = %guard.file_id, %error, "a file was let go of");
        }
    }
    shared.working.lock().remove(&place(guard));
    shared.ended.notify_waiters();
}

/// Tries once more what may be better then, and fails the rest.
async fn give_up(shared: &Shared, claim: &IndexingClaim, unreadable: Unreadable, may_pass: bool) {
    let guard = claim.guard.clone();
    let queue = shared.store.indexing();
    let settled = if may_pass && claim.attempt < ATTEMPTS {
        let first = match claim.task {
            IndexingTask::Index => PAUSE,
            IndexingTask::Renew => renewal::PAUSE,
        };
        let pause = first * 2_u32.pow(claim.attempt.saturating_sub(1));
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        tracing::warn!(
            file_id = %guard.file_id,
            attempt = claim.attempt,
            pause_ms,
            error = %unreadable,
            "indexing failed, will be tried again",
        );
        let at_ms = shared.clock.now_ms().saturating_add(pause_ms);
        queue.retry(guard, at_ms).await
    } else if claim.task == IndexingTask::Renew {
        tracing::warn!(
            file_id = %guard.file_id,
            error = %unreadable,
            "a file that is searched gets no vectors until the next start",
        );
        queue.leave_renewal(guard).await
    } else {
        tracing::info!(file_id = %guard.file_id, error = %unreadable, "a file can not be indexed");
        queue.fail(guard, unreadable.into()).await
    };
    if let Err(error) = settled {
        tracing::error!(file_id = %claim.guard.file_id, %error, "could not tell how indexing ended");
    }
}

async fn heartbeat_loop(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(shared.settings.lease / 3) => {}
        }
        let held: Vec<_> = {
            let working = shared.working.lock();
            working.values().map(|it| it.guard.clone()).collect()
        };
        if held.is_empty() {
            continue;
        }
        let until_ms = shared.clock.now_ms().saturating_add(lease_ms(&shared));
        let queue = shared.store.indexing();
        match queue
            .heartbeat(&shared.worker, held.clone(), until_ms)
            .await
        {
            Ok(still) => {
                let working = shared.working.lock();
                for lost in held.iter().filter(|guard| !still.contains(guard)) {
                    if let Some(it) = working.get(&place(lost)).filter(|it| it.guard == *lost) {
                        it.stop.cancel();
                    }
                }
            }
            Err(error) => tracing::error!(%error, "heartbeat of indexing failed"),
        }
    }
}

/// Gives back the room of what was deleted, and puts the index of words together while nothing is indexed.
async fn sweep_loop(shared: Arc<Shared>) {
    let mut pieces = PIECES;
    loop {
        let ended = shared.ended.notified();
        tokio::pin!(ended);
        // Registered before looking, so that no file is missed.
        ended.as_mut().enable();
        let is_quiet = shared.working.lock().is_empty();
        let stores = shared.store.vector_stores();
        let swept = stores.sweep(SWEPT, is_quiet.then_some(pieces)).await;
        let swept = swept.unwrap_or_else(|error| {
            tracing::error!(%error, "deleting chunks failed");
            Swept::default()
        });
        // What was begun is ended.
        pieces = if swept.is_merged { 2 } else { PIECES };
        let is_done = swept == Swept::default();
        let ended = async {
            ended.await;
            tokio::time::sleep(QUIET).await;
        };
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(if is_done { SWEEP } else { TURN }) => {}
            () = ended, if is_done => {}
        }
    }
}

fn lease_ms(shared: &Shared) -> i64 {
    i64::try_from(shared.settings.lease.as_millis()).unwrap_or(i64::MAX)
}

fn place(guard: &IndexingGuard) -> Place {
    (
        guard.ws.clone(),
        guard.vector_store_id.clone(),
        guard.file_id.clone(),
    )
}
