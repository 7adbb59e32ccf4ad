//! What waits until its thread is free: messages and runs that were asked for with
//! [`IfLocked::Enqueue`] while a run was active.
//!
//! A waiting run is a row of `runs` like any other, `queued`, but no worker is wanted for it and it
//! does not lock the thread. A waiting message stands here alone: it gets its place in the thread
//! when the thread is free, so that the order of messages never changes.
//!
//! Invariant: while anything waits, a run is active on the thread. Whoever adds, and whoever ends
//! an active run, has the thread locked before it looks at the other's table.

use loomgate_domain::{Message, MessageId, Metadata, Run, RunId, ThreadId, Timestamp, WorkspaceId};

use serde::{Deserialize, Serialize};

use crate::{
    Attaching, Error, messages, runs,
    threads::WithoutRoom,
    tx::{Row, Tx, from_json, statements, to_json, values},
};

/// The most that waits for one thread.
pub const WAITING_MAX: u32 = 64;

/// What becomes of a message or a run whose thread is locked by a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfLocked {
    /// It is refused: [`Error::ActiveRun`].
    #[default]
    Refuse,
    /// It waits until the thread is free; [`Error::QueueFull`] behind [`WAITING_MAX`] others.
    Enqueue,
}

statements! {
    INSERT = "INSERT INTO waiting (workspace_id, id, thread_id, message, expires_at) \
        VALUES ($1, $2, $3, $4, $5)";
    COUNT = "SELECT COUNT(*) FROM waiting WHERE workspace_id = $1 AND thread_id = $2";
    NEXT = "SELECT id, message, expires_at FROM waiting WHERE workspace_id = $1 AND thread_id = $2 \
        ORDER BY seq LIMIT 1";
    DELETE = "DELETE FROM waiting WHERE workspace_id = $1 AND id = $2";
    GET_MESSAGE = "SELECT message FROM waiting \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3 AND message IS NOT NULL";
    SET_MESSAGE = "UPDATE waiting SET message = $1 WHERE workspace_id = $2 AND id = $3";
    DELETE_MESSAGE = "DELETE FROM waiting \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3 AND message IS NOT NULL";
    RUNS = "SELECT id FROM waiting WHERE workspace_id = $1 AND thread_id = $2 \
        AND message IS NULL ORDER BY seq";
    DUE = "SELECT workspace_id, thread_id, id FROM waiting WHERE expires_at <= $1 \
        ORDER BY expires_at LIMIT $2";
    NEXT_DEADLINE = "SELECT expires_at FROM waiting WHERE expires_at IS NOT NULL \
        ORDER BY expires_at LIMIT 1";
}

/// A message that waits, as its row has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    #[serde(flatten)]
    message: Message,
    /// What becomes of files that it attaches for search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attaching: Option<Attaching>,
}

/// Adds a message to what waits for its thread, which the caller has locked.
pub(crate) fn add_message(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    message: &Message,
    attaching: Option<&Attaching>,
) -> Result<(), Error> {
    let record = to_json(&Waiting {
        message: message.clone(),
        attaching: attaching.cloned(),
    })?;
    let values = values![
        ws,
        &message.id,
        &message.thread_id,
        record,
        None::<Timestamp>
    ];
    tx.execute(INSERT, values)?;
    Ok(())
}

/// Adds a run, which is a row already.
pub(crate) fn add_run(tx: &mut dyn Tx, ws: &WorkspaceId, run: &Run) -> Result<(), Error> {
    let expires_at = run.settings.expires_at;
    let values = values![ws, &run.id, &run.thread_id, None::<String>, expires_at];
    tx.execute(INSERT, values)?;
    Ok(())
}

/// Errors unless so many more may wait for a thread, which the caller has locked.
pub(crate) fn expect_room(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    more: usize,
) -> Result<(), Error> {
    let waiting = tx.row(COUNT, values![ws, thread], |row| row.integer(0))?;
    let waiting = usize::try_from(waiting.unwrap_or(0)).unwrap_or(usize::MAX);
    if waiting.saturating_add(more) > WAITING_MAX as usize {
        return Err(Error::QueueFull);
    }
    Ok(())
}

