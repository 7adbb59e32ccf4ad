//! Runs: the records here; what moves them in the modules below.
//!
//! A row is its own entry in the work queue. Its lease columns follow from its status:
//!
//! | status | `lease_owner` | `lease_until` (ms) |
//! | --- | --- | --- |
//! | queued | null | 0: a worker is wanted; null: it waits for its thread |
//! | in progress, cancelling | the worker, or null | the end of the lease, or 0 |
//! | requires action, terminal | null | null: no worker is wanted |
//!
//! `fence` counts the leases given out, `version` the changes of state. A worker's writes name
//! both, so that a worker that lost its lease, or that did not see a command, writes nothing.

use loomgate_domain::{
    Message, Metadata, Page, PageRequest, Receipt, Run, RunId, Thread, ThreadId, Timestamp,
    WorkspaceId,
    run::{EventId, Journal},
};

use crate::{
    Error, EventRow, ThreadStores, events, messages,
    page::{List, page},
    pool::Pool,
    receipts,
    threads::{self, WithoutRoom},
    tx::{Row, Tx, statements, to_json, values},
    waiting::{self, IfLocked},
};

mod advance;
mod context;
mod queue;
mod row;
mod sealed;

pub use advance::{Commanded, Committed, Guard, RunChange, RunSnapshot, Take};
pub use context::{ContextLimits, RunContext};
pub use queue::{Claim, ClaimRequest, ClaimedRow, Lease};

pub(crate) use row::status;
use row::{COLUMNS, RunRow, columns};

#[cfg(test)]
pub(crate) use {
    advance::STATEMENTS as ADVANCE_STATEMENTS,
    queue::POSTGRES_STATEMENTS as QUEUE_POSTGRES_STATEMENTS, queue::STATEMENTS as QUEUE_STATEMENTS,
    sealed::STATEMENTS as SEALED_STATEMENTS,
};

statements! {
    INSERT = concat!("INSERT INTO runs (workspace_id, status, expires_at, version, fence, \
        attempt, lease_owner, lease_until, sealed, journal, ", columns!(), ") \
        VALUES ($1, $2, $3, $4, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)");
    SEALED = "SELECT sealed FROM runs WHERE workspace_id = $1 AND id = $2";
    GET = concat!("SELECT ", columns!(), " FROM runs \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3");
    WITH_JOURNAL = concat!("SELECT ", columns!(), ", journal, fence FROM runs \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3");
    EXISTS = "SELECT 1 FROM runs WHERE workspace_id = $1 AND id = $2 AND thread_id = $3";
    ACTIVE = "SELECT id FROM runs \
        WHERE workspace_id = $1 AND thread_id = $2 AND expires_at IS NOT NULL";
    // It had waited for its thread.
    ACTIVATE = "UPDATE runs SET expires_at = $1, lease_until = 0 \
        WHERE workspace_id = $2 AND id = $3";
    SET_METADATA = concat!("UPDATE runs SET metadata = $1 \
        WHERE workspace_id = $2 AND id = $3 AND thread_id = $4 RETURNING ", columns!());
    CURSOR = "SELECT seq FROM runs WHERE workspace_id = $1 AND thread_id = $2 AND id = $3";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM runs WHERE workspace_id = $1 \
        AND thread_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM runs WHERE workspace_id = $1 \
        AND thread_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq DESC LIMIT $5");
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

/// The runs of a [`crate::Store`].
#[derive(Debug)]
pub struct Runs<'s>(pub(crate) &'s Pool);

/// A run to create, and where.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The thread that [`Run::thread_id`] names.
    pub thread: NewRunThread,
    /// The run.
    pub run: Run,
    /// Credentials and an inline config that came with the request, sealed. Erased by the commit
    /// that ends the run.
    pub sealed: Option<String>,
    /// What its stream is told of its creation; none: it is not recorded.
    pub events: Option<EventRow>,
    /// When it is created, in milliseconds.
    pub at_ms: i64,
    /// What becomes of it, and of the messages that come with it, where the thread is locked.
    pub if_locked: IfLocked,
    /// Vector stores of the thread.
    pub stores: ThreadStores,
    /// Where it is asked for under an idempotency key.
    pub receipt: Option<Receipt>,
    /// Who takes it up at once, unless it has to wait for its thread.
    pub take: Option<Take>,
}

/// What became of a new run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It waits, for a worker or for its thread.
    Waiting,
    /// It was taken up ([`NewRun::take`]); this is what the worker knows of it.
    Taken(Guard),
}

/// The thread of a new run.
#[derive(Debug, Clone)]
pub enum NewRunThread {
    /// It is there already.
    Existing {
        /// Messages to append first.
        messages: Vec<Message>,
    },
    /// It is made with the run.
    New {
        /// The thread.
        thread: Thread,
        /// Its messages.
        messages: Vec<Message>,
    },
}

