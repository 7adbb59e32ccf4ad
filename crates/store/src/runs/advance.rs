//! What moves a run: the commits of the worker that has it, and commands from outside.

use loomgate_domain::{
    Message, MessageId, Metadata, Run, RunId, RunStep, ThreadId, Usage, WorkspaceId,
    limit::Charge,
    run::{Journal, RunState, RunStatus},
};

use super::row::{self, COLUMNS, columns};
use crate::{
    Error, EventRow, JournalState, Runs, StoredEvents, counters, events, messages, steps, threads,
    tx::{Tx, Value, statements, to_json, values},
    waiting,
};

/// What every change of state sets, and what it is guarded by.
macro_rules! advance {
    ($also:literal) => {
        advance!(
            $also,
            "workspace_id = $4 AND id = $5 AND thread_id = $6 AND fence = $7 AND version = $8"
        )
    };
    ($also:literal, $guard:literal) => {
        concat!(
            "UPDATE runs SET status = $1, state = $2, usage = COALESCE($3, usage), \
             version = version + 1, ",
            $also,
            " WHERE ",
            $guard,
            " RETURNING version, metadata, journal"
        )
    };
}

statements! {
    // The lease, if there is one, goes on.
    KEEP = advance!("lease_until = COALESCE(lease_until, 0)");
    // The lease is a new one, of the worker that takes the run.
    TAKE = advance!(
        "fence = fence + 1, attempt = attempt + 1, lease_owner = $4, lease_until = $5",
        "workspace_id = $6 AND id = $7 AND thread_id = $8 AND fence = $9 AND version = $10"
    );
    // Any worker may take the run.
    RELEASE = advance!("lease_owner = NULL, lease_until = 0");
    // No worker is wanted until a command.
    PAUSE = advance!("lease_owner = NULL, lease_until = NULL");
    // No worker is wanted any more, the thread is free, and secrets are not kept for nothing.
    FINISH = advance!("lease_owner = NULL, lease_until = NULL, expires_at = NULL, sealed = NULL");
    // The same, and whoever still has the run has lost it.
    TAKE_OVER = advance!("fence = fence + 1, lease_owner = NULL, lease_until = NULL, \
        expires_at = NULL, sealed = NULL");
    SET_JOURNAL = "UPDATE runs SET journal = $1 WHERE workspace_id = $2 AND id = $3";
    SNAPSHOT = concat!("SELECT ", columns!(), ", fence, version, COALESCE(lease_until, 0), \
        journal FROM runs WHERE workspace_id = $1 AND id = $2 AND thread_id = $3");
    RELOAD = concat!("SELECT ", columns!(), ", version FROM runs \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3 AND fence = $4");
}

/// A worker that takes a run up in the transaction that makes it free: the run does not go through
/// the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The worker's name, unique among those alive.
    pub worker: String,
    /// How long it may keep the run without a heartbeat, in milliseconds.
    pub until_ms: i64,
    /// What the run becomes: in progress.
    pub state: RunState,
    /// What streams are told of that, behind what they are told of what made the run free.
    pub events: Option<EventRow>,
}

/// What a step of the run machine changes, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct RunChange {
    /// The new state. A terminal state, and `requires_action`, give the lease up.
    pub state: RunState,
    /// The new sum over all model turns; none: as it was.
    pub usage: Option<Usage>,
    /// Steps to insert, or to replace by id.
    pub put_steps: Vec<RunStep>,
    /// Messages to insert, or to replace by id. A message that is replaced keeps its place in
    /// the thread and its metadata, which are the client's.
    pub put_messages: Vec<Message>,
    /// Messages to take out of the thread.
    pub remove_messages: Vec<MessageId>,
    /// Whether to give the lease up in any case, so that any worker may take the run at once.
    pub release: bool,
    /// What the change costs whom: counted with it, or not at all.
    pub charges: Vec<Charge>,
    /// What streams are told of it, for the run's journal.
    pub events: Option<EventRow>,
    /// The journal of the leg that begins with this change; none: as it was.
    pub journal: Option<Journal>,
    /// Whether a run that ends is taken from the worker that may still have it: from now on, that
    /// worker can write no events either.
    pub take_over: bool,
    /// Who takes the run, which becomes free, in the same transaction.
    pub take: Option<Take>,
    /// When it is made, in milliseconds.
    pub at_ms: i64,
}

impl RunChange {
    /// A change of state and of nothing else.
    pub fn to(state: RunState) -> Self {
        Self {
            state,
            usage: None,
            put_steps: Vec::new(),
            put_messages: Vec::new(),
            remove_messages: Vec::new(),
            release: false,
            charges: Vec::new(),
            events: None,
            journal: None,
            take_over: false,
            take: None,
            at_ms: 0,
        }
    }
}

