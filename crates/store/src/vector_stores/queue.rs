//! The queue of indexing: who works on which file, what was written of it, and how that ends.
//!
//! A worker writes chunks a few at a time, under its lease and under a generation that nobody
//! searches; the commit that ends the work lets all of them be found at once. Whoever takes a file
//! over goes on behind what was written, or begins anew.
//!
//! Invariant: a worker that lost its lease writes nothing.
//! Invariant: a file is found exactly while it is completed, or was and is being indexed anew.

use loomgate_domain::{
    FileId, VectorStoreId, WorkspaceId,
    vector_store::{Chunking, IndexingError, IndexingStatus},
};

use super::{
    entry::{self, End, Entry},
    turns::IndexingTurns,
};
use crate::{
    ClaimRequest, Error, Wakeups,
    chunks::{self, NewChunk, small, unsigned},
    pool::Pool,
    tx::{Dialect, Row, Tx, Value, postgres_statements, statements, values},
};

/// What is read of a file that was taken.
macro_rules! claimed {
    () => {
        "workspace_id, store_id, file_id, fence, attempt, written, chunk_tokens, \
         overlap_tokens, status"
    };
}
pub(super) use claimed;

/// Leases that have ended, and waits that are over, go back to where new files stand.
macro_rules! void {
    ($locking:literal) => {
        concat!(
            "WITH expired AS (SELECT seq FROM vector_store_files \
             WHERE lease_until > 0 AND lease_until < $1",
            $locking,
            ") UPDATE vector_store_files SET lease_owner = NULL, lease_until = 0 \
             WHERE seq IN (SELECT seq FROM expired)"
        )
    };
}

statements! {
    VOID_EXPIRED = void!("");
    HEARTBEAT = "UPDATE vector_store_files SET lease_until = $1 WHERE workspace_id = $2 \
        AND store_id = $3 AND file_id = $4 AND fence = $5 AND lease_owner = $6";
    RELEASE_ALL = "UPDATE vector_store_files SET lease_owner = NULL, lease_until = 0 \
        WHERE lease_until IS NOT NULL AND lease_owner = $1";
    RECOVER = "UPDATE vector_store_files SET lease_owner = NULL, lease_until = 0 \
        WHERE lease_until > 0 AND lease_owner IS NOT NULL";
    RETRY = "UPDATE vector_store_files SET lease_owner = NULL, lease_until = $1 \
        WHERE workspace_id = $2 AND store_id = $3 AND file_id = $4 AND fence = $5 \
        AND lease_until IS NOT NULL";
    WROTE = "UPDATE vector_store_files SET written = written + $1 \
        WHERE seq = $2 AND workspace_id = $3";
    AFRESH = "UPDATE vector_store_files SET generation = generation + 1, written = 0 \
        WHERE seq = $1 AND workspace_id = $2";
    SCOPE = "SELECT seq FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL";
    NEXT_WAKE = "SELECT lease_until FROM vector_store_files WHERE lease_until IS NOT NULL \
        ORDER BY lease_until LIMIT 1";
}

postgres_statements! {
    VOID_EXPIRED_BESIDE_OTHERS = void!(" FOR NO KEY UPDATE SKIP LOCKED");
}

/// A file that was taken to be indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexingClaim {
    /// What the worker's writes name.
    pub guard: IndexingGuard,
    /// How often it has been taken since it was put into the store, this time included.
    pub attempt: u32,
    /// How many chunks a worker before has written: the work goes on behind them.
    pub written: u64,
    /// How its text is cut up.
    pub chunking: Chunking,
    /// What is wanted.
    pub task: IndexingTask,
}

/// What is wanted of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexingTask {
    /// Its text is to be read, cut up and written.
    Index,
    /// It is searched already, and its chunks want other vectors.
    Renew,
}

/// A lease on a file in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexingGuard {
    /// The workspace.
    pub ws: WorkspaceId,
    /// The store.
    pub vector_store_id: VectorStoreId,
    /// The file.
    pub file_id: FileId,
    /// The lease's number.
    pub fence: i64,
}

/// What comes of a file that was indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// What it takes: text and vectors.
    pub usage_bytes: u64,
    /// What made its vectors; none where it has none.
    pub embedding: Option<String>,
}

