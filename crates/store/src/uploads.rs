//! Uploads in parts, until each is a file.

use loomgate_domain::{
    BlobId, File, FileId, PartId, Receipt, Timestamp, Upload, UploadId, UploadPart, WorkspaceId,
    file::{Blob, FileStatus, Purpose},
    upload::UploadStatus,
};

use crate::{
    Error, blobs, files,
    pool::Pool,
    receipts,
    tx::{Row, Tx, from_json, statements, to_json, values},
};

/// Seconds that is remembered what became of an upload whose time is over.
const REMEMBERED_S: i64 = 7 * 24 * 3600;

macro_rules! columns {
    () => {
        "id, created_at, expires_at, filename, purpose, mime_type, bytes, file_expires_after, \
         status, file_id"
    };
}

statements! {
    INSERT = concat!("INSERT INTO uploads (workspace_id, ", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    GET = concat!("SELECT ", columns!(), " FROM uploads WHERE workspace_id = $1 AND id = $2");
    COMPLETION = "SELECT completion FROM uploads WHERE workspace_id = $1 AND id = $2";
    SET_COMPLETED = "UPDATE uploads SET status = 'completed', file_id = $1, completion = $2 \
        WHERE workspace_id = $3 AND id = $4";
    SET_STATUS = "UPDATE uploads SET status = $1 WHERE workspace_id = $2 AND id = $3";
    EXPIRED = "SELECT workspace_id, id FROM uploads WHERE status = 'pending' AND expires_at <= $1 \
        ORDER BY expires_at LIMIT $2";
    OLD = "SELECT workspace_id, id FROM uploads WHERE expires_at <= $1 \
        ORDER BY expires_at LIMIT $2";
    DELETE = "DELETE FROM uploads WHERE workspace_id = $1 AND id = $2";
    ADD_PART = "INSERT INTO upload_parts (workspace_id, upload_id, id, created_at, blob_id, bytes) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    PARTS_BYTES = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM upload_parts \
        WHERE workspace_id = $1 AND upload_id = $2";
    PARTS = "SELECT p.id, p.blob_id, b.hash, p.bytes FROM upload_parts p JOIN blobs b \
        ON b.workspace_id = p.workspace_id AND b.id = p.blob_id \
        WHERE p.workspace_id = $1 AND p.upload_id = $2";
    DELETE_PARTS = "DELETE FROM upload_parts WHERE workspace_id = $1 AND upload_id = $2";
}

/// What an upload becomes.
#[derive(Debug, Clone)]
pub struct Completion {
    /// Its parts, in their order.
    pub parts: Vec<PartId>,
    /// The id of the file.
    pub file: FileId,
    /// The time.
    pub now: Timestamp,
}

/// An upload that is a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The upload.
    pub upload: Upload,
    /// The file; `None`: it is gone again.
    pub file: Option<File>,
}

/// The uploads of a [`crate::Store`].
#[derive(Debug)]
pub struct Uploads<'s>(pub(crate) &'s Pool);

