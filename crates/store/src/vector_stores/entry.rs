//! A file in a store as its row: what it shows, what is written under it, and how that ends.

use loomgate_domain::{
    FileBatchId, FileId, VectorStoreId, WorkspaceId,
    vector_store::{IndexingError, IndexingStatus},
};

use super::moves::Moves;
use crate::{
    Error,
    tx::{Row, Tx, statements, to_json, values},
};

macro_rules! columns {
    () => {
        "seq, batch_id, status, usage_bytes, generation, written, shown, shown_chunks, fence, \
         chunk_tokens, overlap_tokens"
    };
}

statements! {
    GET = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND file_id = $3");
    UNFINISHED_OF_BATCH = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND batch_id = $2 AND status = 'in_progress' ORDER BY seq");
    OF_STORE = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 ORDER BY seq LIMIT $3");
    SETTLE = "UPDATE vector_store_files SET status = $1, error = $2, usage_bytes = $3, shown = $4, \
        shown_chunks = $5, embedding = $6, lease_owner = NULL, lease_until = NULL \
        WHERE seq = $7 AND workspace_id = $8";
    DELETE = "DELETE FROM vector_store_files WHERE seq = $1 AND workspace_id = $2";
    DISCARD = "INSERT INTO chunk_garbage (workspace_id, entry, generation) VALUES ($1, $2, $3) \
        ON CONFLICT (workspace_id, entry, generation) DO NOTHING";
}

/// A file in a store, locked.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) batch: Option<FileBatchId>,
    pub(super) status: IndexingStatus,
    pub(super) usage_bytes: i64,
    pub(super) generation: i64,
    pub(super) written: i64,
    pub(super) shown: Option<i64>,
    pub(super) shown_chunks: i64,
    pub(super) fence: i64,
    pub(super) chunk_tokens: i64,
    pub(super) overlap_tokens: i64,
}

/// How the work on a file ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'e> {
    /// What was written is searched from now on.
    Completed {
        usage_bytes: i64,
        embedding: Option<&'e str>,
    },
    Failed(&'e IndexingError),
    Cancelled,
}

/// A file in a store; nobody else changes it until the transaction ends. The caller has locked the
/// store.
pub(super) fn lock(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    file: &FileId,
) -> Result<Option<Entry>, Error> {
    tx.lock(GET, values![ws, store, file], read)
}

/// The files of a batch that are in progress, locked.
pub(super) fn lock_unfinished(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    batch: &FileBatchId,
) -> Result<Vec<Entry>, Error> {
    lock_all(tx, UNFINISHED_OF_BATCH, values![ws, batch])
}

/// The first files of a store, locked.
pub(super) fn lock_some(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    most: u32,
) -> Result<Vec<Entry>, Error> {
    lock_all(tx, OF_STORE, values![ws, store, i64::from(most)])
}

fn lock_all(
    tx: &mut dyn Tx,
    sql: &'static str,
    values: &[crate::tx::Value<'_>],
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    tx.visit_locked(sql, values, &mut |row| {
        entries.push(read(row)?);
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(entries)
}

impl Entry {
    /// What its chunks are kept under, all of them.
    fn generations(&self) -> Vec<i64> {
        let written = (self.written > 0).then_some(self.generation);
        let shown = self.shown.filter(|shown| Some(*shown) != written);
        written.into_iter().chain(shown).collect()
    }

    /// Leaves chunks to be swept.
    pub(super) fn discard(
        &self,
        tx: &mut dyn Tx,
        ws: &WorkspaceId,
        generations: &[i64],
    ) -> Result<(), Error> {
        let rows: Vec<_> = generations
            .iter()
            .map(|generation| values![ws, self.seq, *generation].to_vec())
            .collect();
        tx.execute_all(DISCARD, &rows)?;
        Ok(())
    }

    /// Ends the work on it. Returns how the counts of its store move; those of its batch are moved.
    pub(super) fn settle(
        &self,
        tx: &mut dyn Tx,
        ws: &WorkspaceId,
        end: End<'_>,
    ) -> Result<Moves, Error> {
        let (status, error, usage_bytes, embedding) = match end {
            End::Completed {
                usage_bytes,
                embedding,
            } => (IndexingStatus::Completed, None, usage_bytes, embedding),
            End::Failed(error) => (IndexingStatus::Failed, Some(to_json(error)?), 0, None),
            End::Cancelled => (IndexingStatus::Cancelled, None, 0, None),
        };
        let is_shown = status == IndexingStatus::Completed;
        let (shown, chunks) = if is_shown {
            let old: Vec<i64> = self
                .shown
                .filter(|old| *old != self.generation)
                .into_iter()
                .collect();
            self.discard(tx, ws, &old)?;
            (Some(self.generation), self.written)
        } else {
            self.discard(tx, ws, &self.generations())?;
            (None, 0)
        };
        let values = values![
            status.as_str(),
            error,
            usage_bytes,
            shown,
            chunks,
            embedding,
            self.seq,
            ws,
        ];
        tx.execute(SETTLE, values)?;
        let moves = Moves::from_to(self.status, status);
        if let Some(batch) = &self.batch {
            moves.batch(tx, ws, batch)?;
        }
        Ok(moves.with(usage_bytes - self.usage_bytes, chunks - self.shown_chunks))
    }

    /// Takes it out of its store. Returns how the store's counts move; those of its batch are moved.
    pub(super) fn remove(&self, tx: &mut dyn Tx, ws: &WorkspaceId) -> Result<Moves, Error> {
        self.discard(tx, ws, &self.generations())?;
        tx.execute(DELETE, values![self.seq, ws])?;
        let moves = Moves::out_of(self.status);
        if let Some(batch) = &self.batch {
            moves.batch(tx, ws, batch)?;
        }
        Ok(moves.with(-self.usage_bytes, -self.shown_chunks))
    }
}

fn read(row: &dyn Row) -> Result<Entry, Error> {
    Ok(Entry {
        seq: row.integer(0)?,
        batch: row.optional_id(1)?,
        status: status(row.text(2)?)?,
        usage_bytes: row.integer(3)?,
        generation: row.integer(4)?,
        written: row.integer(5)?,
        shown: row.optional_integer(6)?,
        shown_chunks: row.integer(7)?,
        fence: row.integer(8)?,
        chunk_tokens: row.integer(9)?,
        overlap_tokens: row.integer(10)?,
    })
}

/// The status of this name.
pub(super) fn status(name: &str) -> Result<IndexingStatus, Error> {
    IndexingStatus::parse(name)
        .ok_or_else(|| Error::corrupt(format!("vector_store_files.status {name}")))
}
