//! Taking a run up in the transaction that makes it free: it does not go through the queue, which
//! saves a commit and a wait. Runs that are in the queue already come first.
//!
//! Invariant: once such a transaction is committed, this process carries the run out, whatever becomes
//! of the client that asked. So it is committed by a task of its own, never by the client's.

use std::sync::Arc;

use loomgate_domain::{
    Timestamp,
    run::{EventId, Illegal, Input},
};
use loomgate_store::{Guard, Take};

use crate::{
    draft::Draft,
    engine::Shared,
    entry,
    worker::{self, Claimed},
};

/// A run as it is once it has been taken up.
pub(crate) struct Taken {
    draft: Draft,
    /// The last event before it was taken, if its leg is recorded.
    after: Option<EventId>,
}

impl Taken {
    /// Takes up a run that has become free: what that is in the store, and what is carried out
    /// once it is committed. `last` is the last event so far, `attempt` the number of the lease.
    pub(crate) fn of(
        shared: &Shared,
        free: &Draft,
        (last, attempt): (EventId, i64),
        now: Timestamp,
    ) -> Result<(Self, Take), Illegal> {
        let mut draft = free.clone();
        draft.untell();
        draft.step(now, Input::Start)?;
        let first = EventId {
            attempt,
            number: last.number + 1,
        };
        let take = Take {
            worker: shared.worker.clone(),
            until_ms: shared.clock.now_ms().saturating_add(shared.lease_ms()),
            state: draft.run.state.clone(),
            events: entry::row(draft.told(), first),
        };
        let after = draft.is_recorded().then_some(last);
        Ok((Self { draft, after }, take))
    }

    /// Carries the run out.
    pub(crate) fn start(self, shared: &Arc<Shared>, guard: Guard) {
        let metadata = self.draft.run.metadata.clone();
        let claimed = Claimed {
            draft: self.draft,
            after: self.after,
        };
        worker::start(shared, guard, metadata, claimed);
    }
}

impl Shared {
    /// Does what is not to be dropped half done, although whoever waits for it may be.
    ///
    /// Error: the process is going away.
    pub(crate) async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, loomgate_store::Error> {
        match self.tasks.spawn(work).await {
            Ok(done) => Ok(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(loomgate_store::Error::Unavailable("closing")),
            },
        }
    }
}
