//! Opening the stream of a run that exists.

use loomgate_domain::{
    RunId, ThreadId, WorkspaceId,
    run::{EventId, RunStatus},
};
use loomgate_store::{Found, Opening};

use crate::{Engine, Error, Subscription, bus::Reader, command::Place};

impl Engine {
    /// A run's stream: its newest leg from its beginning, or what was told after an event, to the
    /// end of that event's leg. A run whose events were not recorded, or are not kept any more, is
    /// told by its states, from the one in which it is now.
    ///
    /// Errors: [`Error::NoRun`]; [`Error::NoEvent`] for an event that was never told.
    pub async fn reopen(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        after: Option<EventId>,
    ) -> Result<Subscription, Error> {
        let place = Place {
            ws: workspace.clone(),
            thread: thread.clone(),
            run: run.clone(),
        };
        let shared = &self.shared;
        // There before the table is read, so that nothing that is told meanwhile is let go of.
        let reader = shared.bus.read(run);
        let events = shared.store.events();
        let opening = events.open(workspace, thread, run, after).await?;
        let opening = opening.ok_or_else(|| Error::NoRun(run.clone()))?;
        let cursor = match (after, opening.found) {
            (Some(_), Some(Found::Kept { ends_leg: true })) => {
                return Ok(Subscription::ended(shared, reader, place));
            }
            (Some(at), Some(Found::Kept { ends_leg: false })) => Some(at),
            (Some(at), Some(Found::Tail { superseded }))
                if superseded || may_be_told(&opening, &reader, at) =>
            {
                Some(at)
            }
            (Some(at), Some(Found::Tail { .. } | Found::Unknown)) => {
                return Err(Error::NoEvent(at));
            }
            (Some(_), Some(Found::NoJournal) | None) => None,
            (None, _) => {
                let journal = opening.state.journal.filter(|journal| journal.recording);
                journal.map(|journal| journal.after)
            }
        };
        Ok(match cursor {
            Some(at) => Subscription::after(shared, reader, place, (opening.run, at)),
            None => Subscription::states(shared, reader, place),
        })
    }
}

impl Engine {
    /// The stream of a run's creation from its beginning, for a client that repeats the request
    /// which created it; where its events are not kept any more, the run's states.
    ///
    /// Error: [`Error::NoRun`].
    pub async fn replay(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<Subscription, Error> {
        let place = Place {
            ws: workspace.clone(),
            thread: thread.clone(),
            run: run.clone(),
        };
        let shared = &self.shared;
        // There before the table is read, so that nothing that is told meanwhile is let go of.
        let reader = shared.bus.read(run);
        let events = shared.store.events();
        let opening = events.open(workspace, thread, run, None).await?;
        let opening = opening.ok_or_else(|| Error::NoRun(run.clone()))?;
        Ok(match opening.state.journal {
            Some(_) => {
                let from = (opening.run, EventId::START);
                Subscription::after(shared, reader, place, from)
            }
            None => Subscription::states(shared, reader, place),
        })
    }
}

/// Whether an event that is not stored may have been told by the worker that has the run.
fn may_be_told(opening: &Opening, reader: &Reader, at: EventId) -> bool {
    let status = opening.run.state.status();
    let told = reader.log().last_told(at.attempt);
    opening.state.attempt == at.attempt
        && matches!(status, RunStatus::InProgress | RunStatus::Cancelling)
        // Of another process's worker nobody knows how far it is.
        && told.is_none_or(|last| at <= last)
}