/// The queue of indexing of a [`crate::Store`].
#[derive(Debug)]
pub struct Indexing<'s>(pub(crate) &'s Pool);

impl Indexing<'_> {
    /// Tells when a file may wait to be indexed.
    pub fn wakeups(&self) -> Wakeups {
        self.0.wakeups()
    }

    /// Takes files that wait for a worker, as their turns are, and those whose lease ended before
    /// `now_ms`.
    pub async fn claim(
        &self,
        request: ClaimRequest,
        turns: &mut IndexingTurns,
    ) -> Result<Vec<IndexingClaim>, Error> {
        let before = turns.clone();
        let claim = self.0.write(move |tx| {
            let void = match tx.dialect() {
                Dialect::Sqlite => VOID_EXPIRED,
                Dialect::Postgres => VOID_EXPIRED_BESIDE_OTHERS,
            };
            tx.execute(void, values![request.now_ms])?;
            let mut turns = before.clone();
            Ok((turns.take(tx, &request)?, turns))
        });
        let (claims, after) = claim.await?;
        *turns = after;
        Ok(claims)
    }

    /// Prolongs a worker's leases. Returns those that it still has; what was indexed, cancelled or
    /// taken out, or has gone to another worker, is none of them.
    pub async fn heartbeat(
        &self,
        worker: &str,
        mut leases: Vec<IndexingGuard>,
        until_ms: i64,
    ) -> Result<Vec<IndexingGuard>, Error> {
        let worker = worker.to_owned();
        // In one order, so that two do not wait for each other.
        leases.sort_by(|a, b| a.place().cmp(&b.place()));
        self.0
            .write(move |tx| {
                let mut held = Vec::with_capacity(leases.len());
                for lease in &leases {
                    let (ws, store, file) = lease.place();
                    let values = values![until_ms, ws, store, file, lease.fence, &worker];
                    if tx.execute(HEARTBEAT, values)? > 0 {
                        held.push(lease.clone());
                    }
                }
                Ok(held)
            })
            .await
    }

    /// Gives all leases of a worker up, so that any worker may take its files at once. Returns how
    /// many.
    pub async fn release_all(&self, worker: &str) -> Result<u64, Error> {
        let worker = worker.to_owned();
        self.0
            .write(move |tx| free(tx, RELEASE_ALL, values![&worker]))
            .await
    }

    /// Voids the leases of processes that are gone, for the start of a process, and returns how many
    /// there were. Where others share the database, a lease is void once it has ended.
    pub async fn recover(&self, now_ms: i64) -> Result<u64, Error> {
        let is_shared = self.0.is_shared();
        self.0
            .write(move |tx| match (is_shared, tx.dialect()) {
                (false, _) => free(tx, RECOVER, &[]),
                (true, Dialect::Sqlite) => free(tx, VOID_EXPIRED, values![now_ms]),
                (true, Dialect::Postgres) => free(tx, VOID_EXPIRED_BESIDE_OTHERS, values![now_ms]),
            })
            .await
    }

    /// When the next file is to be looked at, in milliseconds: one waits until then, or its worker's
    /// lease ends. 0: at once.
    pub async fn next_wake(&self) -> Result<Option<i64>, Error> {
        self.0
            .read_one(|tx| tx.row(NEXT_WAKE, &[], |row| row.integer(0)))
            .await
    }

    /// Writes chunks behind those that are written. Some dozens at a time: each call is a transaction,
    /// and others wait for it. False: the lease is lost.
    pub async fn write(&self, guard: IndexingGuard, more: Vec<NewChunk>) -> Result<bool, Error> {
        self.0
            .write(move |tx| {
                let Some((scope, entry)) = held(tx, &guard, IndexingStatus::InProgress)? else {
                    return Ok(false);
                };
                let place = chunks::Place {
                    ws: &guard.ws,
                    entry: entry.seq,
                    generation: entry.generation,
                    scope,
                    position: entry.written,
                };
                chunks::write(tx, place, &more)?;
                let count = i64::try_from(more.len()).unwrap_or(i64::MAX);
                tx.execute(WROTE, values![count, entry.seq, &guard.ws])?;
                Ok(true)
            })
            .await
    }

    /// Forgets what was written, to begin anew. False: the lease is lost.
    pub async fn restart(&self, guard: IndexingGuard) -> Result<bool, Error> {
        self.0
            .write(move |tx| {
                let Some((_, entry)) = held(tx, &guard, IndexingStatus::InProgress)? else {
                    return Ok(false);
                };
                if entry.written > 0 {
                    entry.discard(tx, &guard.ws, &[entry.generation])?;
                    tx.execute(AFRESH, values![entry.seq, &guard.ws])?;
                }
                Ok(true)
            })
            .await
    }

    /// Ends the work: all that was written can be found from now on, in place of what there was
    /// before. False: the lease is lost.
    pub async fn complete(&self, guard: IndexingGuard, indexed: Indexed) -> Result<bool, Error> {
        self.0
            .write(move |tx| {
                let end = End::Completed {
                    usage_bytes: i64::try_from(indexed.usage_bytes).unwrap_or(i64::MAX),
                    embedding: indexed.embedding.as_deref(),
                };
                end_work(tx, &guard, end)
            })
            .await
    }

    /// Ends the work on a file that can not be indexed: nothing of it is found. False: the lease is
    /// lost.
    pub async fn fail(&self, guard: IndexingGuard, error: IndexingError) -> Result<bool, Error> {
        self.0
            .write(move |tx| end_work(tx, &guard, End::Failed(&error)))
            .await
    }

    /// Gives a lease back, for somebody to take the file from `at_ms` on. What was written stays.
    /// False: the lease is lost.
    pub async fn retry(&self, guard: IndexingGuard, at_ms: i64) -> Result<bool, Error> {
        self.0
            .write_one(move |tx| {
                let (ws, store, file) = guard.place();
                let values = values![at_ms.max(0), ws, store, file, guard.fence];
                Ok(tx.execute(RETRY, values)? > 0)
            })
            .await
    }
}

