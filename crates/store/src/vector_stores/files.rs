//! Files in stores.

use loomgate_domain::{
    FileBatchId, FileId, Page, PageRequest, Receipt, Timestamp, VectorStoreId, WorkspaceId,
    vector_store::{Attributes, Chunking, FileBatch, IndexingStatus, VectorStoreFile},
};

use super::{PutFiles, batches, entry, moves::Moves};
use crate::{
    Error,
    chunks::{small, unsigned},
    page::{List, page},
    pool::Pool,
    receipts,
    tx::{Row, Tx, from_json, statements, to_json, values},
};

macro_rules! columns {
    () => {
        "file_id, store_id, created_at, status, error, chunk_tokens, overlap_tokens, attributes, \
         usage_bytes"
    };
}

statements! {
    // Whoever deletes the file waits, and then finds it in the store.
    FILE = "SELECT 1 FROM files WHERE workspace_id = $1 AND id = $2 \
        AND (expires_at IS NULL OR expires_at > $3)";
    INSERT = "INSERT INTO vector_store_files (workspace_id, store_id, file_id, batch_id, created_at, \
        chunk_tokens, overlap_tokens, attributes, status, usage_bytes, generation, written, \
        shown_chunks, fence, attempt, lease_until) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'in_progress', 0, 1, 0, 0, 0, 0, 0) \
        ON CONFLICT (workspace_id, store_id, file_id) DO NOTHING";
    // It is indexed anew: whoever works on it has lost it.
    AGAIN = "UPDATE vector_store_files SET batch_id = $1, created_at = $2, chunk_tokens = $3, \
        overlap_tokens = $4, attributes = $5, status = 'in_progress', error = NULL, \
        usage_bytes = 0, generation = generation + 1, written = 0, fence = fence + 1, \
        attempt = 0, lease_owner = NULL, lease_until = 0 WHERE seq = $6 AND workspace_id = $7";
    KEEP = "UPDATE vector_store_files SET batch_id = $1, created_at = $2, attributes = $3 \
        WHERE seq = $4 AND workspace_id = $5";
    GET = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND file_id = $3");
    SET_ATTRIBUTES = concat!("UPDATE vector_store_files SET attributes = $1 WHERE workspace_id = $2 \
        AND store_id = $3 AND file_id = $4 AND EXISTS (SELECT 1 FROM vector_stores \
        WHERE vector_stores.workspace_id = vector_store_files.workspace_id \
        AND vector_stores.id = vector_store_files.store_id \
        AND vector_stores.deleted_at IS NULL) RETURNING ", columns!());
    STORES_OF_FILE = "SELECT store_id FROM vector_store_files \
        WHERE workspace_id = $1 AND file_id = $2";
    CURSOR = "SELECT seq FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND file_id = $3";
    BATCH_CURSOR = "SELECT seq FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND batch_id = $3 AND file_id = $4";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM vector_store_files WHERE workspace_id = $1 \
        AND store_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM vector_store_files WHERE workspace_id = $1 \
        AND store_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq DESC LIMIT $5");
    LIST_STATUS_ASC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND status = $3 \
        AND seq > $4 AND seq < $5 ORDER BY seq LIMIT $6");
    LIST_STATUS_DESC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND status = $3 \
        AND seq > $4 AND seq < $5 ORDER BY seq DESC LIMIT $6");
    LIST_OF_BATCH_ASC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND batch_id = $2 AND seq > $3 AND seq < $4 \
        ORDER BY seq LIMIT $5");
    LIST_OF_BATCH_DESC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND batch_id = $2 AND seq > $3 AND seq < $4 \
        ORDER BY seq DESC LIMIT $5");
    LIST_OF_BATCH_STATUS_ASC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND batch_id = $2 AND status = $3 \
        AND seq > $4 AND seq < $5 ORDER BY seq LIMIT $6");
    LIST_OF_BATCH_STATUS_DESC = concat!("SELECT ", columns!(), " FROM vector_store_files \
        WHERE workspace_id = $1 AND batch_id = $2 AND status = $3 \
        AND seq > $4 AND seq < $5 ORDER BY seq DESC LIMIT $6");
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};
const LIST_STATUS: List = List {
    cursor: CURSOR,
    ascending: LIST_STATUS_ASC,
    descending: LIST_STATUS_DESC,
};
const LIST_OF_BATCH: List = List {
    cursor: BATCH_CURSOR,
    ascending: LIST_OF_BATCH_ASC,
    descending: LIST_OF_BATCH_DESC,
};
const LIST_OF_BATCH_STATUS: List = List {
    cursor: BATCH_CURSOR,
    ascending: LIST_OF_BATCH_STATUS_ASC,
    descending: LIST_OF_BATCH_STATUS_DESC,
};

