//! Opening the stream of a run that exists.

use loomgate_domain::{
    RunId, StepId, ThreadId, WorkspaceId,
    run::{EventId, RunStatus},
};
use loomgate_store::{Found, Opening};

use crate::{Engine, Error, Subscription, bus::Reader, command::Place, entry};

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
        let place = Place::of(workspace, thread, run);
        let (reader, opening) = self.look(&place, after).await?;
        let shared = &self.shared;
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
        let place = Place::of(workspace, thread, run);
        let (reader, opening) = self.look(&place, None).await?;
        let shared = &self.shared;
        Ok(match opening.state.journal {
            Some(_) => {
                let from = (opening.run, EventId::START);
                Subscription::after(shared, reader, place, from)
            }
            None => Subscription::states(shared, reader, place),
        })
    }

    /// The stream of the leg that began when the calls of a step were answered, from its beginning;
    /// where that was not recorded, or is not kept any more, the run's states.
    pub(super) async fn replay_after(
        &self,
        place: Place,
        answered: &StepId,
    ) -> Result<Subscription, Error> {
        let (reader, opening) = self.look(&place, None).await?;
        let shared = &self.shared;
        for (before, first) in shared.store.events().legs(&place.ws, &place.run).await? {
            if entry::completes(&first, answered)? {
                let from = (opening.run, before);
                return Ok(Subscription::after(shared, reader, place, from));
            }
        }
        Ok(Subscription::states(shared, reader, place))
    }

    /// What is told here of a run, and what of it is kept. Error: [`Error::NoRun`].
    async fn look(
        &self,
        place: &Place,
        after: Option<EventId>,
    ) -> Result<(Reader, Opening), Error> {
        let Place { ws, thread, run } = place;
        // There before the table is read, so that nothing that is told meanwhile is let go of.
        let reader = self.shared.bus.read(run);
        let events = self.shared.store.events();
        let opening = events.open(ws, thread, run, after).await?;
        let opening = opening.ok_or_else(|| Error::NoRun(run.clone()))?;
        Ok((reader, opening))
    }
}

/// Whether an event that is not stored may have been told by the worker that has the run.
fn may_be_told(opening: &Opening, reader: &Reader, at: EventId) -> bool {
    let status = opening.run.state.status();
    if !matches!(status, RunStatus::InProgress | RunStatus::Cancelling) {
        return false;
    }
    let told = reader.log().last_told(at.attempt);
    // A worker that was lost may have told what it did not store, before the next one tells anything.
    opening.state.attempt >= at.attempt
        // Of another process's worker nobody knows how far it is.
        && told.is_none_or(|last| at <= last)
}