impl IndexingGuard {
    pub(super) fn place(&self) -> (&WorkspaceId, &VectorStoreId, &FileId) {
        (&self.ws, &self.vector_store_id, &self.file_id)
    }
}

/// The file that a lease is about, locked, and its store's number. `None`: the lease is lost.
pub(super) fn held(
    tx: &mut dyn Tx,
    guard: &IndexingGuard,
    status: IndexingStatus,
) -> Result<Option<(i64, Entry)>, Error> {
    let (ws, store, file) = guard.place();
    let Some(scope) = tx.row(SCOPE, values![ws, store], |row| row.integer(0))? else {
        return Ok(None);
    };
    let entry = entry::lock(tx, (ws, store), file)?;
    let held = entry.filter(|entry| entry.fence == guard.fence && entry.status == status);
    Ok(held.map(|entry| (scope, entry)))
}

fn end_work(tx: &mut dyn Tx, guard: &IndexingGuard, end: End<'_>) -> Result<bool, Error> {
    let (ws, store, _) = guard.place();
    // Its counts move.
    if super::lock(tx, ws, store)?.is_none() {
        return Ok(false);
    }
    let Some((_, entry)) = held(tx, guard, IndexingStatus::InProgress)? else {
        return Ok(false);
    };
    entry.settle(tx, ws, end)?.store(tx, ws, store)?;
    Ok(true)
}

/// Frees files, and tells the workers if there were any.
fn free(tx: &mut dyn Tx, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
    let freed = tx.execute(sql, values)?;
    if freed > 0 {
        tx.announce_work()?;
    }
    Ok(freed as u64)
}

/// A file that was taken, and its number.
pub(super) fn taken(row: &dyn Row) -> Result<IndexingClaim, Error> {
    Ok(IndexingClaim {
        guard: IndexingGuard {
            ws: row.id(0)?,
            vector_store_id: row.id(1)?,
            file_id: row.id(2)?,
            fence: row.integer(3)?,
        },
        attempt: small(row, 4)?,
        written: unsigned(row, 5)?,
        chunking: Chunking {
            max_tokens: small(row, 6)?,
            overlap_tokens: small(row, 7)?,
        },
        task: match entry::status(row.text(8)?)? {
            IndexingStatus::Completed => IndexingTask::Renew,
            IndexingStatus::InProgress | IndexingStatus::Failed | IndexingStatus::Cancelled => {
                IndexingTask::Index
            }
        },
    })
}
