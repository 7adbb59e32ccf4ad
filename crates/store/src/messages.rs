//! Messages.

use loomgate_domain::{
    Message, MessageId, Metadata, Page, PageRequest, Receipt, RunId, ThreadId, WorkspaceId,
    message::{MessageStatus, Role},
};

use crate::{
    Attaching, Error,
    page::{List, page},
    pool::Pool,
    receipts, runs,
    threads::{self, WithoutRoom},
    tx::{Row, Tx, Visit, statements, to_json, values},
    waiting::{self, IfLocked},
};

macro_rules! columns {
    () => {
        "id, thread_id, created_at, role, content, attachments, metadata, assistant_id, run_id, \
         state"
    };
}

/// Where `seq` stands when it follows `columns!`.
const SEQ: usize = 10;

/// How many messages are read at a time where all might be wanted.
const CHUNK: i64 = 64;

macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO messages (workspace_id, status, ",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        )
    };
}

statements! {
    INSERT = insert!();
    // Its metadata is the client's: the executor, which knows an old copy, leaves it alone.
    PUT = concat!(insert!(), " ON CONFLICT (workspace_id, id) DO UPDATE SET \
        status = excluded.status, content = excluded.content, \
        attachments = excluded.attachments, state = excluded.state");
    GET = concat!("SELECT ", columns!(), " FROM messages \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3");
    SET_METADATA = concat!("UPDATE messages SET metadata = $1 \
        WHERE workspace_id = $2 AND id = $3 AND thread_id = $4 RETURNING ", columns!());
    DELETE = "DELETE FROM messages WHERE workspace_id = $1 AND id = $2 AND thread_id = $3";
    CURSOR = "SELECT seq FROM messages WHERE workspace_id = $1 AND thread_id = $2 AND id = $3";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq DESC LIMIT $5");
    LIST_OF_RUN_ASC = concat!("SELECT ", columns!(), " FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND run_id = $3 AND seq > $4 AND seq < $5 ORDER BY seq LIMIT $6");
    LIST_OF_RUN_DESC = concat!("SELECT ", columns!(), " FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND run_id = $3 AND seq > $4 AND seq < $5 ORDER BY seq DESC LIMIT $6");
    LIST_OPEN = concat!("SELECT ", columns!(), " FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND run_id = $3 AND status = 'in_progress' ORDER BY seq");
    LIST_NEWEST = concat!("SELECT ", columns!(), ", seq FROM messages WHERE workspace_id = $1 \
        AND thread_id = $2 AND seq < $3 AND status <> 'in_progress' ORDER BY seq DESC LIMIT $4");
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

const LIST_OF_RUN: List = List {
    cursor: CURSOR,
    ascending: LIST_OF_RUN_ASC,
    descending: LIST_OF_RUN_DESC,
};

/// The messages of a [`crate::Store`].
#[derive(Debug)]
pub struct Messages<'s>(pub(crate) &'s Pool);

impl Messages<'_> {
    /// Appends a message to its thread. `None`: no such thread.
    ///
    /// Errors: [`Error::ActiveRun`] while the thread is locked, [`Error::Duplicate`].
    pub async fn insert(&self, ws: &WorkspaceId, message: Message) -> Result<Option<()>, Error> {
        self.create(ws, (message, None), IfLocked::Refuse, None)
            .await
    }

    /// The same, perhaps with files that it attaches for search, perhaps once the thread is free, and
    /// perhaps under an idempotency key.
    ///
    /// More errors: [`Error::QueueFull`], [`Error::Repeated`], [`Error::TooManyFiles`],
    /// [`Error::StoreExpired`], [`Error::StoreFull`].
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        (message, attaching): (Message, Option<Attaching>),
        if_locked: IfLocked,
        receipt: Option<Receipt>,
    ) -> Result<Option<()>, Error> {
        let ws = ws.clone();
        self.0
            .write(move |tx| {
                receipts::keep(tx, &ws, receipt.as_ref())?;
                if !threads::lock(tx, &ws, &message.thread_id)? {
                    return receipts::withdraw(tx, &ws, receipt.as_ref());
                }
                match (runs::active(tx, &ws, &message.thread_id)?, if_locked) {
                    (None, _) => {
                        let place = (&ws, &message.thread_id);
                        let messages = std::slice::from_ref(&message);
                        post(tx, place, messages, attaching.as_ref(), WithoutRoom::Refuse)?;
                    }
                    (Some(run), IfLocked::Refuse) => return Err(Error::ActiveRun { run }),
                    (Some(_), IfLocked::Enqueue) => {
                        waiting::expect_room(tx, &ws, &message.thread_id, 1)?;
                        waiting::add_message(tx, &ws, &message, attaching.as_ref())?;
                    }
                }
                Ok(Some(()))
            })
            .await
    }

    /// A message, also one that waits for its thread.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &MessageId,
    ) -> Result<Option<Message>, Error> {
        let key = (ws.clone(), thread.clone(), id.clone());
        let found = self
            .0
            .read_one(move |tx| tx.row(GET, values![&key.0, &key.2, &key.1], read))
            .await?;
        if found.is_some() {
            return Ok(found);
        }
        // Behind the first look it may have got its place: one snapshot sees it in either.
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        self.0
            .read(move |tx| match waiting::message(tx, &ws, &thread, &id)? {
                None => tx.row(GET, values![&ws, &id, &thread], read),
                found => Ok(found),
            })
            .await
    }

    /// Replaces a message's metadata and returns the message.
    pub async fn set_metadata(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &MessageId,
        metadata: Metadata,
    ) -> Result<Option<Message>, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        let text = to_json(&metadata)?;
        self.0
            .write(move |tx| {
                let values = values![&text, &ws, &id, &thread];
                if let Some(found) = tx.row(SET_METADATA, values, read)? {
                    return Ok(Some(found));
                }
                // Now it gets its place, or has it, or is none.
                threads::lock(tx, &ws, &thread)?;
                match tx.row(SET_METADATA, values, read)? {
                    None => waiting::set_metadata(tx, &ws, (&thread, &id), metadata.clone()),
                    found => Ok(found),
                }
            })
            .await
    }

    /// Removes a message. False: there was none.
    pub async fn delete(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &MessageId,
    ) -> Result<bool, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        self.0
            .write(move |tx| {
                let values = values![&ws, &id, &thread];
                if tx.execute(DELETE, values)? > 0 {
                    return Ok(true);
                }
                // As above.
                threads::lock(tx, &ws, &thread)?;
                Ok(waiting::delete_message(tx, &ws, &thread, &id)?
                    || tx.execute(DELETE, values)? > 0)
            })
            .await
    }

    /// A page of a thread's messages, or of those that one run wrote. `None`: no such thread.
    /// Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        run: Option<&RunId>,
        request: PageRequest<MessageId>,
    ) -> Result<Option<Page<Message>>, Error> {
        let (ws, thread, run) = (ws.clone(), thread.clone(), run.cloned());
        self.0
            .read(move |tx| {
                if !threads::exists(tx, &ws, &thread)? {
                    return Ok(None);
                }
                let scope = values![&ws, &thread];
                let page = match &run {
                    None => page(tx, &LIST, scope, scope, &request, read)?,
                    Some(run) => {
                        let filter = values![&ws, &thread, run];
                        page(tx, &LIST_OF_RUN, scope, filter, &request, read)?
                    }
                };
                Ok(Some(page))
            })
            .await
    }
}

