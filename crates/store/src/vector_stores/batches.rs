//! Batches of files.

use loomgate_domain::{
    FileBatchId, FileId, Page, PageRequest, Receipt, VectorStoreId, WorkspaceId,
    vector_store::{FileBatch, IndexingStatus, VectorStoreFile},
};

use super::{
    PutFiles, counts,
    entry::{self, End},
    files,
    moves::Moves,
};
use crate::{
    Error,
    pool::Pool,
    receipts,
    tx::{Row, Tx, statements, values},
};

statements! {
    INSERT = "INSERT INTO vector_store_batches (workspace_id, id, store_id, created_at, \
        is_cancelled, in_progress, completed, failed, cancelled) \
        VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0)";
    GET = "SELECT id, store_id, created_at, is_cancelled, in_progress, completed, failed, cancelled \
        FROM vector_store_batches WHERE workspace_id = $1 AND id = $2 AND store_id = $3";
    CANCEL = "UPDATE vector_store_batches SET is_cancelled = 1 WHERE workspace_id = $1 AND id = $2";
}

/// The batches of files of a [`crate::Store`].
#[derive(Debug)]
pub struct FileBatches<'s>(pub(crate) &'s Pool);

impl FileBatches<'_> {
    /// Puts files into a store together. What the batch says of counts is made from them. `None`: no
    /// such store. Errors: as of [`super::VectorStoreFiles::put`].
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        batch: FileBatch,
        put: PutFiles,
        receipt: Option<Receipt>,
    ) -> Result<Option<()>, Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                match files::put(tx, (&ws, &batch.vector_store_id), Some(&batch), &put)? {
                    Some(()) => Ok(Some(())),
                    None => receipts::withdraw(tx, &ws, receipt.as_ref()),
                }
            })
            .await
    }

    /// A batch.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        id: &FileBatchId,
    ) -> Result<Option<FileBatch>, Error> {
        let (ws, store, id) = (ws.clone(), store.clone(), id.clone());
        self.0.read(move |tx| get(tx, (&ws, &store), &id)).await
    }

    /// Stops a batch: its files that are in progress will not be indexed. One that is done already
    /// stays as it is. Returns what it became.
    pub async fn cancel(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        id: &FileBatchId,
    ) -> Result<Option<FileBatch>, Error> {
        let (ws, store, id) = (ws.clone(), store.clone(), id.clone());
        self.0
            .write(move |tx| {
                if super::lock(tx, &ws, &store)?.is_none() {
                    return Ok(None);
                }
                let unfinished = entry::lock_unfinished(tx, &ws, &id)?;
                if !unfinished.is_empty() && get(tx, (&ws, &store), &id)?.is_some() {
                    tx.execute(CANCEL, values![&ws, &id])?;
                    let mut moves = Moves::default();
                    for entry in &unfinished {
                        moves.merge(entry.settle(tx, &ws, End::Cancelled)?);
                    }
                    moves.store(tx, &ws, &store)?;
                }
                get(tx, (&ws, &store), &id)
            })
            .await
    }

    /// A page of the files of a batch, of one status or all. `None`: no such batch. Error:
    /// [`Error::NoSuchCursor`].
    pub async fn files(
        &self,
        ws: &WorkspaceId,
        (store, id): (&VectorStoreId, &FileBatchId),
        status: Option<IndexingStatus>,
        request: PageRequest<FileId>,
    ) -> Result<Option<Page<VectorStoreFile>>, Error> {
        let (ws, store, id) = (ws.clone(), store.clone(), id.clone());
        self.0
            .read(move |tx| {
                if get(tx, (&ws, &store), &id)?.is_none() {
                    return Ok(None);
                }
                files::of_batch(tx, (&ws, &store, &id), status, &request).map(Some)
            })
            .await
    }
}

/// Keeps a batch without files; the caller has locked its store.
pub(super) fn insert(tx: &mut dyn Tx, ws: &WorkspaceId, batch: &FileBatch) -> Result<(), Error> {
    let values = values![ws, &batch.id, &batch.vector_store_id, batch.created_at];
    tx.execute(INSERT, values)?;
    Ok(())
}

fn get(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    id: &FileBatchId,
) -> Result<Option<FileBatch>, Error> {
    if !super::exists(tx, ws, store)? {
        return Ok(None);
    }
    tx.row(GET, values![ws, id, store], read)
}

fn read(row: &dyn Row) -> Result<FileBatch, Error> {
    Ok(FileBatch {
        id: row.id(0)?,
        vector_store_id: row.id(1)?,
        created_at: row.time(2)?,
        is_cancelled: row.integer(3)? != 0,
        file_counts: counts(row, 4)?,
    })
}
