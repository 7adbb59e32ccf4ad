//! Vectors for chunks.

use std::collections::BTreeMap;

use loomgate_domain::{WorkspaceId, vector_store::IndexingErrorCode};
use loomgate_search::vector::to_stored;
use loomgate_store::{Digest, NewVector, Store};

use super::{Unreadable, pipeline::Fault};
use crate::{EmbedError, Embedder, Purpose};

/// The vector of each text. What the workspace has a vector of already, from this file as it was
/// before, from an attempt that failed half way, or from another file, is not embedded again.
/// Blank texts have none.
pub(super) async fn vectors(
    store: &Store,
    embedder: &dyn Embedder,
    workspace: &WorkspaceId,
    texts: &[&str],
) -> Result<Vec<Option<NewVector>>, Fault> {
    let digest_of = |text: &str| digest(embedder.identity(), text);
    let written = texts.iter().filter(|text| !text.trim().is_empty());
    // Each text once.
    let each: BTreeMap<Digest, &str> = written.map(|text| (digest_of(text), *text)).collect();
    let digests: Vec<Digest> = each.keys().copied().collect();
    let known = store.chunks().known_vectors(workspace, digests).await?;
    let (mut vectors, mut missing) = (BTreeMap::new(), Vec::new());
    for ((digest, text), vector) in each.into_iter().zip(known) {
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
    let of = |text: &&str| {
        let digest = digest_of(text);
        let bytes = vectors.get(&digest)?.clone();
        Some(NewVector { digest, bytes })
    };
    Ok(texts.iter().map(of).collect())
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
