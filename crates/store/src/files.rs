//! Files. Their bytes are elsewhere, in blobs (`blobs.rs`).

use std::collections::BTreeSet;

use loomgate_domain::{
    BlobId, File, FileId, Page, PageRequest, Receipt, Timestamp, WorkspaceId,
    file::{Blob, FileStatus, Purpose},
};

use crate::{
    Error, assistants, blobs,
    page::{List, page},
    pool::Pool,
    receipts, threads,
    tx::{Row, Tx, statements, values},
    vector_stores,
};

macro_rules! columns {
    () => {
        "id, created_at, filename, purpose, bytes, expires_at, status"
    };
}

/// Where `expires_at` is not null, and in a form that no index is taken for.
macro_rules! expires {
    () => {
        "COALESCE(files.expires_at, 9223372036854775807)"
    };
}
pub(crate) use expires;

macro_rules! list {
    ($filter:literal, $low:literal, $high:literal, $limit:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM files WHERE workspace_id = $1",
            $filter,
            " AND ",
            expires!(),
            " > ",
            $low,
            " AND seq > ",
            $high,
            $order,
            " LIMIT ",
            $limit
        )
    };
}

statements! {
    INSERT = concat!("INSERT INTO files (workspace_id, ", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    GET = concat!("SELECT ", columns!(), " FROM files \
        WHERE workspace_id = $1 AND id = $2 AND ", expires!(), " > $3");
    EXISTS = "SELECT 1 FROM files WHERE workspace_id = $1 AND id = $2";
    DELETE = "DELETE FROM files WHERE workspace_id = $1 AND id = $2";
    CURSOR = "SELECT seq FROM files WHERE workspace_id = $1 AND id = $2";
    LIST_ASC = list!("", "$2", "$3 AND seq < $4", "$5", " ORDER BY seq");
    LIST_DESC = list!("", "$2", "$3 AND seq < $4", "$5", " ORDER BY seq DESC");
    OF_PURPOSE_ASC = list!(" AND purpose = $2", "$3", "$4 AND seq < $5", "$6", " ORDER BY seq");
    OF_PURPOSE_DESC =
        list!(" AND purpose = $2", "$3", "$4 AND seq < $5", "$6", " ORDER BY seq DESC");
    EXPIRED = "SELECT workspace_id, id FROM files WHERE expires_at <= $1 \
        ORDER BY expires_at LIMIT $2";
    ADD_BLOB = "INSERT INTO file_blobs (workspace_id, file_id, number, blob_id) \
        VALUES ($1, $2, $3, $4)";
    BLOBS = "SELECT f.blob_id, b.hash, b.bytes FROM file_blobs f JOIN blobs b \
        ON b.workspace_id = f.workspace_id AND b.id = f.blob_id \
        WHERE f.workspace_id = $1 AND f.file_id = $2 ORDER BY f.number";
    ADD_USER = "INSERT INTO file_users (workspace_id, file_id, user_id) VALUES ($1, $2, $3) \
        ON CONFLICT (workspace_id, file_id, user_id) DO NOTHING";
    USERS = "SELECT user_id FROM file_users WHERE workspace_id = $1 AND file_id = $2 \
        ORDER BY user_id";
    DELETE_USER = "DELETE FROM file_users WHERE workspace_id = $1 AND user_id = $2";
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

const OF_PURPOSE: List = List {
    cursor: CURSOR,
    ascending: OF_PURPOSE_ASC,
    descending: OF_PURPOSE_DESC,
};

/// The files of a [`crate::Store`].
#[derive(Debug)]
pub struct Files<'s>(pub(crate) &'s Pool);

impl Files<'_> {
    /// Keeps a new file whose bytes were written as this blob, perhaps under an idempotency key.
    ///
    /// Errors: [`Error::Swept`], [`Error::Repeated`]; then nothing was written.
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        file: File,
        blob: Blob,
        (receipt, now): (Option<Receipt>, Timestamp),
    ) -> Result<(), Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                let blob = blobs::adopt(tx, &ws, &blob, now)?;
                insert(tx, &ws, &file, &[blob])
            })
            .await
    }

    /// A file.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        id: &FileId,
        now: Timestamp,
    ) -> Result<Option<File>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id, now], read))
            .await
    }

    /// Those of these that are there, each once, in their order.
    pub async fn find(
        &self,
        ws: &WorkspaceId,
        mut ids: Vec<FileId>,
        now: Timestamp,
    ) -> Result<Vec<File>, Error> {
        let ws = ws.clone();
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        self.0
            .read(move |tx| {
                let mut found = Vec::new();
                for id in &ids {
                    found.extend(tx.row(GET, values![&ws, id, now], read)?);
                }
                Ok(found)
            })
            .await
    }

    /// A file with the blobs that it is made of, in their order.
    pub async fn with_blobs(
        &self,
        ws: &WorkspaceId,
        id: &FileId,
        now: Timestamp,
    ) -> Result<Option<(File, Vec<Blob>)>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read(move |tx| {
                let Some(file) = tx.row(GET, values![&ws, &id, now], read)? else {
                    return Ok(None);
                };
                let blobs = tx.rows(BLOBS, values![&ws, &id], read_blob)?;
                Ok(Some((file, blobs)))
            })
            .await
    }

    /// A page of a workspace's files, or of those of one purpose. Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        purpose: Option<String>,
        request: PageRequest<FileId>,
        now: Timestamp,
    ) -> Result<Page<File>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let scope = values![&ws];
                match &purpose {
                    None => page(tx, &LIST, scope, values![&ws, now], &request, read),
                    Some(purpose) => {
                        let filter = values![&ws, purpose, now];
                        page(tx, &OF_PURPOSE, scope, filter, &request, read)
                    }
                }
            })
            .await
    }

    /// Removes a file, also from the resources of assistants and threads. False: there was none.
    pub async fn delete(
        &self,
        ws: &WorkspaceId,
        id: &FileId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                // One that has expired is gone for whoever asks; the sweeper removes it.
                if !tx.exists(GET, values![&ws, &id, now])? {
                    return Ok(false);
                }
                delete(tx, &ws, &id, now)
            })
            .await
    }

    /// Removes expired files of all workspaces, oldest first and `most` of them at a time; returns
    /// how many.
    pub async fn sweep(&self, now: Timestamp, most: u32) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let expired = tx.rows(EXPIRED, values![now, i64::from(most)], |row| {
                    Ok((row.id(0)?, row.id(1)?))
                })?;
                for (ws, id) in &expired {
                    delete(tx, ws, id, now)?;
                }
                Ok(expired.len())
            })
            .await
    }
}

