//! Vector stores: the records here; the files in them, batches, and their queue in the modules below.
//!
//! How many files of a store are in which status stands in the store's row and in that of their batch,
//! and moves in the transaction that moves a file. Locks are taken in this order: files, the store,
//! batches, files in the store.

use loomgate_domain::{
    Page, PageRequest, Receipt, Timestamp, VectorStoreId, WorkspaceId,
    vector_store::{FileCounts, VectorStore},
};

use crate::{
    Error,
    chunks::unsigned,
    page::{List, page},
    pool::Pool,
    receipts,
    tx::{Row, Tx, statements, to_json, values},
};

mod attach;
mod batches;
mod entry;
mod files;
mod moves;
mod queue;
mod renewal;
mod sweep;
#[cfg(test)]
mod tests;
mod turns;

pub use attach::{Attaching, NewVectorStore};
pub(crate) use attach::{attach, make};
pub use batches::FileBatches;
pub(crate) use files::forget_file;
pub use files::{NewVectorStoreFile, VectorStoreFiles};
pub use queue::{Indexed, Indexing, IndexingClaim, IndexingGuard, IndexingTask};
pub use renewal::Outdated;
pub use sweep::Swept;
pub use turns::IndexingTurns;

#[cfg(test)]
pub(crate) use {
    batches::STATEMENTS as BATCH_STATEMENTS, entry::STATEMENTS as ENTRY_STATEMENTS,
    files::STATEMENTS as FILE_STATEMENTS, moves::STATEMENTS as MOVE_STATEMENTS,
    queue::POSTGRES_STATEMENTS as QUEUE_POSTGRES_STATEMENTS, queue::STATEMENTS as QUEUE_STATEMENTS,
    renewal::STATEMENTS as RENEWAL_STATEMENTS, sweep::STATEMENTS as SWEEP_STATEMENTS,
    turns::POSTGRES_STATEMENTS as TURN_POSTGRES_STATEMENTS, turns::STATEMENTS as TURN_STATEMENTS,
};

macro_rules! columns {
    () => {
        "id, created_at, name, description, metadata, expires_after_days, last_active_at, \
         in_progress, completed, failed, cancelled, usage_bytes"
    };
}

statements! {
    INSERT = "INSERT INTO vector_stores (workspace_id, id, created_at, name, description, metadata, \
        expires_after_days, last_active_at, in_progress, completed, failed, cancelled, \
        usage_bytes, chunks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 0, 0)";
    GET = concat!("SELECT ", columns!(), " FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL");
    UPDATE = "UPDATE vector_stores SET name = $1, description = $2, metadata = $3, \
        expires_after_days = $4 WHERE workspace_id = $5 AND id = $6";
    TOUCH = "UPDATE vector_stores SET last_active_at = $1 WHERE workspace_id = $2 AND id = $3 \
        AND last_active_at < $1 AND deleted_at IS NULL \
        AND (expires_after_days IS NULL OR last_active_at + expires_after_days * 86400 > $1)";
    DELETE = "UPDATE vector_stores SET deleted_at = $1 \
        WHERE workspace_id = $2 AND id = $3 AND deleted_at IS NULL";
    // Nobody is to index what was in it.
    UNWANTED = "UPDATE vector_store_files SET lease_owner = NULL, lease_until = NULL \
        WHERE workspace_id = $1 AND store_id = $2 AND lease_until IS NOT NULL";
    CURSOR = "SELECT seq FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM vector_stores WHERE workspace_id = $1 \
        AND deleted_at IS NULL AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM vector_stores WHERE workspace_id = $1 \
        AND deleted_at IS NULL AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4");
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

/// The vector stores of a [`crate::Store`].
#[derive(Debug)]
pub struct VectorStores<'s>(pub(crate) &'s Pool);

/// Files for a store.
#[derive(Debug, Clone, PartialEq)]
pub struct PutFiles {
    /// Each once; of one that is named twice, the last counts.
    pub files: Vec<NewVectorStoreFile>,
    /// Now.
    pub at: Timestamp,
    /// The most files of a store.
    pub most: u64,
}

