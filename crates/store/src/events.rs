//! The journal of stream events: written with the commits that make them true, and by flushes of
//! deltas; read by streams that are reopened, or that follow a run of another process.
//!
//! A row holds the events of one commit or one flush, in a form that is the engine's own. Rows are
//! in the order of the stream: their last events' ids grow.
//!
//! Invariant: a worker that lost its lease writes no event.

use std::ops::ControlFlow;

use loomgate_domain::{
    Metadata, Run, RunId, ThreadId, WorkspaceId,
    run::{EventId, Journal, RunStatus},
};

use crate::{
    Error, Guard,
    pool::Pool,
    runs::{self, status},
    tx::{Row, Tx, statements, to_json, values},
};

statements! {
    INSERT = "INSERT INTO run_events (workspace_id, run_id, attempt, number, events, ends_leg, \
        metadata, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    HELD = "SELECT 1 FROM runs WHERE workspace_id = $1 AND id = $2 AND fence = $3 \
        AND expires_at IS NOT NULL";
    LAST = "SELECT attempt, number FROM run_events WHERE workspace_id = $1 AND run_id = $2 \
        ORDER BY attempt DESC, number DESC LIMIT 1";
    AFTER = "SELECT attempt, number, events, ends_leg, metadata, body FROM run_events \
        WHERE workspace_id = $1 AND run_id = $2 AND (attempt, number) > ($3, $4) \
        ORDER BY attempt, number LIMIT $5";
    BEFORE = "SELECT attempt, number, events, ends_leg FROM run_events \
        WHERE workspace_id = $1 AND run_id = $2 AND (attempt, number) < ($3, $4) \
        ORDER BY attempt DESC, number DESC LIMIT 1";
    // A worker ends a leg by giving the run up: it has stored all that it told.
    GIVEN_UP = "SELECT 1 FROM run_events WHERE workspace_id = $1 AND run_id = $2 \
        AND attempt = $3 AND ends_leg = 1 LIMIT 1";
    AT = "SELECT attempt, number, events, ends_leg FROM run_events \
        WHERE workspace_id = $1 AND run_id = $2 AND (attempt, number) >= ($3, $4) \
        ORDER BY attempt, number LIMIT 1";
    ENDS = "SELECT attempt, number FROM run_events WHERE workspace_id = $1 AND run_id = $2 \
        AND ends_leg = 1 ORDER BY attempt, number";
    STATUS = "SELECT status FROM runs WHERE workspace_id = $1 AND id = $2";
    ENDED = "UPDATE runs SET journal_ended_at = $1 WHERE workspace_id = $2 AND id = $3";
    OVERDUE = "SELECT workspace_id, id FROM runs WHERE journal_ended_at < $1 \
        ORDER BY journal_ended_at LIMIT $2";
    FORGET = "UPDATE runs SET journal = NULL, journal_ended_at = NULL \
        WHERE workspace_id = $1 AND id = $2";
    PURGE = "DELETE FROM run_events WHERE workspace_id = $1 AND run_id = $2";
}

/// The most bytes of bodies that one reading brings, the last row apart.
const READ_BYTES: usize = 256 * 1024;

/// The stream events of a [`crate::Store`].
#[derive(Debug)]
pub struct Events<'s>(pub(crate) &'s Pool);

/// Events that belong together: of one commit, or of one flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The last of them; the others have the numbers before it.
    pub last: EventId,
    /// How many there are; 1 at least.
    pub count: i64,
    /// Whether the last of them ends the leg.
    pub ends_leg: bool,
    /// What they are made of: the engine's.
    pub body: String,
}

/// What the journal keeps, as a stream reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvents {
    /// The events.
    pub row: EventRow,
    /// The run's metadata, as it was then; none on deltas.
    pub metadata: Option<Metadata>,
}

/// Deltas of one run, told under one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// The run's workspace.
    pub ws: WorkspaceId,
    /// The run.
    pub run: RunId,
    /// The number of the lease.
    pub fence: i64,
    /// The last event that is kept already.
    pub after: EventId,
    /// The deltas.
    pub row: EventRow,
}

/// How far a run's journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalState {
    /// What is kept; none: nothing of this run.
    pub journal: Option<Journal>,
    /// The last event that is kept; [`EventId::START`] where there is none.
    pub last: EventId,
    /// The attempt of what is told now: the number of the newest lease.
    pub attempt: i64,
}

/// Where an event is in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is kept. Whether it ends its leg.
    Kept {
        /// Whether nothing of the leg comes after it.
        ends_leg: bool,
    },
    /// It is not, but it may have been told: it would stand behind the last event that a worker
    /// stored. Whether other events are kept that were told later.
    Tail {
        /// Whether another worker went on.
        superseded: bool,
    },
    /// It was never told.
    Unknown,
    /// The journal is empty.
    NoJournal,
}

