//! From a file to its chunks.

use loomgate_domain::vector_store::{Chunking, IndexingErrorCode};
use loomgate_search::{ChunkingStrategy, TooManyTokens, chunks, lexical};
use loomgate_store::{Indexed, IndexingClaim, IndexingGuard, NewChunk, NewVector};
use tokio::sync::mpsc;

use super::{Shared, Unreadable, embedding};

/// Chunks in one transaction: others wait for it.
const WRITTEN: usize = 64;
/// Lots of chunks that may wait to be written.
const WAITING: usize = 2;

/// Why a file was not indexed.
pub(super) enum Fault {
    /// The file's own.
    Unreadable(Unreadable),
    /// What trying again does not help against.
    Refused(Unreadable),
    /// Somebody else has it now, or nobody wants it any more.
    Lost,
    /// The store's.
    Store(loomgate_store::Error),
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<loomgate_store::Error> for Fault {
    fn from(error: loomgate_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Indexes a file: reads its text, writes its chunks, and shows them.
pub(super) async fn index(shared: &Shared, claim: &IndexingClaim) -> Result<(), Fault> {
    let guard = &claim.guard;
    let queue = shared.store.indexing();
    if claim.written > 0 {
        // Of another process, which may have cut the text up otherwise.
        held(queue.restart(guard.clone()).await?)?;
    }
    let text = shared.documents.text(&guard.ws, &guard.file_id).await?;
    let (lots, received) = mpsc::channel(WAITING);
    let (chunking, limit) = (claim.chunking, shared.settings.tokens);
    // It takes processor time alone, in seconds for a large file.
    let cutting = tokio::task::spawn_blocking(move || cut(&text, chunking, limit, &lots));
    let (usage_bytes, cut) = tokio::join!(write(shared, guard, received), cutting);
    let usage_bytes = usage_bytes?;
    cut.map_err(|_panic| broken("the text of the file could not be cut up"))??;
    let embedder = shared.settings.embedder.as_ref();
    let indexed = Indexed {
        usage_bytes,
        embedding: embedder.map(|embedder| embedder.identity().to_owned()),
    };
    held(queue.complete(guard.clone(), indexed).await?)
}

/// Gives what comes its vectors and writes it, and returns its bytes.
async fn write(
    shared: &Shared,
    guard: &IndexingGuard,
    mut lots: mpsc::Receiver<Vec<NewChunk>>,
) -> Result<u64, Fault> {
    let mut bytes = 0;
    while let Some(mut lot) = lots.recv().await {
        if let Some(embedder) = &shared.settings.embedder {
            let texts: Vec<&str> = lot.iter().map(|chunk| &*chunk.text).collect();
            let made = embedding::vectors(&shared.store, &**embedder, &guard.ws, &texts).await?;
            for (chunk, vector) in lot.iter_mut().zip(made) {
                chunk.vector = vector;
            }
        }
        bytes += lot
            .iter()
            .map(|chunk| bytes_of(&chunk.text, chunk.vector.as_ref()))
            .sum::<u64>();
        held(shared.store.indexing().write(guard.clone(), lot).await?)?;
    }
    Ok(bytes)
}

/// What a chunk takes: text and vector.
pub(super) fn bytes_of(text: &str, vector: Option<&NewVector>) -> u64 {
    (text.len() + vector.map_or(0, |vector| vector.bytes.len())) as u64
}

/// Cuts a text up and hands it on in lots, until nobody takes them any more.
fn cut(
    text: &str,
    chunking: Chunking,
    limit: usize,
    lots: &mpsc::Sender<Vec<NewChunk>>,
) -> Result<(), Unreadable> {
    let sizes = (
        chunking.max_tokens as usize,
        chunking.overlap_tokens as usize,
    );
    let strategy = ChunkingStrategy::new(sizes.0, sizes.1)
        .map_err(|error| invalid(format!("Its chunking strategy is none: {error}.")))?;
    let mut lot = Vec::with_capacity(WRITTEN);
    for chunk in chunks(text, strategy, limit) {
        let chunk = chunk.map_err(|TooManyTokens { limit }| {
            invalid(format!(
                "The file has more than {limit} tokens, which is the limit. Split it into smaller files."
            ))
        })?;
        lot.push(NewChunk {
            start: chunk.bytes.start as u64,
            tokens: u32::try_from(chunk.tokens).unwrap_or(u32::MAX),
            words: lexical::index_text(chunk.text),
            text: chunk.text.to_owned(),
            vector: None,
        });
        if lot.len() == WRITTEN && lots.blocking_send(std::mem::take(&mut lot)).is_err() {
            return Ok(());
        }
    }
    // Nobody takes it any more: then it does not count.
    let _ = (!lot.is_empty()).then(|| lots.blocking_send(lot));
    Ok(())
}

pub(super) fn held(is_held: bool) -> Result<(), Fault> {
    if is_held { Ok(()) } else { Err(Fault::Lost) }
}

fn invalid(message: String) -> Unreadable {
    Unreadable {
        code: IndexingErrorCode::InvalidFile,
        message,
    }
}

/// A defect of ours.
pub(super) fn broken(what: &str) -> Unreadable {
    Unreadable {
        code: IndexingErrorCode::ServerError,
        message: format!(
            "Something went wrong here: {what}. Put the file into the store once more."
        ),
    }
}
