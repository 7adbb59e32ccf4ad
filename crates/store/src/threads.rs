//! Threads.

use loomgate_domain::{
    FileId, Message, Receipt, RunId, Thread, ThreadId, WorkspaceId, limits::CODE_INTERPRETER_FILES,
};

use crate::{
    Error, files, messages,
    pool::Pool,
    receipts, runs,
    tx::{Row, Tx, statements, to_json, values},
    waiting,
};

statements! {
    INSERT = "INSERT INTO threads (workspace_id, id, created_at, metadata, tool_resources) \
        VALUES ($1, $2, $3, $4, $5)";
    GET = "SELECT id, created_at, metadata, tool_resources FROM threads \
        WHERE workspace_id = $1 AND id = $2";
    EXISTS = "SELECT 1 FROM threads WHERE workspace_id = $1 AND id = $2";
    UPDATE = "UPDATE threads SET metadata = $1, tool_resources = $2 \
        WHERE workspace_id = $3 AND id = $4";
    DELETE = "DELETE FROM threads WHERE workspace_id = $1 AND id = $2";
}

/// What a deleted thread leaves to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The runs that were active on it, or waited for it, and are gone with it: whoever carries
    /// one out has to stop.
    pub active_runs: Vec<RunId>,
}

/// The threads of a [`crate::Store`].
#[derive(Debug)]
pub struct Threads<'s>(pub(crate) &'s Pool);

impl Threads<'_> {
    /// Keeps a new thread with its first messages, in order. Errors: [`Error::Duplicate`],
    /// [`Error::NoSuchFiles`], [`Error::TooManyFiles`].
    pub async fn insert(
        &self,
        ws: &WorkspaceId,
        thread: Thread,
        first: Vec<Message>,
    ) -> Result<(), Error> {
        self.create(ws, thread, first, None).await
    }

    /// The same under an idempotency key. Error: [`Error::Repeated`].
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        thread: Thread,
        first: Vec<Message>,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                insert(tx, &ws, &thread, &first)
            })
            .await
    }

    /// A thread.
    pub async fn get(&self, ws: &WorkspaceId, id: &ThreadId) -> Result<Option<Thread>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], read))
            .await
    }

    /// Changes a thread's metadata and tool resources and returns what it became. Error:
    /// [`Error::NoSuchFiles`].
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        id: &ThreadId,
        change: impl Fn(Thread) -> Thread + Send + 'static,
    ) -> Result<Option<Thread>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(before) = tx.lock(GET, values![&ws, &id], read)? else {
                    return Ok(None);
                };
                let created_at = before.created_at;
                let files = before.tool_resources.file_ids().to_vec();
                let after = Thread {
                    id: id.clone(),
                    created_at,
                    ..change(before)
                };
                put(tx, &ws, &after, &files)?;
                Ok(Some(after))
            })
            .await
    }

    /// Removes a thread with its messages, runs and steps. `None`: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, id: &ThreadId) -> Result<Option<Deleted>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                if !lock(tx, &ws, &id)? {
                    return Ok(None);
                }
                // What its worker writes at this moment is waited for.
                let active = runs::lock_active(tx, &ws, &id)?;
                let waiting = waiting::runs(tx, &ws, &id)?;
                tx.execute(DELETE, values![&ws, &id])?;
                files::unused(tx, &ws, id.as_str())?;
                Ok(Some(Deleted {
                    active_runs: active.into_iter().chain(waiting).collect(),
                }))
            })
            .await
    }
}

pub(crate) fn exists(tx: &mut dyn Tx, ws: &WorkspaceId, id: &ThreadId) -> Result<bool, Error> {
    tx.exists(EXISTS, values![ws, id])
}

/// Whether there is such a thread: then nobody else begins a run on it, or appends to it, until
/// the transaction ends. This is what gives the messages of a thread their order.
pub(crate) fn lock(tx: &mut dyn Tx, ws: &WorkspaceId, id: &ThreadId) -> Result<bool, Error> {
    Ok(tx.lock(EXISTS, values![ws, id], |_| Ok(()))?.is_some())
}

pub(crate) fn insert(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &Thread,
    first: &[Message],
) -> Result<(), Error> {
    let metadata = to_json(&thread.metadata)?;
    let tool_resources = to_json(&thread.tool_resources)?;
    tx.execute(
        INSERT,
        values![ws, &thread.id, thread.created_at, metadata, tool_resources],
    )?;
    let files = thread.tool_resources.file_ids();
    files::set_used(tx, ws, thread.id.as_str(), &[], files)?;
    for message in first {
        messages::post(tx, ws, message)?;
    }
    Ok(())
}

/// Writes what a thread became, which is locked; `files`: those that it used so far.
fn put(tx: &mut dyn Tx, ws: &WorkspaceId, thread: &Thread, files: &[String]) -> Result<(), Error> {
    let metadata = to_json(&thread.metadata)?;
    let tool_resources = to_json(&thread.tool_resources)?;
    tx.execute(UPDATE, values![metadata, tool_resources, ws, &thread.id])?;
    let used = thread.tool_resources.file_ids();
    files::set_used(tx, ws, thread.id.as_str(), files, used)
}

/// Adds files to those of a thread's code interpreter (contract section 7.3); those that are gone
/// are left out. Error: [`Error::TooManyFiles`].
pub(crate) fn attach(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &ThreadId,
    files: &[&str],
) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    let Some(mut thread) = tx.lock(GET, values![ws, id], read)? else {
        return Ok(());
    };
    let before = thread.tool_resources.file_ids().to_vec();
    for file in files {
        if files::lock(tx, ws, &FileId::trusted(*file))? {
            thread.tool_resources.add_file(file);
        }
    }
    if thread.tool_resources.file_ids().len() > CODE_INTERPRETER_FILES {
        return Err(Error::TooManyFiles);
    }
    put(tx, ws, &thread, &before)
}

/// Takes a file out of a thread's resources, where this is a thread.
pub(crate) fn forget_file(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &str,
    file: &FileId,
) -> Result<(), Error> {
    let Some(mut thread) = tx.lock(GET, values![ws, id], read)? else {
        return Ok(());
    };
    if thread.tool_resources.forget_file(file.as_str()) {
        let metadata = to_json(&thread.metadata)?;
        let tool_resources = to_json(&thread.tool_resources)?;
        tx.execute(UPDATE, values![metadata, tool_resources, ws, id])?;
    }
    Ok(())
}

fn read(row: &dyn Row) -> Result<Thread, Error> {
    Ok(Thread {
        id: row.id(0)?,
        created_at: row.time(1)?,
        metadata: row.json(2)?,
        tool_resources: row.json(3)?,
    })
}