/// What a worker knows of the run that it has: a commit counts only while both numbers are those
/// of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The run's workspace.
    pub ws: WorkspaceId,
    /// The run's thread.
    pub thread: ThreadId,
    /// The run.
    pub run: RunId,
    /// The lease's number.
    pub fence: i64,
    /// The number of the last change that the worker saw.
    pub version: i64,
}

/// What a commit led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The run's new version, for the next guard.
    pub version: i64,
    /// The run's metadata, which Modify Run may have changed meanwhile.
    pub metadata: Metadata,
}

/// A run as a command finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSnapshot {
    /// The run.
    pub run: Run,
    /// Its steps that are in progress.
    pub steps: Vec<RunStep>,
    /// Its messages that are in progress.
    pub messages: Vec<Message>,
    /// Whether a worker has it.
    pub leased: bool,
    /// How far its journal is.
    pub journal: JournalState,
    /// Where a worker has begun something, the events of the leg that are kept: what streams were
    /// told of it.
    pub told: Vec<StoredEvents>,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Commanded {
    /// The run as the command left it: `queued`, also where a worker took it with it.
    pub run: Run,
    /// Whether the command changed it.
    pub changed: bool,
    /// What the worker knows of the run that took it ([`RunChange::take`]).
    pub taken: Option<Guard>,
}

impl Runs<'_> {
    /// Writes what a worker did, if the run is still its own and nobody changed it since.
    /// `None`: nothing was written; see [`Runs::reload`].
    pub async fn commit(
        &self,
        guard: Guard,
        change: RunChange,
    ) -> Result<Option<Committed>, Error> {
        self.0.write(move |tx| apply(tx, &guard, &change)).await
    }

    /// The run and its version, if the lease of this number is still the newest.
    pub async fn reload(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &RunId,
        fence: i64,
    ) -> Result<Option<(Run, i64)>, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), id.clone());
        self.0
            .read_one(move |tx| {
                tx.row(RELOAD, values![&ws, &id, &thread, fence], |row| {
                    Ok((row::read(row)?, row.integer(COLUMNS)?))
                })
            })
            .await
    }

    /// Reads a run, lets `decide` say what becomes of it (perhaps again), and writes that, all in one
    /// transaction. The outer `None`: no such run. `Ok(None)` from `decide` leaves the run as it
    /// is; its error is handed through.
    ///
    /// A run that becomes `queued`, or that nobody had, is free for any worker; a worker that has
    /// it keeps its lease through `cancelling`.
    pub async fn command<E, F>(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        id: &RunId,
        decide: F,
        now_ms: i64,
    ) -> Result<Option<Result<Commanded, E>>, Error>
    where
        E: Send + 'static,
        F: Fn(RunSnapshot) -> Result<Option<RunChange>, E> + Send + 'static,
    {
        let (ws, thread, run) = (ws.clone(), thread.clone(), id.clone());
        self.0
            .write(move |tx| {
                let mut guard = Guard {
                    ws: ws.clone(),
                    thread: thread.clone(),
                    run: run.clone(),
                    fence: 0,
                    version: 0,
                };
                // Before the run, as everywhere: a command may end it.
                threads::lock(tx, &ws, &thread)?;
                let Some(snapshot) = snapshot(tx, &mut guard, now_ms)? else {
                    return Ok(None);
                };
                let (run, leased) = (snapshot.run.clone(), snapshot.leased);
                let change = match decide(snapshot) {
                    Ok(Some(change)) => change,
                    Ok(None) => {
                        return Ok(Some(Ok(Commanded {
                            run,
                            changed: false,
                            taken: None,
                        })));
                    }
                    Err(error) => return Ok(Some(Err(error))),
                };
                if run.state.status() == RunStatus::Queued {
                    waiting::forget(tx, &ws, &run.id)?;
                }
                let committed = apply(tx, &guard, &change)?
                    .ok_or_else(|| Error::corrupt("a run changed within a transaction"))?;
                let status = change.state.status();
                let taken = change.take.as_ref().map(|_| Guard {
                    fence: guard.fence + 1,
                    version: committed.version,
                    ..guard.clone()
                });
                // Whoever has a run that is to stop may be another process.
                let is_news = if taken.is_some() {
                    false
                } else if leased {
                    status == RunStatus::Cancelling
                } else {
                    row::wants_worker(status)
                };
                if is_news {
                    tx.announce_work()?;
                }
                Ok(Some(Ok(Commanded {
                    run: after(run, change),
                    changed: true,
                    taken,
                })))
            })
            .await
    }
}

