//! One transaction that moves a run on from outside its executor.

use std::sync::Arc;

use loomgate_domain::{
    RunId, ThreadId, Timestamp, WorkspaceId,
    run::{Effect, EventId, Illegal, Input, Journal, RunState, RunStatus},
};
use loomgate_store::{RunChange, RunSnapshot, Take};
use parking_lot::Mutex;

use crate::{
    draft::Draft,
    engine::Shared,
    entry::{self, Entry, HalfTold},
    taking::Taken,
};

/// Where a run is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ws: WorkspaceId,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
}

impl Place {
    pub(crate) fn of(workspace: &WorkspaceId, thread: &ThreadId, run: &RunId) -> Self {
        Self {
            ws: workspace.clone(),
            thread: thread.clone(),
            run: run.clone(),
        }
    }
}

/// Which leg of the run's stream a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// The present one, recorded or not. Where that has ended, another like it.
    Present,
    /// A new one.
    New { recorded: bool },
}

/// A run that was moved on.
pub(crate) struct Moved {
    pub(crate) draft: Draft,
    /// What is still to be done about it.
    pub(crate) effects: Vec<Effect>,
    /// The last event before those that the command told.
    pub(crate) after: EventId,
    /// The attempt under which it told them.
    attempt: i64,
    /// The run as it goes on, if it was taken up at once.
    taken: Option<Taken>,
}

/// Reads the run, gives it the input, writes what follows and tells it. `None`: no such run.
pub(crate) async fn command(
    shared: &Arc<Shared>,
    place: &Place,
    leg: Leg,
    input: impl Fn(&RunState) -> Input + Send + 'static,
) -> Result<Option<Result<Moved, Illegal>>, loomgate_store::Error> {
    // The draft is made inside the transaction, and used after it.
    let slot: Arc<Mutex<Option<Moved>>> = Arc::default();
    let made = Arc::clone(&slot);
    let (now, now_ms) = (shared.clock.now(), shared.clock.now_ms());
    // What is free once the command is done has a place already, if there is one.
    let reserved = match leg {
        Leg::New { .. } => shared.reserve(),
        Leg::Present => None,
    };
    let taker = reserved.is_some().then(|| Arc::clone(shared));
    let runs = shared.store.runs();
    let commanded = runs
        .command(
            &place.ws,
            &place.thread,
            &place.run,
            move |row| {
                let input = input(&row.run.state);
                let (mut moved, mut change) = decide(row, leg, input, (now, now_ms))?;
                if let Some(taker) = &taker
                    && change.state.status() == RunStatus::Queued
                {
                    let (begun, take) = moved.take(taker, now)?;
                    moved.taken = Some(begun);
                    change.take = Some(take);
                }
                *made.lock() = Some(moved);
                Ok::<_, Illegal>(Some(change))
            },
            now_ms,
        )
        .await?;
    let commanded = match commanded {
        None => return Ok(None),
        Some(Err(illegal)) => return Ok(Some(Err(illegal))),
        Some(Ok(commanded)) => commanded,
    };
    let moved = slot.lock().take();
    Ok(moved.map(|mut moved| {
        moved.tell(shared);
        if let Some((taken, guard)) = moved.taken.take().zip(commanded.taken) {
            taken.start(shared, guard);
        }
        Ok(moved)
    }))
}

fn decide(
    row: RunSnapshot,
    leg: Leg,
    input: Input,
    (now, now_ms): (Timestamp, i64),
) -> Result<(Moved, RunChange), Illegal> {
    let (journal, before) = (row.journal, row.run.state.status());
    let recorded = match leg {
        Leg::New { recorded } => recorded,
        Leg::Present => journal.journal.is_some_and(|journal| journal.recording),
    };
    // A worker that still has the run may have told what is not stored: what comes now is told
    // under an attempt of its own, and what it had begun is what streams know of it.
    let take_over = matches!(before, RunStatus::InProgress | RunStatus::Cancelling)
        && !matches!(input, Input::Cancel);
    let mut draft = Draft::new(row.run, row.steps, row.messages, recorded);
    if take_over {
        draft.restore(HalfTold::of(&row.told));
    }
    let effects = draft.step(now, input)?;
    if draft.run.state.status() == RunStatus::Cancelling {
        // Whoever stops the run tells this, too: behind what its worker has told meanwhile.
        draft.untell();
    }
    let begins = leg != Leg::Present || (recorded && before == RunStatus::RequiresAction);
    let moved = Moved {
        draft,
        effects,
        after: journal.last,
        attempt: journal.attempt + i64::from(take_over),
        taken: None,
    };
    let change = RunChange {
        events: entry::row(moved.draft.told(), moved.first()),
        journal: (begins && (recorded || journal.journal.is_some())).then_some(Journal {
            recording: recorded,
            after: journal.last,
        }),
        take_over,
        ..moved.draft.change(now_ms)
    };
    Ok((moved, change))
}

impl Moved {
    /// The id of the first event that the command told.
    fn first(&self) -> EventId {
        EventId {
            attempt: self.attempt,
            number: self.after.number + 1,
        }
    }

    /// Has the run taken up.
    fn take(&self, shared: &Shared, now: Timestamp) -> Result<(Taken, Take), Illegal> {
        let told = self.draft.told().iter().map(Entry::count).sum::<i64>();
        let last = if told > 0 {
            self.first().later(told - 1)
        } else {
            self.after
        };
        Taken::of(shared, &self.draft, (last, self.attempt + 1), now)
    }

    /// Tells those who read here.
    fn tell(&mut self, shared: &Shared) {
        let first = self.first();
        let run = &self.draft.run;
        let metadata = run.metadata.clone();
        let log = shared.bus.get(&run.id);
        let told = self.draft.committed(metadata);
        if let Some(log) = log {
            log.extend(self.after, entry::slots(&told, first, &mut self.draft.run));
        }
    }
}