/// What a stream is opened from.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The run.
    pub run: Run,
    /// How far its journal is.
    pub state: JournalState,
    /// Where the event is that was asked for.
    pub found: Option<Found>,
}

/// What a reading of the journal brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The run's status right before the events were read.
    pub status: RunStatus,
    /// The next events, in order; not all of them, perhaps.
    pub rows: Vec<StoredEvents>,
}

impl Events<'_> {
    /// Keeps deltas of any runs, in one transaction. For each flush, whether it was kept: it is
    /// not if the lease is not the run's newest any more, if the run has ended, or if something
    /// else was kept after the event that it names. One that is kept already may be handed in again:
    /// after [`Error::Interrupted`], this is how to know.
    pub async fn append(&self, batch: Vec<Flush>, now_ms: i64) -> Result<Vec<bool>, Error> {
        self.0
            .write(move |tx| {
                let mut kept = vec![false; batch.len()];
                // Runs are locked in one order, whoever locks several.
                let mut sorted: Vec<_> = batch.iter().zip(&mut kept).collect();
                sorted.sort_by(|(a, _), (b, _)| (&a.ws, &a.run).cmp(&(&b.ws, &b.run)));
                for (flush, kept) in sorted {
                    *kept = append(tx, flush, now_ms)?;
                }
                Ok(kept)
            })
            .await
    }

    /// What a stream of a run is opened from, at its newest leg or at an event. `None`: no such
    /// run.
    pub async fn open(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        at: Option<EventId>,
    ) -> Result<Option<Opening>, Error> {
        let (ws, thread, id) = (ws.clone(), thread.clone(), run.clone());
        self.0
            .read(move |tx| {
                let Some((run, journal, attempt)) = runs::with_journal(tx, &ws, &thread, &id)?
                else {
                    return Ok(None);
                };
                let last = last(tx, &ws, &id)?;
                let found = at.map(|at| find(tx, (&ws, &id), last, at)).transpose()?;
                let state = JournalState {
                    journal,
                    last,
                    attempt,
                };
                Ok(Some(Opening { run, state, found }))
            })
            .await
    }

    /// The events after one of them, `max` rows at most, and some hundred KB. `None`: the run is
    /// gone.
    pub async fn follow(
        &self,
        ws: &WorkspaceId,
        run: &RunId,
        after: EventId,
        max: u32,
    ) -> Result<Option<Followed>, Error> {
        let (ws, run) = (ws.clone(), run.clone());
        self.0
            .read(move |tx| {
                // First the status: where it says that the leg has ended, all its events are there.
                let read = |row: &dyn Row| status(row.text(0)?);
                let Some(status) = tx.row(STATUS, values![&ws, &run], read)? else {
                    return Ok(None);
                };
                let rows = read_after(tx, (&ws, &run), after, (max, READ_BYTES))?;
                Ok(Some(Followed { status, rows }))
            })
            .await
    }

    /// How the legs begin that are kept: for each, the last event before it, and its first ones.
    pub async fn legs(
        &self,
        ws: &WorkspaceId,
        run: &RunId,
    ) -> Result<Vec<(EventId, StoredEvents)>, Error> {
        let (ws, run) = (ws.clone(), run.clone());
        self.0
            .read(move |tx| {
                let ends = tx.rows(ENDS, values![&ws, &run], |row| event_id(row))?;
                let mut legs = Vec::with_capacity(ends.len() + 1);
                for before in std::iter::once(EventId::START).chain(ends) {
                    let first = read_after(tx, (&ws, &run), before, (1, usize::MAX))?;
                    legs.extend(first.into_iter().map(|first| (before, first)));
                }
                Ok(legs)
            })
            .await
    }

    /// Deletes the journals of runs that ended before a time, oldest first and each as a whole:
    /// when `most` events or more are gone, the next time is for the others. Returns how many
    /// journals: as long as it is not 0, there may be more.
    pub async fn sweep(&self, before_ms: i64, most: usize) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let runs = i64::try_from(most).unwrap_or(i64::MAX);
                let overdue = tx.rows(OVERDUE, values![before_ms, runs], |row| {
                    Ok((row.id::<_>(0)?, row.id::<_>(1)?))
                })?;
                let (mut events, mut journals) = (0, 0);
                for (ws, run) in overdue {
                    let (ws, run): (WorkspaceId, RunId) = (ws, run);
                    // The run first, as whoever deletes its thread does.
                    tx.execute(FORGET, values![&ws, &run])?;
                    events += tx.execute(PURGE, values![&ws, &run])?;
                    journals += 1;
                    if events >= most {
                        break;
                    }
                }
                Ok(journals)
            })
            .await
    }
}

