//! Vectors for chunks on their way into the store.

use std::collections::BTreeMap;

use loomgate_domain::{WorkspaceId, vector_store::IndexingErrorCode};
use loomgate_search::vector::to_stored;
use loomgate_store::{Digest, NewChunk, NewVector, Store};

use super::{Unreadable, pipeline::Fault};
use crate::{EmbedError, Embedder, Purpose};

/// Gives each chunk its vector. What the workspace has a vector of already, from this file as it was
/// before, from an attempt that failed half way, or from another file, is not embedded again.
/// Blank chunks have none.
pub(super) async fn give_vectors(
    store: &Store,
    embedder: &dyn Embedder,
    workspace: &WorkspaceId,
    lot: &mut [NewChunk],
) -> Result<(), Fault> {
    let is_blank = |chunk: &NewChunk| chunk.text.trim().is_empty();
    let digest_of = |chunk: &NewChunk| digest(embedder.identity(), &chunk.text);
    let chunks = lot.iter().filter(|chunk| !is_blank(chunk));
    // Each text once.
    let texts: BTreeMap<Digest, &str> = chunks
        .map(|chunk| (digest_of(chunk), chunk.text.as_str()))
        .collect();
    let digests: Vec<Digest> = texts.keys().copied().collect();
    let known = store.chunks().known_vectors(workspace, digests).await?;
    let (mut vectors, mut missing) = (BTreeMap::new(), Vec::new());
    for ((digest, text), vector) in texts.into_iter().zip(known) {
        match vector {
            Some(vector) => {
                vectors.insert(digest, vector);
            }
            None => missing.push((digest, text)),
        }
    }
    if !missing.is_empty() {
        let (digests, texts): (Vec<Digest>, Vec<&str>) = missing.into_iter().unzip();
        let made = embedder.embed(workspace, &texts, Purpose::Indexing).await;
        let made = made.map_err(Fault::from)?;
        if made.len() != digests.len() {
            return Err(EmbedError::Unavailable(format!(
                "Of {} texts {} were embedded.",
                digests.len(),
                made.len()
            ))
            .into());
        }
        for (digest, embedding) in digests.into_iter().zip(made) {
            let stored = to_stored(&embedding).map_err(|error| {
                EmbedError::Unavailable(format!("An embedding is none: {error}."))
            })?;
            vectors.insert(digest, stored);
        }
    }
    for chunk in lot.iter_mut() {
        let digest = digest_of(chunk);
        chunk.vector = vectors.get(&digest).map(|bytes| NewVector {
            digest,
            bytes: bytes.clone(),
        });
    }
    Ok(())
}

/// What a vector is of. The length keeps the two parts apart.
fn digest(identity: &str, text: &str) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(identity.len() as u64).to_le_bytes());
    hasher.update(identity.as_bytes());
    hasher.update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

impl From<EmbedError> for Fault {
    fn from(error: EmbedError) -> Self {
        let (of, message): (fn(Unreadable) -> Self, _) = match error {
            EmbedError::Unavailable(message) => (Self::Unreadable, message),
            EmbedError::Refused(message) => (Self::Refused, message),
        };
        of(Unreadable {
            code: IndexingErrorCode::ServerError,
            message: format!("The embeddings of the file could not be made. {message}"),
        })
    }
}