/// Takes what waits for a thread, which the caller has locked, until a run is active on it.
pub(crate) fn take(tx: &mut dyn Tx, ws: &WorkspaceId, thread: &ThreadId) -> Result<(), Error> {
    if runs::active(tx, ws, thread)?.is_some() {
        // It was a waiting run that ended.
        return Ok(());
    }
    while let Some((id, next)) = tx.row(NEXT, values![ws, thread], next)? {
        tx.execute(DELETE, values![ws, &id])?;
        match next {
            Next::Message(waiting) => {
                let Waiting { message, attaching } = *waiting;
                let (place, attaching) = ((ws, thread), attaching.as_ref());
                messages::post(tx, place, &[message], attaching, WithoutRoom::GoWithout)?;
            }
            Next::Run { expires_at } => {
                return runs::activate(tx, ws, &RunId::trusted(id), expires_at);
            }
        }
    }
    Ok(())
}

/// The runs that wait for a thread, in order.
pub(crate) fn runs(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
) -> Result<Vec<RunId>, Error> {
    tx.rows(RUNS, values![ws, thread], |row| row.id(0))
}

/// A run that waits no more, because it is to end before its turn.
pub(crate) fn forget(tx: &mut dyn Tx, ws: &WorkspaceId, run: &RunId) -> Result<(), Error> {
    tx.execute(DELETE, values![ws, run])?;
    Ok(())
}

/// A message that waits.
pub(crate) fn message(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    id: &MessageId,
) -> Result<Option<Message>, Error> {
    Ok(waiting(tx, ws, (thread, id))?.map(|waiting| waiting.message))
}

fn waiting(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    (thread, id): (&ThreadId, &MessageId),
) -> Result<Option<Waiting>, Error> {
    tx.row(GET_MESSAGE, values![ws, id, thread], |row| row.json(0))
}

/// Replaces the metadata of a message that waits; the caller has locked the thread.
pub(crate) fn set_metadata(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    (thread, id): (&ThreadId, &MessageId),
    metadata: Metadata,
) -> Result<Option<Message>, Error> {
    let Some(mut waiting) = waiting(tx, ws, (thread, id))? else {
        return Ok(None);
    };
    waiting.message.metadata = metadata;
    tx.execute(SET_MESSAGE, values![to_json(&waiting)?, ws, id])?;
    Ok(Some(waiting.message))
}

/// Removes a message that waits; the caller has locked the thread. False: there was none.
pub(crate) fn delete_message(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    id: &MessageId,
) -> Result<bool, Error> {
    Ok(tx.execute(DELETE_MESSAGE, values![ws, id, thread])? > 0)
}

/// Waiting runs whose time is over, those first that are longest over.
pub(crate) fn due(
    tx: &mut dyn Tx,
    now: Timestamp,
    max: u32,
) -> Result<Vec<(WorkspaceId, ThreadId, RunId)>, Error> {
    tx.rows(DUE, values![now, i64::from(max)], |row| {
        Ok((row.id(0)?, row.id(1)?, row.id(2)?))
    })
}

/// When the next waiting run's time is over.
pub(crate) fn next_deadline(tx: &mut dyn Tx) -> Result<Option<Timestamp>, Error> {
    tx.row(NEXT_DEADLINE, &[], |row| row.time(0))
}

enum Next {
    Message(Box<Waiting>),
    Run { expires_at: Timestamp },
}

fn next(row: &dyn Row) -> Result<(String, Next), Error> {
    let next = match row.optional_text(1)? {
        Some(message) => Next::Message(from_json(message)?),
        None => Next::Run {
            expires_at: row.time(2)?,
        },
    };
    Ok((row.text(0)?.to_owned(), next))
}
