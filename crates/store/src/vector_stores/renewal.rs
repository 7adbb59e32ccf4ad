//! New vectors for files that are searched already, because they have none, or those of another model.
//!
//! The work is in the queue of indexing, under the same leases; the file stays `completed`, and is
//! found by its words. Its vectors are replaced where they lie. Until all are there they are nobody's, so that
//! no search compares those of two models.
//!
//! Invariant: vectors that are said to be of a model are all of it.

use loomgate_domain::{
    Timestamp,
    vector_store::{ChunkId, IndexingStatus},
};

use super::{
    moves::{self, Moves},
    queue::{Indexed, Indexing, IndexingClaim, IndexingGuard, claimed, held, taken},
};
use crate::{
    ClaimRequest, Error,
    chunks::{self, NewVector},
    tx::{statements, values},
};

statements! {
    OUTDATED = "SELECT seq FROM vector_store_files WHERE seq > $1 AND status = 'completed' \
        AND lease_until IS NULL AND (embedding IS NULL OR embedding <> $2) ORDER BY seq LIMIT $3";
    CLAIM_OUTDATED = concat!("UPDATE vector_store_files SET fence = fence + 1, attempt = 1, \
        lease_owner = $1, lease_until = $2 WHERE seq = $3 AND status = 'completed' \
        AND lease_until IS NULL AND (embedding IS NULL OR embedding <> $4) RETURNING ", claimed!());
    NOBODYS = "UPDATE vector_store_files SET embedding = NULL WHERE seq = $1 AND workspace_id = $2";
    REPLACE = "INSERT INTO chunk_vectors (seq, vector, digest) VALUES ($1, $2, $3) \
        ON CONFLICT (seq) DO UPDATE SET vector = excluded.vector, digest = excluded.digest";
    RENEWED = "UPDATE vector_store_files SET embedding = $1, usage_bytes = $2, lease_owner = NULL, \
        lease_until = NULL WHERE seq = $3 AND workspace_id = $4";
    LEFT = "UPDATE vector_store_files SET lease_owner = NULL, lease_until = NULL \
        WHERE workspace_id = $1 AND store_id = $2 AND file_id = $3 AND fence = $4 \
        AND status = 'completed' AND lease_until IS NOT NULL";
}

/// Files that were taken, and where to look for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The files.
    pub claims: Vec<IndexingClaim>,
    /// Behind which number there may be more; none: there are no more.
    pub after: Option<i64>,
}

impl Indexing<'_> {
    /// Takes files behind number `after` that are searched without vectors of `embedding`, in the order
    /// of their numbers. What anybody works on is left alone.
    pub async fn claim_outdated(
        &self,
        request: ClaimRequest,
        embedding: &str,
        after: i64,
    ) -> Result<Outdated, Error> {
        let most = i64::from(request.max);
        let name = embedding.to_owned();
        // Most files are not looked at in vain more than once: this reads all of them, the claim few.
        let found = self
            .0
            .read(move |tx| tx.rows(OUTDATED, values![after, &name, most], |row| row.integer(0)));
        let found = found.await?;
        let is_full = found.len() as u64 >= u64::from(request.max);
        let after = found.last().copied().filter(|_| is_full);
        if found.is_empty() {
            let claims = Vec::new();
            return Ok(Outdated { claims, after });
        }
        let name = embedding.to_owned();
        let until_ms = request.now_ms.saturating_add(request.lease_ms);
        let claims = self.0.write(move |tx| {
            let mut claims = Vec::with_capacity(found.len());
            for seq in &found {
                let values = values![&request.worker, until_ms, *seq, &name];
                let claim = tx.row(CLAIM_OUTDATED, values, taken)?;
                claims.extend(claim);
            }
            Ok(claims)
        });
        let claims = claims.await?;
        Ok(Outdated { claims, after })
    }

    /// Takes the file's vectors out of all searches, and tells where its chunks are: `seq` of the file in
    /// its store, and the generation. `None`: the lease is lost, or nobody searches the store any more.
    pub async fn begin_renewal(
        &self,
        guard: IndexingGuard,
        now: Timestamp,
    ) -> Result<Option<(i64, i64)>, Error> {
        self.0
            .write(move |tx| {
                let (ws, store, file) = guard.place();
                let record = super::lock(tx, ws, store)?;
                let is_searched = record.is_some_and(|record| !record.has_expired(now));
                if !is_searched {
                    tx.execute(LEFT, values![ws, store, file, guard.fence])?;
                    return Ok(None);
                }
                let Some((_, entry)) = held(tx, &guard, IndexingStatus::Completed)? else {
                    return Ok(None);
                };
                tx.execute(NOBODYS, values![entry.seq, ws])?;
                moves::other_vectors(tx, ws, store)?;
                Ok(entry.shown.map(|shown| (entry.seq, shown)))
            })
            .await
    }

    /// Writes vectors of chunks that are there. Some dozens at a time. False: the lease is lost.
    pub async fn write_vectors(
        &self,
        guard: IndexingGuard,
        vectors: Vec<(ChunkId, NewVector)>,
    ) -> Result<bool, Error> {
        self.0
            .write(move |tx| {
                if held(tx, &guard, IndexingStatus::Completed)?.is_none() {
                    return Ok(false);
                }
                let rows: Vec<_> = vectors
                    .iter()
                    .map(|(chunk, vector)| {
                        values![chunk.0, &vector.bytes[..], &vector.digest[..]].to_vec()
                    })
                    .collect();
                tx.execute_all(REPLACE, &rows)?;
                let vectors = vectors.iter().map(|(chunk, vector)| (chunk.0, vector));
                chunks::keep_embeddings(tx, vectors.map(NewVector::of_chunk))?;
                Ok(true)
            })
            .await
    }

    /// Ends the work: the vectors are searched from now on. False: the lease is lost.
    pub async fn complete_renewal(
        &self,
        guard: IndexingGuard,
        indexed: Indexed,
    ) -> Result<bool, Error> {
        self.0
            .write(move |tx| {
                let (ws, store, _) = guard.place();
                if super::lock(tx, ws, store)?.is_none() {
                    return Ok(false);
                }
                let Some((_, entry)) = held(tx, &guard, IndexingStatus::Completed)? else {
                    return Ok(false);
                };
                let usage_bytes = i64::try_from(indexed.usage_bytes).unwrap_or(i64::MAX);
                let values = values![indexed.embedding.as_deref(), usage_bytes, entry.seq, ws];
                tx.execute(RENEWED, values)?;
                let moves = Moves::default().with(usage_bytes - entry.usage_bytes, 0);
                moves.store(tx, ws, store)?;
                moves::other_vectors(tx, ws, store)?;
                Ok(true)
            })
            .await
    }

    /// Gives the work up: the file stays as it is. False: the lease is lost.
    pub async fn leave_renewal(&self, guard: IndexingGuard) -> Result<bool, Error> {
        self.0
            .write_one(move |tx| {
                let (ws, store, file) = guard.place();
                Ok(tx.execute(LEFT, values![ws, store, file, guard.fence])? > 0)
            })
            .await
    }
}
