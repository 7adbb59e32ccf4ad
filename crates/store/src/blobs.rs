//! Blobs: the objects that files and parts of uploads are made of (`docs/decisions/0014-files.md`).
//!
//! A row goes before its object and outlives it: it is `pending` before the first byte is written, made
//! `ready` by the transaction that refers to it, `doomed` by the one that drops the last reference, and
//! removed once the object is gone. So no object is without a row, whenever the process ends.
//!
//! Invariant: a ready blob is referred to. Whoever adds or drops a reference has the row locked.

use loomgate_domain::{BlobId, Timestamp, WorkspaceId, file::Blob};

use crate::{
    Error,
    pool::Pool,
    tx::{Row, Tx, statements, values},
};

/// Seconds until somebody looks for what is being written, unless it is touched.
pub const PENDING_S: u32 = 3600;
/// Seconds that the bytes of what was deleted are left to those who read them at this moment.
const GRACE_S: i64 = 60;
/// Seconds that a sweeper has for what it took, before another one takes it.
const SWEEP_S: i64 = 300;

statements! {
    INSERT = "INSERT INTO blobs (workspace_id, id, state, bytes, due_at) \
        VALUES ($1, $2, 'pending', 0, $3)";
    TURN = "UPDATE blobs SET state = $1, due_at = $2 \
        WHERE workspace_id = $3 AND id = $4 AND state = $5";
    SET_READY = "UPDATE blobs SET state = 'ready', hash = $1, bytes = $2, due_at = NULL \
        WHERE workspace_id = $3 AND id = $4 AND state = 'pending'";
    DOOM = "UPDATE blobs SET state = 'doomed', due_at = $1 WHERE workspace_id = $2 AND id = $3";
    OF_HASH = "SELECT id FROM blobs WHERE workspace_id = $1 AND hash = $2 AND bytes = $3 \
        AND state = 'ready' LIMIT 1";
    EXISTS = "SELECT 1 FROM blobs WHERE workspace_id = $1 AND id = $2";
    IN_FILES = "SELECT 1 FROM file_blobs WHERE workspace_id = $1 AND blob_id = $2 LIMIT 1";
    IN_PARTS = "SELECT 1 FROM upload_parts WHERE workspace_id = $1 AND blob_id = $2 LIMIT 1";
    DUE = "SELECT workspace_id, id FROM blobs WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    REMOVE = "DELETE FROM blobs WHERE workspace_id = $1 AND id = $2 AND state = 'doomed'";
}

/// The blobs of a [`crate::Store`].
#[derive(Debug)]
pub struct Blobs<'s>(pub(crate) &'s Pool);

impl Blobs<'_> {
    /// An object is about to be written. Error: [`Error::Duplicate`].
    pub async fn begin(&self, ws: &WorkspaceId, id: &BlobId, now: Timestamp) -> Result<(), Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write_one(move |tx| {
                let values = values![&ws, &id, now.0 + i64::from(PENDING_S)];
                tx.execute(INSERT, values).map(|_| ())
            })
            .await
    }

    /// It is still being written. False: the sweeper has it.
    pub async fn touch(
        &self,
        ws: &WorkspaceId,
        id: &BlobId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let due_at = Timestamp(now.0 + i64::from(PENDING_S));
        self.turn(ws, id, ("pending", "pending", Some(due_at)))
            .await
    }

    /// Nothing came of it: the sweeper takes what was written.
    pub async fn abandon(
        &self,
        ws: &WorkspaceId,
        id: &BlobId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let turned = self.turn(ws, id, ("pending", "doomed", Some(now)));
        turned.await.map(|_| ())
    }

    /// Its bytes are not those that were written: no other file is made of it.
    pub async fn set_damaged(&self, ws: &WorkspaceId, id: &BlobId) -> Result<(), Error> {
        let turned = self.turn(ws, id, ("ready", "damaged", None));
        turned.await.map(|_| ())
    }

    /// From one state to another. False: it was not in the first one.
    async fn turn(
        &self,
        ws: &WorkspaceId,
        id: &BlobId,
        (from, to, due_at): (&'static str, &'static str, Option<Timestamp>),
    ) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write_one(move |tx| Ok(tx.execute(TURN, values![to, due_at, &ws, &id, from])? > 0))
            .await
    }

    /// What nobody refers to, of all workspaces, for the caller to remove within five minutes, objects
    /// first: nobody else gets it meanwhile, and nobody refers to it any more.
    pub async fn take_due(
        &self,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<(WorkspaceId, BlobId)>, Error> {
        self.0
            .write(move |tx| {
                let mut due: Vec<(WorkspaceId, BlobId)> = Vec::new();
                let values = values![now, i64::from(most)];
                tx.visit_locked(DUE, values, &mut |row| {
                    due.push(key(row)?);
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
                for (ws, id) in &due {
                    tx.execute(DOOM, values![now.0 + SWEEP_S, ws, id])?;
                }
                Ok(due)
            })
            .await
    }

    /// The objects of these are gone.
    pub async fn removed(&self, gone: Vec<(WorkspaceId, BlobId)>) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                for (ws, id) in &gone {
                    tx.execute(REMOVE, values![ws, id])?;
                }
                Ok(())
            })
            .await
    }

    /// Those of these objects that have no row.
    pub async fn without_row(
        &self,
        objects: Vec<(WorkspaceId, BlobId)>,
    ) -> Result<Vec<(WorkspaceId, BlobId)>, Error> {
        self.0
            .read(move |tx| {
                let mut unknown = Vec::new();
                for (ws, id) in &objects {
                    if !tx.exists(EXISTS, values![ws, id])? {
                        unknown.push((ws.clone(), id.clone()));
                    }
                }
                Ok(unknown)
            })
            .await
    }
}

fn key(row: &dyn Row) -> Result<(WorkspaceId, BlobId), Error> {
    Ok((row.id(0)?, row.id(1)?))
}

/// Makes a blob that was written one to refer to: itself, or one of the same bytes that is there
/// already, whose row is locked then. Error: [`Error::Swept`].
pub(crate) fn adopt(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    blob: &Blob,
    now: Timestamp,
) -> Result<BlobId, Error> {
    let bytes = i64::try_from(blob.bytes).unwrap_or(i64::MAX);
    let same = tx.lock(OF_HASH, values![ws, &blob.hash, bytes], |row| row.id(0))?;
    if let Some(same) = same {
        tx.execute(DOOM, values![now, ws, &blob.id])?;
        return Ok(same);
    }
    if tx.execute(SET_READY, values![&blob.hash, bytes, ws, &blob.id])? == 0 {
        return Err(Error::Swept);
    }
    Ok(blob.id.clone())
}

/// References to these were dropped: dooms those that have none left.
pub(crate) fn release(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    mut blobs: Vec<BlobId>,
    now: Timestamp,
) -> Result<(), Error> {
    // In the order of all who lock several.
    blobs.sort();
    blobs.dedup();
    for blob in &blobs {
        let values = values![ws, blob];
        tx.lock(EXISTS, values, |_| Ok(()))?;
        if !tx.exists(IN_FILES, values)? && !tx.exists(IN_PARTS, values)? {
            tx.execute(DOOM, values![now.0 + GRACE_S, ws, blob])?;
        }
    }
    Ok(())
}
