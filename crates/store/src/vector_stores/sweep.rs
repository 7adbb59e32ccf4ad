//! Giving room back, some rows at a time: a sweep takes what is left of a deleted store to pieces,
//! removes chunks that nobody searches, and puts the index of words together.

use loomgate_domain::{VectorStoreId, WorkspaceId};

use super::entry;
use crate::{
    Error, chunks,
    tx::{Tx, statements, values},
};

statements! {
    DELETED = "SELECT workspace_id, id FROM vector_stores WHERE deleted_at IS NOT NULL \
        ORDER BY deleted_at LIMIT 1";
    LOCK_DELETED = "SELECT 1 FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NOT NULL";
    BATCHES = "SELECT id FROM vector_store_batches WHERE workspace_id = $1 AND store_id = $2 \
        ORDER BY seq LIMIT $3";
    DELETE_BATCH = "DELETE FROM vector_store_batches WHERE workspace_id = $1 AND id = $2";
    DELETE_STORE = "DELETE FROM vector_stores WHERE workspace_id = $1 AND id = $2";
    GARBAGE = "SELECT workspace_id, entry, generation FROM chunk_garbage \
        ORDER BY workspace_id, entry, generation LIMIT 1";
    LOCK_GARBAGE = "SELECT 1 FROM chunk_garbage \
        WHERE workspace_id = $1 AND entry = $2 AND generation = $3";
    DELETE_GARBAGE = "DELETE FROM chunk_garbage \
        WHERE workspace_id = $1 AND entry = $2 AND generation = $3";
}

/// What a sweep did. There may be more to do if it did anything.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Rows that were removed.
    pub rows: usize,
    /// Whether some of the index of words was put together.
    pub is_merged: bool,
}

pub(super) fn sweep(tx: &mut dyn Tx, most: u32, pieces: Option<u64>) -> Result<Swept, Error> {
    let rows = remove_some(tx, most)?;
    let is_merged = match pieces {
        Some(pieces) if rows == 0 => chunks::merge(tx, pieces)?,
        _ => false,
    };
    Ok(Swept { rows, is_merged })
}

/// Returns how many rows were removed, of `most` or a few more.
fn remove_some(tx: &mut dyn Tx, most: u32) -> Result<usize, Error> {
    let deleted = tx.row(DELETED, &[], |row| Ok((row.id(0)?, row.id(1)?)))?;
    if let Some((ws, store)) = deleted {
        return take_apart(tx, (&ws, &store), most);
    }
    let garbage = tx.row(GARBAGE, &[], |row| {
        Ok((row.id(0)?, row.integer(1)?, row.integer(2)?))
    })?;
    match garbage {
        Some((ws, entry, generation)) => remove_chunks(tx, &ws, (entry, generation), most),
        None => Ok(0),
    }
}

/// Its files first, then its batches, then itself.
fn take_apart(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    most: u32,
) -> Result<usize, Error> {
    let locked = tx.lock(LOCK_DELETED, values![ws, store], |_| Ok(()))?;
    if locked.is_none() {
        // Somebody else has just done it.
        return Ok(1);
    }
    let entries = entry::lock_some(tx, (ws, store), most)?;
    for entry in &entries {
        entry.remove(tx, ws)?;
    }
    if !entries.is_empty() {
        return Ok(entries.len());
    }
    let batches = tx.rows(BATCHES, values![ws, store, i64::from(most)], |row| {
        Ok(row.text(0)?.to_owned())
    })?;
    let rows: Vec<_> = batches.iter().map(|id| values![ws, id].to_vec()).collect();
    tx.execute_all(DELETE_BATCH, &rows)?;
    if batches.is_empty() {
        tx.execute(DELETE_STORE, values![ws, store])?;
        return Ok(1);
    }
    Ok(batches.len())
}

fn remove_chunks(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    (entry, generation): (i64, i64),
    most: u32,
) -> Result<usize, Error> {
    let key = values![ws, entry, generation];
    if tx.lock(LOCK_GARBAGE, key, |_| Ok(()))?.is_none() {
        return Ok(1);
    }
    let removed = chunks::remove(tx, ws, (entry, generation), most)?;
    if removed < most as usize {
        tx.execute(DELETE_GARBAGE, key)?;
    }
    Ok(removed.max(1))
}