impl VectorStores<'_> {
    /// Keeps a new store with its files, which wait to be indexed. What it says of counts is made
    /// from them.
    ///
    /// Errors: [`Error::NoSuchFiles`], [`Error::StoreFull`], [`Error::Repeated`], [`Error::Duplicate`];
    /// then nothing was written.
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        store: VectorStore,
        put: PutFiles,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        let new = NewVectorStore { record: store, put };
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                make(tx, &ws, &new)
            })
            .await
    }

    /// A store.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        id: &VectorStoreId,
    ) -> Result<Option<VectorStore>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], read))
            .await
    }

    /// Changes a store's name, description, metadata and expiry, and returns what it became.
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        id: &VectorStoreId,
        change: impl Fn(VectorStore) -> VectorStore + Send + 'static,
    ) -> Result<Option<VectorStore>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(before) = lock(tx, &ws, &id)? else {
                    return Ok(None);
                };
                let changed = change(before.clone());
                let after = VectorStore {
                    name: changed.name,
                    description: changed.description,
                    metadata: changed.metadata,
                    expires_after_days: changed.expires_after_days,
                    ..before
                };
                let values = values![
                    after.name.as_deref(),
                    after.description.as_deref(),
                    to_json(&after.metadata)?,
                    after.expires_after_days.map(i64::from),
                    &ws,
                    &id,
                ];
                tx.execute(UPDATE, values)?;
                Ok(Some(after))
            })
            .await
    }

    /// Stores were used: their time begins again. Those whose time is over stay as they are.
    pub async fn touch(
        &self,
        ws: &WorkspaceId,
        mut ids: Vec<VectorStoreId>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        // In one order, so that two do not wait for each other.
        ids.sort();
        self.0
            .write(move |tx| {
                for id in &ids {
                    tx.execute(TOUCH, values![now, &ws, id])?;
                }
                Ok(())
            })
            .await
    }

    /// Removes a store; its files stay, for whoever has them. What was in it is gone at once, and its
    /// room is given back by [`VectorStores::sweep`]. False: there was none.
    pub async fn delete(
        &self,
        ws: &WorkspaceId,
        id: &VectorStoreId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let is_deleted = tx.execute(DELETE, values![now, &ws, &id])? > 0;
                if is_deleted {
                    tx.execute(UNWANTED, values![&ws, &id])?;
                }
                Ok(is_deleted)
            })
            .await
    }

    /// A page of a workspace's stores. Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        request: PageRequest<VectorStoreId>,
    ) -> Result<Page<VectorStore>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let scope = values![&ws];
                page(tx, &LIST, scope, scope, &request, read)
            })
            .await
    }

    /// Gives back the room of deleted stores, and of chunks that nobody searches any more: about
    /// `most` rows of them. Where there are none left, puts some of the index of words together if it is in so
    /// many `pieces`.
    pub async fn sweep(&self, most: u32, pieces: Option<u64>) -> Result<Swept, Error> {
        self.0.write(move |tx| sweep::sweep(tx, most, pieces)).await
    }
}

/// Keeps a store, empty.
fn insert(tx: &mut dyn Tx, ws: &WorkspaceId, store: &VectorStore) -> Result<(), Error> {
    let values = values![
        ws,
        &store.id,
        store.created_at,
        store.name.as_deref(),
        store.description.as_deref(),
        to_json(&store.metadata)?,
        store.expires_after_days.map(i64::from),
        store.last_active_at,
    ];
    tx.execute(INSERT, values)?;
    Ok(())
}

/// A store; nobody else changes it, or the counts of what is in it, until the transaction ends.
fn lock(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &VectorStoreId,
) -> Result<Option<VectorStore>, Error> {
    tx.lock(GET, values![ws, id], read)
}

/// Whether there is such a store.
fn exists(tx: &mut dyn Tx, ws: &WorkspaceId, id: &VectorStoreId) -> Result<bool, Error> {
    tx.exists(CURSOR, values![ws, id])
}

fn read(row: &dyn Row) -> Result<VectorStore, Error> {
    Ok(VectorStore {
        id: row.id(0)?,
        created_at: row.time(1)?,
        name: row.optional_text(2)?.map(str::to_owned),
        description: row.optional_text(3)?.map(str::to_owned),
        metadata: row.json(4)?,
        expires_after_days: days(row.optional_integer(5)?)?,
        last_active_at: row.time(6)?,
        file_counts: counts(row, 7)?,
        usage_bytes: unsigned(row, 11)?,
    })
}

fn days(days: Option<i64>) -> Result<Option<u32>, Error> {
    let days = days.map(u32::try_from).transpose();
    days.map_err(|_| Error::corrupt("vector_stores.expires_after_days"))
}

/// Counts, in the order of their columns.
fn counts(row: &dyn Row, first: usize) -> Result<FileCounts, Error> {
    Ok(FileCounts {
        in_progress: unsigned(row, first)?,
        completed: unsigned(row, first + 1)?,
        failed: unsigned(row, first + 2)?,
        cancelled: unsigned(row, first + 3)?,
    })
}