/// Reads what a command decides on, and completes its guard.
fn snapshot(tx: &mut dyn Tx, guard: &mut Guard, now_ms: i64) -> Result<Option<RunSnapshot>, Error> {
    let key = values![&guard.ws, &guard.run, &guard.thread];
    let row = tx.lock(SNAPSHOT, key, |row| {
        Ok((
            row::read(row)?,
            row.integer(COLUMNS)?,
            row.integer(COLUMNS + 1)?,
            row.integer(COLUMNS + 2)?,
            row::journal(row, COLUMNS + 3)?,
        ))
    })?;
    let Some((run, fence, version, lease_until, journal)) = row else {
        return Ok(None);
    };
    (guard.fence, guard.version) = (fence, version);
    let begun = match &run.state {
        RunState::InProgress { open, .. } | RunState::Cancelling { open, .. } => open.is_some(),
        _ => false,
    };
    let told = match journal.filter(|journal| journal.recording && begun) {
        Some(journal) => events::all_after(tx, (&guard.ws, &guard.run), journal.after)?,
        None => Vec::new(),
    };
    Ok(Some(RunSnapshot {
        run,
        told,
        steps: steps::open(tx, &guard.ws, &guard.run)?,
        messages: messages::open(tx, &guard.ws, &guard.thread, &guard.run)?,
        leased: lease_until >= now_ms,
        journal: JournalState {
            journal,
            last: events::last(tx, &guard.ws, &guard.run)?,
            attempt: fence,
        },
    }))
}

/// Writes a change, if fence and version are still those of the guard.
pub(super) fn apply(
    tx: &mut dyn Tx,
    guard: &Guard,
    change: &RunChange,
) -> Result<Option<Committed>, Error> {
    let state = change.take.as_ref().map_or(&change.state, |it| &it.state);
    let status = state.status();
    let sql = match status {
        _ if change.take.is_some() => TAKE,
        RunStatus::Queued => RELEASE,
        RunStatus::InProgress | RunStatus::Cancelling if change.release => RELEASE,
        RunStatus::InProgress | RunStatus::Cancelling => KEEP,
        RunStatus::RequiresAction => PAUSE,
        RunStatus::Cancelled
        | RunStatus::Failed
        | RunStatus::Completed
        | RunStatus::Incomplete
        | RunStatus::Expired
            if change.take_over =>
        {
            TAKE_OVER
        }
        RunStatus::Cancelled
        | RunStatus::Failed
        | RunStatus::Completed
        | RunStatus::Incomplete
        | RunStatus::Expired => FINISH,
    };
    // What waits for the thread is taken when it is free; whoever adds to it has the same lock.
    let ends = !status.is_active();
    if ends {
        threads::lock(tx, &guard.ws, &guard.thread)?;
    }
    let usage = change.usage.as_ref().map(to_json).transpose()?;
    let mut values: Vec<Value<'_>> =
        vec![status.as_str().into(), to_json(state)?.into(), usage.into()];
    if let Some(take) = &change.take {
        values.extend([(&take.worker).into(), take.until_ms.into()]);
    }
    values.extend([
        (&guard.ws).into(),
        (&guard.run).into(),
        (&guard.thread).into(),
        guard.fence.into(),
        guard.version.into(),
    ]);
    let committed = tx.row(sql, &values, |row| {
        let committed = Committed {
            version: row.integer(0)?,
            metadata: row.json(1)?,
        };
        Ok((committed, row.optional_text(2)?.is_some()))
    })?;
    let Some((committed, has_journal)) = committed else {
        return Ok(None);
    };
    if sql == RELEASE {
        tx.announce_work()?;
    }
    for message in &change.remove_messages {
        messages::delete(tx, &guard.ws, &guard.thread, message)?;
    }
    for message in &change.put_messages {
        messages::put(tx, &guard.ws, message)?;
    }
    for step in &change.put_steps {
        steps::put(tx, &guard.ws, step)?;
    }
    counters::add(tx, &change.charges)?;
    if let Some(journal) = &change.journal {
        tx.execute(
            SET_JOURNAL,
            values![to_json(journal)?, &guard.ws, &guard.run],
        )?;
    }
    let taken = change.take.as_ref().and_then(|it| it.events.as_ref());
    for row in change.events.iter().chain(taken) {
        let metadata = Some(&committed.metadata);
        events::insert(tx, (&guard.ws, &guard.run), row, metadata, change.at_ms)?;
    }
    if ends {
        if has_journal || change.journal.is_some() {
            events::ended(tx, guard, change.at_ms)?;
        }
        waiting::take(tx, &guard.ws, &guard.thread)?;
    }
    Ok(Some(committed))
}

/// The record that a change makes of a run.
pub(super) fn after(run: Run, change: RunChange) -> Run {
    Run {
        usage: change.usage.unwrap_or(run.usage),
        state: change.state,
        ..run
    }
}