impl Uploads<'_> {
    /// Keeps a new upload, perhaps under an idempotency key. Error: [`Error::Repeated`].
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        upload: Upload,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                let values = values![
                    &ws,
                    &upload.id,
                    upload.created_at,
                    upload.expires_at,
                    &upload.filename,
                    upload.purpose.as_str(),
                    &upload.mime_type,
                    i64::try_from(upload.bytes).unwrap_or(i64::MAX),
                    upload.file_expires_after_s.map(i64::from),
                    upload.status.as_str(),
                    upload.file_id.as_ref(),
                ];
                tx.execute(INSERT, values).map(|_| ())
            })
            .await
    }

    /// An upload, as it stands at this time.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        id: &UploadId,
        now: Timestamp,
    ) -> Result<Option<Upload>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        let read = move |row: &dyn Row| at(now, read(row)?);
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], read))
            .await
    }

    /// Adds a part whose bytes were written as this blob, where all parts have no more than `most`
    /// bytes together. `None`: no such upload.
    ///
    /// Errors: [`Error::UploadClosed`], [`Error::PartsTooLarge`], [`Error::Swept`],
    /// [`Error::Repeated`].
    pub async fn add_part(
        &self,
        ws: &WorkspaceId,
        part: UploadPart,
        blob: Blob,
        most: u64,
        receipt: Option<Receipt>,
    ) -> Result<Option<()>, Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                let now = part.created_at;
                receipts::keep(tx, &ws, receipt.as_ref())?;
                let Some(upload) = lock(tx, &ws, &part.upload_id, now)? else {
                    return receipts::withdraw(tx, &ws, receipt.as_ref());
                };
                expect_pending(&upload)?;
                let place = values![&ws, &part.upload_id];
                let there = tx
                    .row(PARTS_BYTES, place, |row| row.integer(0))?
                    .unwrap_or(0);
                let bytes = i64::try_from(blob.bytes).unwrap_or(i64::MAX);
                if u64::try_from(there.saturating_add(bytes)).unwrap_or(u64::MAX) > most {
                    return Err(Error::PartsTooLarge { most });
                }
                let adopted = blobs::adopt(tx, &ws, &blob, now)?;
                let values = values![&ws, &part.upload_id, &part.id, now, &adopted, bytes];
                tx.execute(ADD_PART, values)?;
                Ok(Some(()))
            })
            .await
    }

    /// The blobs of parts, in the order of `parts`, where all are there and none comes twice.
    /// `None`: no such upload; no blobs: it is completed already. Errors: [`Error::UploadClosed`],
    /// [`Error::NoSuchParts`], [`Error::DuplicateParts`].
    pub async fn blobs(
        &self,
        ws: &WorkspaceId,
        id: &UploadId,
        parts: Vec<PartId>,
        now: Timestamp,
    ) -> Result<Option<Option<Vec<Blob>>>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read(move |tx| {
                let Some(upload) = tx.row(GET, values![&ws, &id], read)? else {
                    return Ok(None);
                };
                if upload.status == UploadStatus::Completed {
                    // Whether it was by the same parts is for `complete` to say.
                    return Ok(Some(None));
                }
                expect_pending(&at(now, upload)?)?;
                ordered(tx, &ws, &id, &parts).map(Some).map(Some)
            })
            .await
    }

    /// Makes an upload a file; once it is one, the same parts are answered the same. `None`: no such
    /// upload. `keep` makes the receipt of what it becomes.
    ///
    /// Errors: [`Error::UploadClosed`], [`Error::NoSuchParts`], [`Error::DuplicateParts`],
    /// [`Error::UploadSize`], [`Error::Repeated`]; then nothing was written.
    pub async fn complete(
        &self,
        ws: &WorkspaceId,
        id: &UploadId,
        completion: Completion,
        keep: impl Fn(&Completed) -> Result<Option<Receipt>, Error> + Send + 'static,
    ) -> Result<Option<Completed>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let now = completion.now;
                let Some(upload) = lock(tx, &ws, &id, now)? else {
                    return Ok(None);
                };
                let completed = if upload.status == UploadStatus::Completed {
                    again(tx, &ws, upload, &completion)?
                } else {
                    expect_pending(&upload)?;
                    complete(tx, &ws, upload, &completion)?
                };
                receipts::keep(tx, &ws, keep(&completed)?.as_ref())?;
                Ok(Some(completed))
            })
            .await
    }

    /// Gives an upload up. `None`: no such upload. Error: [`Error::UploadClosed`].
    pub async fn cancel(
        &self,
        ws: &WorkspaceId,
        id: &UploadId,
        now: Timestamp,
    ) -> Result<Option<Upload>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(upload) = lock(tx, &ws, &id, now)? else {
                    return Ok(None);
                };
                expect_pending(&upload)?;
                close(tx, (&ws, &id), UploadStatus::Cancelled, now)?;
                Ok(Some(Upload {
                    status: UploadStatus::Cancelled,
                    ..upload
                }))
            })
            .await
    }

    /// Closes uploads of all workspaces whose time is over, and forgets those of last week, `most` of
    /// them at a time; returns how many.
    pub async fn sweep(&self, now: Timestamp, most: u32) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let most = i64::from(most);
                let expired = tx.rows(EXPIRED, values![now, most], key)?;
                for (ws, id) in &expired {
                    // Whoever completes it at this moment is waited for.
                    let found = tx.lock(GET, values![ws, id], read)?;
                    if found.is_some_and(|upload| upload.status == UploadStatus::Pending) {
                        close(tx, (ws, id), UploadStatus::Expired, now)?;
                    }
                }
                let old = tx.rows(OLD, values![now.0 - REMEMBERED_S, most], key)?;
                for (ws, id) in &old {
                    tx.execute(DELETE, values![ws, id])?;
                }
                Ok(expired.len() + old.len())
            })
            .await
    }
}

fn key(row: &dyn Row) -> Result<(WorkspaceId, UploadId), Error> {
    Ok((row.id(0)?, row.id(1)?))
}

/// Time closes an upload before the sweeper does.
#[expect(clippy::unnecessary_wraps, reason = "it stands where rows are read")]
fn at(now: Timestamp, mut upload: Upload) -> Result<Upload, Error> {
    if upload.status == UploadStatus::Pending && upload.expires_at <= now {
        upload.status = UploadStatus::Expired;
    }
    Ok(upload)
}

/// Nobody else changes it, or its parts, until the transaction ends.
fn lock(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &UploadId,
    now: Timestamp,
) -> Result<Option<Upload>, Error> {
    tx.lock(GET, values![ws, id], |row| at(now, read(row)?))
}

