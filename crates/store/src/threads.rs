//! Threads.

use std::collections::BTreeSet;

use loomgate_domain::{
    FileId, Message, Receipt, RunId, Thread, ThreadId, Timestamp, VectorStoreId, WorkspaceId,
    limits::CODE_INTERPRETER_FILES, tool::ToolResources,
};

use crate::{
    Attaching, Error, NewVectorStore, files, messages,
    pool::Pool,
    receipts, runs,
    tx::{Row, Tx, statements, to_json, values},
    vector_stores, waiting,
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

/// The vector stores that come with a thread, or with messages for one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThreadStores {
    /// One that is made along with the thread, which names it.
    pub made: Option<NewVectorStore>,
    /// What becomes of files that its messages attach for search. None: there are none.
    pub attaching: Option<Attaching>,
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
        self.create(ws, (thread, first), ThreadStores::default(), None)
            .await
    }

    /// The same, perhaps with vector stores, and under an idempotency key.
    ///
    /// More errors: [`Error::StoreExpired`], [`Error::StoreFull`], [`Error::Repeated`]; then nothing was
    /// written.
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        (thread, first): (Thread, Vec<Message>),
        stores: ThreadStores,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                insert(tx, &ws, (&thread, &first), &stores)
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
    (thread, first): (&Thread, &[Message]),
    stores: &ThreadStores,
) -> Result<(), Error> {
    let metadata = to_json(&thread.metadata)?;
    let tool_resources = to_json(&thread.tool_resources)?;
    tx.execute(
        INSERT,
        values![ws, &thread.id, thread.created_at, metadata, tool_resources],
    )?;
    let files = thread.tool_resources.file_ids();
    files::set_used(tx, ws, thread.id.as_str(), &[], files)?;
    if let Some(store) = &stores.made {
        vector_stores::make(tx, ws, store)?;
    }
    let (place, attaching) = ((ws, &thread.id), stores.attaching.as_ref());
    messages::post(tx, place, first, attaching, WithoutRoom::Refuse)
}

/// Writes what a thread became, which is locked; `files`: those that it used so far.
fn put(tx: &mut dyn Tx, ws: &WorkspaceId, thread: &Thread, files: &[String]) -> Result<(), Error> {
    let metadata = to_json(&thread.metadata)?;
    let tool_resources = to_json(&thread.tool_resources)?;
    tx.execute(UPDATE, values![metadata, tool_resources, ws, &thread.id])?;
    let used = thread.tool_resources.file_ids();
    files::set_used(tx, ws, thread.id.as_str(), files, used)
}

/// What becomes of messages whose files find no room with a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutRoom {
    /// They are refused.
    Refuse,
    /// They were promised: that tool goes without their files.
    GoWithout,
}

impl WithoutRoom {
    fn settle<T>(self, handed: Result<T, Error>) -> Result<Option<T>, Error> {
        match handed {
            Err(Error::TooManyFiles | Error::StoreExpired(_) | Error::StoreFull)
                if self == Self::GoWithout =>
            {
                Ok(None)
            }
            handed => handed.map(Some),
        }
    }
}

/// Hands files that messages attach to the tools of their thread (contract section 7.3); those that are
/// gone are left out.
///
/// Errors, where messages are refused: [`Error::TooManyFiles`], [`Error::StoreExpired`],
/// [`Error::StoreFull`]; then nothing was written.
pub(crate) fn attach(
    tx: &mut dyn Tx,
    (ws, id): (&WorkspaceId, &ThreadId),
    messages: &[Message],
    attaching: Option<&Attaching>,
    without_room: WithoutRoom,
) -> Result<(), Error> {
    let run: Vec<&str> = messages
        .iter()
        .flat_map(Message::code_interpreter_files)
        .collect();
    let search = messages.iter().flat_map(Message::file_search_files);
    let search: BTreeSet<&str> = search.collect();
    let attaching = attaching.filter(|_| !search.is_empty());
    let Some(at) = messages.first().map(|message| message.created_at) else {
        return Ok(());
    };
    if run.is_empty() && attaching.is_none() {
        return Ok(());
    }
    let Some(mut thread) = tx.lock(GET, values![ws, id], read)? else {
        return Ok(());
    };
    let named: BTreeSet<&str> = run.iter().chain(&search).copied().collect();
    let there = lock_files(tx, ws, &named, at)?;
    let before = thread.tool_resources.file_ids().to_vec();
    let run = run.into_iter().filter(|file| there.contains(file));
    let with_files = with_files(&thread.tool_resources, run);
    if let Some(with_files) = without_room.settle(with_files)? {
        thread.tool_resources = with_files;
    }
    if let Some(attaching) = attaching {
        let of_thread = thread.tool_resources.vector_store_ids().first();
        let of_thread = of_thread.map(|id| VectorStoreId::trusted(id.as_str()));
        let files = search.intersection(&there).copied();
        let files: Vec<_> = files.map(FileId::trusted).collect();
        let place = (ws, of_thread.as_ref());
        let made = vector_stores::attach(tx, place, attaching, (&files, at));
        if let Some(made) = without_room.settle(made)?.flatten() {
            thread.tool_resources.set_vector_store(made.as_str());
        }
    }
    put(tx, ws, &thread, &before)
}

/// Resources with more files for the `code_interpreter`. Error: [`Error::TooManyFiles`].
fn with_files<'f>(
    resources: &ToolResources,
    files: impl Iterator<Item = &'f str>,
) -> Result<ToolResources, Error> {
    let mut resources = resources.clone();
    files.for_each(|file| resources.add_file(file));
    if resources.file_ids().len() > CODE_INTERPRETER_FILES {
        return Err(Error::TooManyFiles);
    }
    Ok(resources)
}

/// Keeps files from being deleted until the transaction ends. Returns those that are there.
fn lock_files<'f>(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    named: &BTreeSet<&'f str>,
    at: Timestamp,
) -> Result<BTreeSet<&'f str>, Error> {
    let mut there = BTreeSet::new();
    // In one order, so that two do not wait for each other.
    for name in named {
        let file = FileId::trusted(*name);
        if files::lock(tx, ws, &file)? && files::get(tx, ws, &file, at)?.is_some() {
            there.insert(*name);
        }
    }
    Ok(there)
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
