//! Counts, and how they move.

use loomgate_domain::{FileBatchId, VectorStoreId, WorkspaceId, vector_store::IndexingStatus};

use crate::{
    Error,
    tx::{Tx, statements, values},
};

statements! {
    MOVE_STORE = "UPDATE vector_stores SET in_progress = in_progress + $1, \
        completed = completed + $2, failed = failed + $3, cancelled = cancelled + $4, \
        usage_bytes = usage_bytes + $5, chunks = chunks + $6, version = version + 1 \
        WHERE workspace_id = $7 AND id = $8";
    OTHER_VECTORS = "UPDATE vector_stores SET version = version + 1 \
        WHERE workspace_id = $1 AND id = $2";
    MOVE_BATCH = "UPDATE vector_store_batches SET in_progress = in_progress + $1, \
        completed = completed + $2, failed = failed + $3, cancelled = cancelled + $4 \
        WHERE workspace_id = $5 AND id = $6";
}

/// What changes of the counts of a store or a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moves {
    in_progress: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
    /// Of stores alone.
    usage_bytes: i64,
    /// Of stores alone.
    chunks: i64,
}

impl Moves {
    /// So many files more, or fewer, in this status.
    pub(super) fn add(&mut self, status: IndexingStatus, count: i64) {
        let place = match status {
            IndexingStatus::InProgress => &mut self.in_progress,
            IndexingStatus::Completed => &mut self.completed,
            IndexingStatus::Failed => &mut self.failed,
            IndexingStatus::Cancelled => &mut self.cancelled,
        };
        *place += count;
    }

    /// One file goes from one status to another.
    pub(super) fn from_to(before: IndexingStatus, after: IndexingStatus) -> Self {
        let mut moves = Self::default();
        moves.add(before, -1);
        moves.add(after, 1);
        moves
    }

    /// One file goes.
    pub(super) fn out_of(status: IndexingStatus) -> Self {
        let mut moves = Self::default();
        moves.add(status, -1);
        moves
    }

    /// The same, with what a store's files take and how many chunks are searched.
    pub(super) fn with(mut self, usage_bytes: i64, chunks: i64) -> Self {
        self.usage_bytes = usage_bytes;
        self.chunks = chunks;
        self
    }

    /// The same, and what changes besides.
    pub(super) fn merge(&mut self, other: Self) {
        self.in_progress += other.in_progress;
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.usage_bytes += other.usage_bytes;
        self.chunks += other.chunks;
    }

    /// How many files there are more, or fewer.
    pub(super) fn files(self) -> i64 {
        self.in_progress + self.completed + self.failed + self.cancelled
    }

    /// Moves the counts of a store, which the caller has locked, and with them its version: nothing of
    /// what is searched changes without them.
    pub(super) fn store(
        self,
        tx: &mut dyn Tx,
        ws: &WorkspaceId,
        store: &VectorStoreId,
    ) -> Result<(), Error> {
        if self == Self::default() {
            return Ok(());
        }
        let values = values![
            self.in_progress,
            self.completed,
            self.failed,
            self.cancelled,
            self.usage_bytes,
            self.chunks,
            ws,
            store,
        ];
        tx.execute(MOVE_STORE, values)?;
        Ok(())
    }

    /// Moves those of a batch; the caller has locked its store.
    pub(super) fn batch(
        self,
        tx: &mut dyn Tx,
        ws: &WorkspaceId,
        batch: &FileBatchId,
    ) -> Result<(), Error> {
        let values = values![
            self.in_progress,
            self.completed,
            self.failed,
            self.cancelled,
            ws,
            batch,
        ];
        tx.execute(MOVE_BATCH, values)?;
        Ok(())
    }
}

/// Tells searches that a store's chunks have other vectors than before. The caller has locked it.
pub(super) fn other_vectors(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    store: &VectorStoreId,
) -> Result<(), Error> {
    tx.execute(OTHER_VECTORS, values![ws, store])?;
    Ok(())
}