pub(crate) fn insert(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    file: &File,
    blobs: &[BlobId],
) -> Result<(), Error> {
    let values = values![
        ws,
        &file.id,
        file.created_at,
        &file.filename,
        file.purpose.as_str(),
        i64::try_from(file.bytes).unwrap_or(i64::MAX),
        file.expires_at,
        file.status.as_str(),
    ];
    tx.execute(INSERT, values)?;
    for (blob, number) in blobs.iter().zip(0_i64..) {
        tx.execute(ADD_BLOB, values![ws, &file.id, number, blob])?;
    }
    Ok(())
}

/// Whoever uses the file is locked before it, as where they come to use it; whoever came in between
/// is found behind its lock.
fn delete(tx: &mut dyn Tx, ws: &WorkspaceId, id: &FileId, now: Timestamp) -> Result<bool, Error> {
    let users =
        |tx: &mut dyn Tx| tx.rows(USERS, values![ws, id], |row| Ok(row.text(0)?.to_owned()));
    let before = users(tx)?;
    for user in &before {
        forget(tx, ws, user, id)?;
    }
    if !lock(tx, ws, id)? {
        return Ok(false);
    }
    for user in users(tx)?.iter().filter(|user| !before.contains(user)) {
        forget(tx, ws, user, id)?;
    }
    vector_stores::forget_file(tx, ws, id)?;
    let blobs = tx.rows(BLOBS, values![ws, id], |row| row.id(0))?;
    tx.execute(DELETE, values![ws, id])?;
    blobs::release(tx, ws, blobs, now)?;
    Ok(true)
}

/// Takes a file out of the resources of an assistant or a thread.
fn forget(tx: &mut dyn Tx, ws: &WorkspaceId, user: &str, file: &FileId) -> Result<(), Error> {
    // Each knows its own ids.
    assistants::forget_file(tx, ws, user, file)?;
    threads::forget_file(tx, ws, user, file)
}

/// Whether there is such a file: then nobody deletes it until the transaction ends.
pub(crate) fn lock(tx: &mut dyn Tx, ws: &WorkspaceId, id: &FileId) -> Result<bool, Error> {
    Ok(tx.lock(EXISTS, values![ws, id], |_| Ok(()))?.is_some())
}

/// An assistant or a thread, which is new or locked, uses these files and no others. `before`: those
/// that it used so far. Error: [`Error::NoSuchFiles`].
pub(crate) fn set_used(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    user: &str,
    before: &[String],
    after: &[String],
) -> Result<(), Error> {
    if before == after {
        return Ok(());
    }
    let mut sorted: Vec<_> = after
        .iter()
        .map(|id| FileId::trusted(id.as_str()))
        .collect();
    sorted.sort();
    sorted.dedup();
    let mut missing = Vec::new();
    for file in &sorted {
        if !lock(tx, ws, file)? {
            missing.push(file.to_string());
        }
    }
    if !missing.is_empty() {
        return Err(Error::NoSuchFiles(missing));
    }
    if !before.is_empty() {
        unused(tx, ws, user)?;
    }
    for file in &sorted {
        tx.execute(ADD_USER, values![ws, file, user])?;
    }
    Ok(())
}

/// An assistant or a thread uses no files any more.
pub(crate) fn unused(tx: &mut dyn Tx, ws: &WorkspaceId, user: &str) -> Result<(), Error> {
    tx.execute(DELETE_USER, values![ws, user])?;
    Ok(())
}

/// A file.
pub(crate) fn get(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &FileId,
    now: Timestamp,
) -> Result<Option<File>, Error> {
    tx.row(GET, values![ws, id, now], read)
}

fn read(row: &dyn Row) -> Result<File, Error> {
    let (purpose, status) = (row.text(3)?, row.text(6)?);
    Ok(File {
        id: row.id(0)?,
        created_at: row.time(1)?,
        filename: row.text(2)?.to_owned(),
        purpose: Purpose::parse(purpose)
            .ok_or_else(|| Error::corrupt(format!("files.purpose {purpose}")))?,
        bytes: size(row, 4)?,
        expires_at: row.optional_integer(5)?.map(Timestamp),
        status: FileStatus::parse(status)
            .ok_or_else(|| Error::corrupt(format!("files.status {status}")))?,
    })
}

fn read_blob(row: &dyn Row) -> Result<Blob, Error> {
    Ok(Blob {
        id: row.id(0)?,
        hash: row.text(1)?.to_owned(),
        bytes: size(row, 2)?,
    })
}

pub(crate) fn size(row: &dyn Row, column: usize) -> Result<u64, Error> {
    let bytes = row.integer(column)?;
    u64::try_from(bytes).map_err(|_| Error::corrupt(format!("a size of {bytes} bytes")))
}