pub(crate) fn insert(tx: &mut dyn Tx, ws: &WorkspaceId, message: &Message) -> Result<(), Error> {
    write(tx, INSERT, ws, message)
}

/// Inserts or replaces by id; the place in the thread, and the metadata, stay.
pub(crate) fn put(tx: &mut dyn Tx, ws: &WorkspaceId, message: &Message) -> Result<(), Error> {
    write(tx, PUT, ws, message)
}

pub(crate) fn delete(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    id: &MessageId,
) -> Result<(), Error> {
    tx.execute(DELETE, values![ws, id, thread])?;
    Ok(())
}

/// The messages that a run is writing.
pub(crate) fn open(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    run: &RunId,
) -> Result<Vec<Message>, Error> {
    tx.rows(LIST_OPEN, values![ws, thread, run], read)
}

/// Shows the newest finished messages, newest first, until `visit` breaks. They are read some at a
/// time: an engine may send all rows of a statement, wanted or not.
pub(crate) fn newest(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    limit: Option<u32>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let mut left = limit.map_or(i64::MAX, i64::from);
    let mut before = i64::MAX;
    loop {
        let chunk = left.min(CHUNK);
        let (mut seen, mut broke) = (0, false);
        tx.visit(
            LIST_NEWEST,
            values![ws, thread, before, chunk],
            &mut |row| {
                seen += 1;
                before = row.integer(SEQ)?;
                let flow = visit(row)?;
                broke = flow.is_break();
                Ok(flow)
            },
        )?;
        left -= seen;
        if broke || seen < chunk || left == 0 {
            return Ok(());
        }
    }
}

/// Appends messages that clients made to their thread: the files that they attach are handed to its tools.
/// Errors: as of [`threads::attach`].
pub(crate) fn post(
    tx: &mut dyn Tx,
    place: (&WorkspaceId, &ThreadId),
    messages: &[Message],
    attaching: Option<&Attaching>,
    without_room: WithoutRoom,
) -> Result<(), Error> {
    for message in messages {
        insert(tx, place.0, message)?;
    }
    threads::attach(tx, place, messages, attaching, without_room)
}

fn write(
    tx: &mut dyn Tx,
    sql: &'static str,
    ws: &WorkspaceId,
    message: &Message,
) -> Result<(), Error> {
    let status = match message.status {
        MessageStatus::InProgress => "in_progress",
        MessageStatus::Completed { .. } => "completed",
        MessageStatus::Incomplete { .. } => "incomplete",
    };
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    tx.execute(
        sql,
        values![
            ws,
            status,
            &message.id,
            &message.thread_id,
            message.created_at,
            role,
            to_json(&message.content)?,
            to_json(&message.attachments)?,
            to_json(&message.metadata)?,
            message.assistant_id.as_ref(),
            message.run_id.as_ref(),
            to_json(&message.status)?,
        ],
    )?;
    Ok(())
}

/// Size of a row's content, in bytes.
pub(crate) fn content_bytes(row: &dyn Row) -> Result<usize, Error> {
    row.text(4).map(str::len)
}

pub(crate) fn read(row: &dyn Row) -> Result<Message, Error> {
    Ok(Message {
        id: row.id(0)?,
        thread_id: row.id(1)?,
        created_at: row.time(2)?,
        role: match row.text(3)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(Error::corrupt(format!("messages.role {other}"))),
        },
        content: row.json(4)?,
        attachments: row.json(5)?,
        metadata: row.json(6)?,
        assistant_id: row.optional_id(7)?,
        run_id: row.optional_id(8)?,
        status: row.json(9)?,
    })
}
