//! The index of words in few pieces, so that searches are fast: put together when nothing is being indexed.

use std::{sync::Arc, time::Duration};

use super::Shared;

/// How long that waits after a start, and after a file.
const QUIET: Duration = Duration::from_secs(3);
/// From so many pieces on: with fewer, all would be written anew for little.
const MANY: u64 = 6;
/// Between two steps others have their turn at the database.
const PAUSE: Duration = Duration::from_millis(10);

/// Does so at the start and whenever files were indexed. Ends when the indexer drains.
pub(super) async fn merge(shared: Arc<Shared>) {
    loop {
        let ended = shared.ended.notified();
        tokio::pin!(ended);
        // Registered before all else, so that no file is missed.
        ended.as_mut().enable();
        let (mut least, mut pause) = (MANY, QUIET);
        loop {
            tokio::select! {
                biased;
                () = shared.draining.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let is_quiet = shared.working.lock().is_empty();
            if !is_quiet || !step(&shared, least).await {
                break;
            }
            // What was begun is ended.
            (least, pause) = (2, PAUSE);
        }
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = ended => {}
        }
    }
}

/// Whether there was something to put together.
async fn step(shared: &Shared, least: u64) -> bool {
    let chunks = shared.store.chunks();
    chunks.merge_words(least).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the index of words could not be merged");
        false
    })
}
