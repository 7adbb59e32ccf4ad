//! Stores that are made along with something else, and files that messages attach for search: they go
//! into the store of their thread, which is made where there is none (contract section 7.3).

use loomgate_domain::{
    FileId, Timestamp, VectorStore, VectorStoreId, WorkspaceId,
    vector_store::{Attributes, Chunking, IndexingStatus, THREAD_STORE_DAYS},
};
use serde::{Deserialize, Serialize};

use super::{NewVectorStoreFile, PutFiles, entry, files};
use crate::{Error, tx::Tx};

/// A store that is made along with an assistant or a thread, and its files. What the record says of
/// counts is made from them.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVectorStore {
    /// The store.
    pub record: VectorStore,
    /// Its files, which wait to be indexed.
    pub put: PutFiles,
}

/// What becomes of files that messages attach for search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attaching {
    /// The store that is made where the thread has none, or one that is gone.
    pub new_store: VectorStoreId,
    /// The most files of a store.
    pub most: u64,
}

/// Makes a store. Errors: [`Error::NoSuchFiles`], [`Error::StoreFull`], [`Error::Duplicate`].
pub(crate) fn make(tx: &mut dyn Tx, ws: &WorkspaceId, new: &NewVectorStore) -> Result<(), Error> {
    super::insert(tx, ws, &new.record)?;
    files::put(tx, (ws, &new.record.id), None, &new.put)?;
    Ok(())
}

/// Puts files into the store of a thread, which is locked as they are. One that is there already stays
/// as it is, unless it could not be indexed. Returns the store's id where it was made for this.
///
/// Errors: [`Error::StoreExpired`], [`Error::StoreFull`]; then nothing was written.
pub(crate) fn attach(
    tx: &mut dyn Tx,
    (ws, of_thread): (&WorkspaceId, Option<&VectorStoreId>),
    attaching: &Attaching,
    (ids, at): (&[FileId], Timestamp),
) -> Result<Option<VectorStoreId>, Error> {
    let found = match of_thread {
        Some(id) => super::lock(tx, ws, id)?,
        None => None,
    };
    let is_made = found.is_none();
    let store = found.unwrap_or_else(|| implicit(attaching.new_store.clone(), at));
    let (mut total, mut wanted) = (store.file_counts.total(), Vec::new());
    for id in ids {
        let there = entry::lock(tx, (ws, &store.id), id)?;
        total += u64::from(there.is_none());
        let status = there.map(|entry| entry.status);
        if !matches!(
            status,
            Some(IndexingStatus::InProgress | IndexingStatus::Completed)
        ) {
            wanted.push(new_file(id));
        }
    }
    if total > attaching.most {
        return Err(Error::StoreFull);
    }
    if is_made {
        super::insert(tx, ws, &store)?;
    }
    let put = PutFiles {
        files: wanted,
        at,
        most: attaching.most,
    };
    files::put(tx, (ws, &store.id), None, &put)?;
    Ok(is_made.then_some(store.id))
}

/// The store of a thread that nobody gave one.
fn implicit(id: VectorStoreId, at: Timestamp) -> VectorStore {
    VectorStore {
        expires_after_days: Some(THREAD_STORE_DAYS),
        ..VectorStore::new(id, at)
    }
}

fn new_file(id: &FileId) -> NewVectorStoreFile {
    NewVectorStoreFile {
        file_id: id.clone(),
        chunking: Chunking::default(),
        attributes: Attributes::default(),
    }
}