/// Keeps deltas, if their worker still has the run: nobody takes it away before they are kept.
fn append(tx: &mut dyn Tx, flush: &Flush, now_ms: i64) -> Result<bool, Error> {
    let (ws, run) = (&flush.ws, &flush.run);
    let held = tx.lock(HELD, values![ws, run, flush.fence], |_| Ok(()))?;
    if held.is_none() {
        return Ok(false);
    }
    let last = last(tx, ws, run)?;
    if last == flush.after {
        insert(tx, (ws, run), &flush.row, None, now_ms)?;
        return Ok(true);
    }
    Ok(last == flush.row.last)
}

/// Keeps events. `metadata` is the run's, unless they are deltas.
pub(crate) fn insert(
    tx: &mut dyn Tx,
    (ws, run): (&WorkspaceId, &RunId),
    row: &EventRow,
    metadata: Option<&Metadata>,
    now_ms: i64,
) -> Result<(), Error> {
    tx.execute(
        INSERT,
        values![
            ws,
            run,
            row.last.attempt,
            row.last.number,
            row.count,
            i64::from(row.ends_leg),
            metadata.map(to_json).transpose()?,
            &row.body,
            now_ms,
        ],
    )?;
    Ok(())
}

/// Has the journal of a run that ended deleted in time.
pub(crate) fn ended(tx: &mut dyn Tx, guard: &Guard, now_ms: i64) -> Result<(), Error> {
    tx.execute(ENDED, values![now_ms, &guard.ws, &guard.run])?;
    Ok(())
}

/// The last event that is kept.
pub(crate) fn last(tx: &mut dyn Tx, ws: &WorkspaceId, run: &RunId) -> Result<EventId, Error> {
    let last = tx.row(LAST, values![ws, run], |row| event_id(row))?;
    Ok(last.unwrap_or(EventId::START))
}

/// All events of a run after one of them.
pub(crate) fn all_after(
    tx: &mut dyn Tx,
    of: (&WorkspaceId, &RunId),
    after: EventId,
) -> Result<Vec<StoredEvents>, Error> {
    read_after(tx, of, after, (u32::MAX, usize::MAX))
}

fn read_after(
    tx: &mut dyn Tx,
    (ws, run): (&WorkspaceId, &RunId),
    after: EventId,
    (max, max_bytes): (u32, usize),
) -> Result<Vec<StoredEvents>, Error> {
    let mut found = Vec::new();
    let mut bytes = 0;
    let values = values![ws, run, after.attempt, after.number, i64::from(max)];
    tx.visit(AFTER, values, &mut |row| {
        let stored = StoredEvents {
            metadata: row
                .optional_text(4)?
                .map(crate::tx::from_json)
                .transpose()?,
            row: EventRow {
                last: event_id(row)?,
                count: row.integer(2)?,
                ends_leg: row.integer(3)? != 0,
                body: row.text(5)?.to_owned(),
            },
        };
        bytes += stored.row.body.len();
        found.push(stored);
        Ok(if bytes > max_bytes {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    Ok(found)
}

/// A row without its body.
struct Span {
    last: EventId,
    count: i64,
    ends_leg: bool,
}

impl Span {
    fn read(row: &dyn Row) -> Result<Self, Error> {
        Ok(Self {
            last: event_id(row)?,
            count: row.integer(2)?,
            ends_leg: row.integer(3)? != 0,
        })
    }
}

fn find(
    tx: &mut dyn Tx,
    (ws, run): (&WorkspaceId, &RunId),
    last: EventId,
    at: EventId,
) -> Result<Found, Error> {
    if last == EventId::START {
        return Ok(Found::NoJournal);
    }
    let values = values![ws, run, at.attempt, at.number];
    let next = tx.row(AT, values, Span::read)?;
    let superseded = next.is_some();
    if let Some(Span {
        last,
        count,
        ends_leg,
    }) = next
        && last.attempt == at.attempt
        && at.number > last.number - count
    {
        let ends_leg = ends_leg && at == last;
        return Ok(Found::Kept { ends_leg });
    }
    let before = tx.row(BEFORE, values, Span::read)?;
    Ok(match before {
        // Before the first attempt there was no worker.
        Some(before) if before.last.attempt == at.attempt && at.attempt > 0 => {
            if tx.exists(GIVEN_UP, values![ws, run, at.attempt])? {
                Found::Unknown
            } else {
                Found::Tail { superseded }
            }
        }
        Some(_) | None => Found::Unknown,
    })
}

fn event_id(row: &dyn Row) -> Result<EventId, Error> {
    Ok(EventId {
        attempt: row.integer(0)?,
        number: row.integer(1)?,
    })
}