/// A file for a store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVectorStoreFile {
    /// The file.
    pub file_id: FileId,
    /// How its text is cut up.
    pub chunking: Chunking,
    /// What searches are narrowed down by.
    pub attributes: Attributes,
}

/// The files in the vector stores of a [`crate::Store`].
#[derive(Debug)]
pub struct VectorStoreFiles<'s>(pub(crate) &'s Pool);

impl VectorStoreFiles<'_> {
    /// Puts files into a store, to be indexed. One that is there already is indexed anew, and found
    /// as it was until that is done; where it is waiting to be cut up in the same way, it goes on
    /// waiting. `None`: no such store.
    ///
    /// Errors: [`Error::NoSuchFiles`], [`Error::StoreExpired`], [`Error::StoreFull`],
    /// [`Error::Repeated`]; then nothing was written.
    pub async fn put(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        put: PutFiles,
        receipt: Option<Receipt>,
    ) -> Result<Option<()>, Error> {
        let (ws, store) = (ws.clone(), store.clone());
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                match self::put(tx, (&ws, &store), None, &put)? {
                    Some(()) => Ok(Some(())),
                    None => receipts::withdraw(tx, &ws, receipt.as_ref()),
                }
            })
            .await
    }

    /// A file in a store.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        file: &FileId,
    ) -> Result<Option<VectorStoreFile>, Error> {
        let (ws, store, file) = (ws.clone(), store.clone(), file.clone());
        self.0
            .read(move |tx| {
                if !super::exists(tx, &ws, &store)? {
                    return Ok(None);
                }
                tx.row(GET, values![&ws, &store, &file], read)
            })
            .await
    }

    /// Replaces what searches are narrowed down by, at once for all chunks of the file.
    pub async fn set_attributes(
        &self,
        ws: &WorkspaceId,
        (store, file): (&VectorStoreId, &FileId),
        attributes: Attributes,
    ) -> Result<Option<VectorStoreFile>, Error> {
        let (ws, store, file) = (ws.clone(), store.clone(), file.clone());
        let attributes = to_json(&attributes)?;
        self.0
            .write(move |tx| {
                let values = values![&attributes, &ws, &store, &file];
                tx.row(SET_ATTRIBUTES, values, read)
            })
            .await
    }

    /// Takes a file out of a store; it can not be found there from then on. False: it was not there.
    pub async fn remove(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        file: &FileId,
    ) -> Result<bool, Error> {
        let (ws, store, file) = (ws.clone(), store.clone(), file.clone());
        self.0
            .write(move |tx| remove(tx, (&ws, &store), &file))
            .await
    }

    /// A page of the files in a store, of one status or all. `None`: no such store. Error:
    /// [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        status: Option<IndexingStatus>,
        request: PageRequest<FileId>,
    ) -> Result<Option<Page<VectorStoreFile>>, Error> {
        let (ws, store) = (ws.clone(), store.clone());
        self.0
            .read(move |tx| {
                if !super::exists(tx, &ws, &store)? {
                    return Ok(None);
                }
                let scope = values![&ws, &store];
                let page = match status {
                    None => page(tx, &LIST, scope, scope, &request, read),
                    Some(status) => {
                        let filter = values![&ws, &store, status.as_str()];
                        page(tx, &LIST_STATUS, scope, filter, &request, read)
                    }
                };
                page.map(Some)
            })
            .await
    }
}

/// A page of the files of a batch.
pub(super) fn of_batch(
    tx: &mut dyn Tx,
    (ws, store, batch): (&WorkspaceId, &VectorStoreId, &FileBatchId),
    status: Option<IndexingStatus>,
    request: &PageRequest<FileId>,
) -> Result<Page<VectorStoreFile>, Error> {
    let scope = values![ws, store, batch];
    match status {
        None => page(tx, &LIST_OF_BATCH, scope, values![ws, batch], request, read),
        Some(status) => {
            let filter = values![ws, batch, status.as_str()];
            page(tx, &LIST_OF_BATCH_STATUS, scope, filter, request, read)
        }
    }
}

