//! Vectors for files that are searched already: they were indexed before there was an embedder, or by
//! another one.
//!
//! Each process goes through all files once after its start, and only while nobody waits to be indexed.
//! Once, because two processes that are configured otherwise, as while an update is rolled out, would
//! else replace each other's vectors for ever.

use std::time::Duration;

use loomgate_store::{Indexed, IndexingClaim, IndexingGuard, IndexingTask};

use super::{
    Shared, embedding,
    pipeline::{Fault, bytes_of, held},
    worker::request,
};

/// The pause before the second attempt: nobody waits, and a provider that is down is not asked about
/// every file in turn.
pub(super) const PAUSE: Duration = Duration::from_mins(1);
/// Chunks that are read, embedded and written at a time.
const PAGE: u32 = 64;

/// Takes files that want other vectors, up to `free`, so that one place at least is left to new files.
pub(super) async fn claim(
    shared: &Shared,
    free: usize,
) -> Result<Vec<IndexingClaim>, loomgate_store::Error> {
    let after = *shared.outdated.lock();
    let (Some(after), Some(embedder)) = (after, &shared.settings.embedder) else {
        return Ok(Vec::new());
    };
    let places = shared.settings.concurrency.saturating_sub(1).max(1);
    let taken = {
        let working = shared.working.lock();
        let tasks = working.values().map(|working| working.task);
        tasks.filter(|task| *task == IndexingTask::Renew).count()
    };
    let most = places.saturating_sub(taken).min(free);
    if most == 0 {
        return Ok(Vec::new());
    }
    let queue = shared.store.indexing();
    let identity = embedder.identity();
    let outdated = queue.claim_outdated(request(shared, most), identity, after);
    let outdated = outdated.await?;
    *shared.outdated.lock() = outdated.after;
    if outdated.after.is_none() {
        tracing::info!(
            embedding = identity,
            "the last files without vectors of the embedding model are being embedded, if there are any",
        );
    }
    Ok(outdated.claims)
}

/// Gives the chunks of a file other vectors. Without an embedder, it stays as it is.
pub(super) async fn renew(shared: &Shared, guard: &IndexingGuard) -> Result<(), Fault> {
    let queue = shared.store.indexing();
    let Some(embedder) = &shared.settings.embedder else {
        return held(queue.leave_renewal(guard.clone()).await?);
    };
    let now = shared.clock.now();
    let begun = queue.begin_renewal(guard.clone(), now).await?;
    let place = begun.ok_or(Fault::Lost)?;
    let chunks = shared.store.chunks();
    let (mut from, mut usage_bytes) = (Some(0), 0);
    while let Some(first) = from {
        let page = chunks.texts(&guard.ws, place, first, PAGE).await?;
        let texts: Vec<&str> = page.iter().map(|chunk| &*chunk.text).collect();
        let made = embedding::vectors(&shared.store, &**embedder, &guard.ws, &texts).await?;
        let each = texts.iter().zip(&made);
        usage_bytes += each
            .map(|(text, vector)| bytes_of(text, vector.as_ref()))
            .sum::<u64>();
        let vectors = page.iter().zip(made);
        let vectors = vectors.filter_map(|(chunk, vector)| Some((chunk.chunk, vector?)));
        held(
            queue
                .write_vectors(guard.clone(), vectors.collect())
                .await?,
        )?;
        let last = page.last().filter(|_| page.len() == PAGE as usize);
        from = last.and_then(|last| last.position.checked_add(1));
    }
    let indexed = Indexed {
        usage_bytes,
        embedding: Some(embedder.identity().to_owned()),
    };
    held(queue.complete_renewal(guard.clone(), indexed).await?)
}