fn expect_pending(upload: &Upload) -> Result<(), Error> {
    match upload.status {
        UploadStatus::Pending => Ok(()),
        status => Err(Error::UploadClosed(status)),
    }
}

/// Ends an upload that takes no more parts.
fn close(
    tx: &mut dyn Tx,
    (ws, id): (&WorkspaceId, &UploadId),
    status: UploadStatus,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(SET_STATUS, values![status.as_str(), ws, id])?;
    drop_parts(tx, ws, id, now)
}

fn drop_parts(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &UploadId,
    now: Timestamp,
) -> Result<(), Error> {
    let blobs = tx.rows(PARTS, values![ws, id], |row| row.id(1))?;
    tx.execute(DELETE_PARTS, values![ws, id])?;
    blobs::release(tx, ws, blobs, now)
}

fn complete(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    mut upload: Upload,
    completion: &Completion,
) -> Result<Completed, Error> {
    let parts = ordered(tx, ws, &upload.id, &completion.parts)?;
    let bytes = parts.iter().map(|blob| blob.bytes).sum();
    if bytes != upload.bytes {
        return Err(Error::UploadSize {
            expected: upload.bytes,
            got: bytes,
        });
    }
    let created_at = upload.created_at;
    let lifetime = upload.file_expires_after_s.or(upload.purpose.lifetime_s());
    let file = File {
        id: completion.file.clone(),
        created_at,
        filename: upload.filename.clone(),
        purpose: upload.purpose,
        bytes,
        expires_at: lifetime.map(|seconds| Timestamp(created_at.0 + i64::from(seconds))),
        status: FileStatus::Processed,
    };
    let blobs: Vec<BlobId> = parts.into_iter().map(|blob| blob.id).collect();
    files::insert(tx, ws, &file, &blobs)?;
    let values = values![&file.id, to_json(&completion.parts)?, ws, &upload.id];
    tx.execute(SET_COMPLETED, values)?;
    drop_parts(tx, ws, &upload.id, completion.now)?;
    upload.status = UploadStatus::Completed;
    upload.file_id = Some(file.id.clone());
    Ok(Completed {
        upload,
        file: Some(file),
    })
}

/// It is a file already.
fn again(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    upload: Upload,
    completion: &Completion,
) -> Result<Completed, Error> {
    let parts = tx.row(COMPLETION, values![ws, &upload.id], |row| {
        let parts = row.optional_text(0)?;
        parts.map(from_json::<Vec<PartId>>).transpose()
    })?;
    if parts.flatten().as_ref() != Some(&completion.parts) {
        return Err(Error::UploadClosed(upload.status));
    }
    let file = match &upload.file_id {
        Some(file) => files::get(tx, ws, file, completion.now)?,
        None => None,
    };
    Ok(Completed { upload, file })
}

/// The blobs of parts in the order of their ids.
fn ordered(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &UploadId,
    parts: &[PartId],
) -> Result<Vec<Blob>, Error> {
    let there = tx.rows(PARTS, values![ws, id], |row| {
        let blob = Blob {
            id: row.id(1)?,
            hash: row.text(2)?.to_owned(),
            bytes: files::size(row, 3)?,
        };
        Ok((row.id(0)?, blob))
    })?;
    let there: std::collections::BTreeMap<PartId, Blob> = there.into_iter().collect();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for part in parts {
        match there.get(part) {
            Some(blob) => found.push(blob.clone()),
            None => missing.push(part.to_string()),
        }
    }
    if !missing.is_empty() {
        return Err(Error::NoSuchParts(missing));
    }
    let mut seen = std::collections::BTreeSet::new();
    let twice = parts.iter().find(|part| !seen.insert(*part));
    match twice {
        Some(part) => Err(Error::DuplicateParts(part.to_string())),
        None => Ok(found),
    }
}

fn read(row: &dyn Row) -> Result<Upload, Error> {
    let (purpose, status) = (row.text(4)?, row.text(8)?);
    let expires_after = row.optional_integer(7)?;
    Ok(Upload {
        id: row.id(0)?,
        created_at: row.time(1)?,
        expires_at: row.time(2)?,
        filename: row.text(3)?.to_owned(),
        purpose: Purpose::parse(purpose)
            .ok_or_else(|| Error::corrupt(format!("uploads.purpose {purpose}")))?,
        mime_type: row.text(5)?.to_owned(),
        bytes: files::size(row, 6)?,
        file_expires_after_s: expires_after.and_then(|seconds| u32::try_from(seconds).ok()),
        status: UploadStatus::parse(status)
            .ok_or_else(|| Error::corrupt(format!("uploads.status {status}")))?,
        file_id: row.optional_id(9)?,
    })
}