/// Puts files into a store, perhaps as a new batch.
pub(super) fn put(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    batch: Option<&FileBatch>,
    put: &PutFiles,
) -> Result<Option<()>, Error> {
    lock_files(tx, ws, put)?;
    let Some(record) = super::lock(tx, ws, store)? else {
        return Ok(None);
    };
    if record.has_expired(put.at) {
        return Err(Error::StoreExpired(record.id));
    }
    if put.files.is_empty() {
        return Ok(Some(()));
    }
    if let Some(batch) = batch {
        batches::insert(tx, ws, batch)?;
    }
    let batch = batch.map(|batch| &batch.id);
    let rows = put.files.iter().map(|file| {
        Ok(values![
            ws,
            store,
            &file.file_id,
            batch,
            put.at,
            i64::from(file.chunking.max_tokens),
            i64::from(file.chunking.overlap_tokens),
            to_json(&file.attributes)?,
        ]
        .to_vec())
    });
    let rows: Vec<_> = rows.collect::<Result<_, Error>>()?;
    let inserted = tx.execute_all(INSERT, &rows)?;
    let mut moves = Moves::default();
    for (file, inserted) in put.files.iter().zip(inserted) {
        if inserted > 0 {
            moves.add(IndexingStatus::InProgress, 1);
        } else {
            moves.merge(again(tx, (ws, store), batch, (file, put.at))?);
        }
    }
    let total = record
        .file_counts
        .total()
        .saturating_add_signed(moves.files());
    if total > put.most {
        return Err(Error::StoreFull);
    }
    moves.store(tx, ws, store)?;
    if let Some(batch) = batch {
        let mut all = Moves::default();
        let count = i64::try_from(put.files.len()).unwrap_or(i64::MAX);
        all.add(IndexingStatus::InProgress, count);
        all.batch(tx, ws, batch)?;
    }
    tx.announce_work()?;
    Ok(Some(()))
}

/// Makes sure that the files are there, and stay until the transaction ends.
fn lock_files(tx: &mut dyn Tx, ws: &WorkspaceId, put: &PutFiles) -> Result<(), Error> {
    let mut files: Vec<&FileId> = put.files.iter().map(|file| &file.file_id).collect();
    files.sort();
    files.dedup();
    let mut missing = Vec::new();
    for file in files {
        let found = tx.lock(FILE, values![ws, file, put.at], |_| Ok(()))?;
        if found.is_none() {
            missing.push(file.to_string());
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::NoSuchFiles(missing))
    }
}

/// Puts a file into a store that has it already. Returns how the store's counts move.
fn again(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    batch: Option<&FileBatchId>,
    (file, at): (&NewVectorStoreFile, Timestamp),
) -> Result<Moves, Error> {
    let entry = entry::lock(tx, (ws, store), &file.file_id)?
        .ok_or_else(|| Error::corrupt("a file in a store is there and is not"))?;
    if let Some(old) = &entry.batch {
        Moves::out_of(entry.status).batch(tx, ws, old)?;
    }
    let attributes = to_json(&file.attributes)?;
    let chunking = (
        i64::from(file.chunking.max_tokens),
        i64::from(file.chunking.overlap_tokens),
    );
    if entry.status == IndexingStatus::InProgress
        && (entry.chunk_tokens, entry.overlap_tokens) == chunking
    {
        tx.execute(KEEP, values![batch, at, attributes, entry.seq, ws])?;
        return Ok(Moves::default());
    }
    if entry.written > 0 && entry.shown != Some(entry.generation) {
        entry.discard(tx, ws, &[entry.generation])?;
    }
    let values = values![batch, at, chunking.0, chunking.1, attributes, entry.seq, ws];
    tx.execute(AGAIN, values)?;
    let moves = Moves::from_to(entry.status, IndexingStatus::InProgress);
    Ok(moves.with(-entry.usage_bytes, 0))
}

fn remove(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    file: &FileId,
) -> Result<bool, Error> {
    // Of a deleted store, the sweeper takes the files out.
    if super::lock(tx, ws, store)?.is_none() {
        return Ok(false);
    }
    let Some(entry) = entry::lock(tx, (ws, store), file)? else {
        return Ok(false);
    };
    entry.remove(tx, ws)?.store(tx, ws, store)?;
    Ok(true)
}

/// Takes a file out of all stores, because it is deleted: for the transaction that does so, once it
/// has locked the file.
pub(crate) fn forget_file(tx: &mut dyn Tx, ws: &WorkspaceId, file: &FileId) -> Result<(), Error> {
    let mut stores: Vec<VectorStoreId> =
        tx.rows(STORES_OF_FILE, values![ws, file], |row| row.id(0))?;
    // In one order, so that two do not wait for each other.
    stores.sort();
    for store in &stores {
        remove(tx, (ws, store), file)?;
    }
    Ok(())
}

fn read(row: &dyn Row) -> Result<VectorStoreFile, Error> {
    Ok(VectorStoreFile {
        file_id: row.id(0)?,
        vector_store_id: row.id(1)?,
        created_at: row.time(2)?,
        status: entry::status(row.text(3)?)?,
        last_error: row.optional_text(4)?.map(from_json).transpose()?,
        chunking: Chunking {
            max_tokens: small(row, 5)?,
            overlap_tokens: small(row, 6)?,
        },
        attributes: row.json(7)?,
        usage_bytes: unsigned(row, 8)?,
    })
}
