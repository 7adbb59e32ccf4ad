//! One transaction that moves a run on from outside its executor.

use std::sync::Arc;

use loomgate_domain::{
    RunId, ThreadId, Timestamp, WorkspaceId,
    run::{Effect, EventId, Illegal, Input, Journal, RunState, RunStatus},
};
use loomgate_store::{RunChange, RunSnapshot};
use parking_lot::Mutex;

use crate::{
    draft::Draft,
    engine::Shared,
    entry::{self, HalfTold},
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
}

/// Reads the run, gives it the input, writes what follows and tells it. `None`: no such run.
pub(crate) async fn command(
    shared: &Shared,
    place: &Place,
    leg: Leg,
    input: impl Fn(&RunState) -> Input + Send + 'static,
) -> Result<Option<Result<Moved, Illegal>>, loomgate_store::Error> {
    // The draft is made inside the transaction, and used after it.
    let slot: Arc<Mutex<Option<Moved>>> = Arc::default();
    let made = Arc::clone(&slot);
    let (now, now_ms) = (shared.clock.now(), shared.clock.now_ms());
    let runs = shared.store.runs();
    let commanded = runs
        .command(
            &place.ws,
            &place.thread,
            &place.run,
            move |row| {
                let input = input(&row.run.state);
                let (moved, change) = decide(row, leg, input, (now, now_ms))?;
                *made.lock() = Some(moved);
                Ok::<_, Illegal>(Some(change))
            },
            now_ms,
        )
        .await?;
    Ok(match commanded {
        None => None,
        Some(Err(illegal)) => Some(Err(illegal)),
        Some(Ok(_)) => slot.lock().take().map(|mut moved| {
            moved.tell(shared);
            Ok(moved)
        }),
    })
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