impl Runs<'_> {
    /// Keeps a new run, with the messages or the thread that come with it. `None`: no such
    /// thread.
    ///
    /// Errors: [`Error::ActiveRun`] or [`Error::QueueFull`] while the thread is locked,
    /// [`Error::Repeated`], [`Error::Duplicate`], [`Error::NoSuchFiles`], [`Error::TooManyFiles`],
    /// [`Error::StoreExpired`], [`Error::StoreFull`]; then nothing was written.
    pub async fn create(&self, ws: &WorkspaceId, new: NewRun) -> Result<Option<Kept>, Error> {
        let ws = ws.clone();
        self.0.write(move |tx| create(tx, &ws, &new)).await
    }

    /// A run.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &RunId,
    ) -> Result<Option<Run>, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id, &thread], row::read))
            .await
    }

    /// What came sealed with a run. `None`: no such run, nothing came with it, or it has ended.
    pub async fn sealed(&self, ws: &WorkspaceId, id: &RunId) -> Result<Option<String>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        let read = |row: &dyn Row| Ok(row.optional_text(0)?.map(str::to_owned));
        let found = self
            .0
            .read_one(move |tx| tx.row(SEALED, values![&ws, &id], read));
        Ok(found.await?.flatten())
    }

    /// Replaces a run's metadata, in any status, and returns the run. One statement; the
    /// version stays, so that it never collides with a worker.
    pub async fn set_metadata(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &RunId,
        metadata: Metadata,
    ) -> Result<Option<Run>, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        let metadata = to_json(&metadata)?;
        let row = self
            .0
            .write_one(move |tx| {
                let values = values![&metadata, &ws, &id, &thread];
                tx.row(SET_METADATA, values, RunRow::read)
            })
            .await?;
        // Decoded here and not in the job: the thread that writes has better things to do.
        row.map(RunRow::decode).transpose()
    }

    /// A page of a thread's runs. `None`: no such thread. Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        request: PageRequest<RunId>,
    ) -> Result<Option<Page<Run>>, Error> {
        let (ws, thread) = (ws.clone(), thread.clone());
        self.0
            .read(move |tx| {
                if !threads::exists(tx, &ws, &thread)? {
                    return Ok(None);
                }
                let scope = values![&ws, &thread];
                page(tx, &LIST, scope, scope, &request, row::read).map(Some)
            })
            .await
    }
}

fn create(tx: &mut dyn Tx, ws: &WorkspaceId, new: &NewRun) -> Result<Option<Kept>, Error> {
    let run = &new.run;
    let mut waits = false;
    receipts::keep(tx, ws, new.receipt.as_ref())?;
    let attaching = new.stores.attaching.as_ref();
    match &new.thread {
        NewRunThread::New { thread, messages } => {
            threads::insert(tx, ws, (thread, messages), &new.stores)?;
        }
        NewRunThread::Existing { messages } => {
            if !threads::lock(tx, ws, &run.thread_id)? {
                return receipts::withdraw(tx, ws, new.receipt.as_ref());
            }
            let active = active(tx, ws, &run.thread_id)?;
            waits = active.is_some();
            match (active, new.if_locked) {
                (None, _) => {
                    let place = (ws, &run.thread_id);
                    messages::post(tx, place, messages, attaching, WithoutRoom::Refuse)?;
                }
                (Some(run), IfLocked::Refuse) => return Err(Error::ActiveRun { run }),
                (Some(_), IfLocked::Enqueue) => {
                    waiting::expect_room(tx, ws, &run.thread_id, messages.len() + 1)?;
                    for message in messages {
                        waiting::add_message(tx, ws, message, attaching)?;
                    }
                    waiting::add_run(tx, ws, run)?;
                }
            }
        }
    }
    let take = new.take.as_ref().filter(|_| !waits);
    let state = take.map_or(&run.state, |it| &it.state);
    let status = state.status();
    let is_wanted = row::wants_worker(status) && !waits && take.is_none();
    // Of leases and of changes of state.
    let count = i64::from(take.is_some());
    let journal = new.events.as_ref().map(|_| Journal {
        recording: true,
        after: EventId::START,
    });
    tx.execute(
        INSERT,
        values![
            ws,
            status.as_str(),
            (status.is_active() && !waits).then_some(run.settings.expires_at),
            count,
            take.map(|it| &it.worker),
            take.map(|it| it.until_ms).or(is_wanted.then_some(0)),
            new.sealed.as_ref().filter(|_| status.is_active()),
            journal.as_ref().map(to_json).transpose()?,
            &run.id,
            &run.thread_id,
            &run.assistant_id,
            run.created_at,
            to_json(state)?,
            to_json(&run.usage)?,
            to_json(&run.metadata)?,
            to_json(&run.settings)?,
        ],
    )?;
    let taken = take.and_then(|it| it.events.as_ref());
    for row in new.events.iter().chain(taken) {
        events::insert(tx, (ws, &run.id), row, Some(&run.metadata), new.at_ms)?;
    }
    if is_wanted {
        tx.announce_work()?;
    }
    Ok(Some(match take {
        None => Kept::Waiting,
        Some(_) => Kept::Taken(Guard {
            ws: ws.clone(),
            thread: run.thread_id.clone(),
            run: run.id.clone(),
            fence: count,
            version: count,
        }),
    }))
}

/// Gives a thread, which is free, to a run that waited for it.
pub(crate) fn activate(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &RunId,
    expires_at: Timestamp,
) -> Result<(), Error> {
    tx.execute(ACTIVATE, values![expires_at, ws, id])?;
    tx.announce_work()
}

/// A run with its journal, and the number of its newest lease.
pub(crate) fn with_journal(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    id: &RunId,
) -> Result<Option<(Run, Option<Journal>, i64)>, Error> {
    tx.row(WITH_JOURNAL, values![ws, id, thread], |row| {
        let journal = row::journal(row, COLUMNS)?;
        Ok((row::read(row)?, journal, row.integer(COLUMNS + 1)?))
    })
}

/// The run that locks a thread.
pub(crate) fn active(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
) -> Result<Option<RunId>, Error> {
    tx.row(ACTIVE, values![ws, thread], |row| row.id(0))
}

/// The same; nobody else changes it until the transaction ends.
pub(crate) fn lock_active(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
) -> Result<Option<RunId>, Error> {
    tx.lock(ACTIVE, values![ws, thread], |row| row.id(0))
}

pub(crate) fn exists(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    thread: &ThreadId,
    id: &RunId,
) -> Result<bool, Error> {
    tx.exists(EXISTS, values![ws, id, thread])
}
