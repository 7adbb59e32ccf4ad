//! What clients ask for: each command is one transaction, then a word to the worker.

mod create;
mod locked;
mod reopen;
mod submit;

use loomgate_domain::{
    Run, RunId, ThreadId, WorkspaceId,
    run::{Effect, Illegal, Input},
};

pub use create::{Created, RunRequest, RunWay, ThreadTarget};

use crate::{
    Action, Engine, Error,
    command::{Leg, Place, command},
    log::End,
};

impl Engine {
    /// Asks a run to stop. The answer usually still says `cancelling`.
    pub async fn cancel(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<Run, Error> {
        let place = Place::of(workspace, thread, run);
        let cancelled = command(&self.shared, &place, Leg::Present, |_| Input::Cancel)
            .await?
            .ok_or(Error::NoRun(place.run))?;
        let moved = cancelled.map_err(|illegal| refused(illegal, Action::Cancel))?;
        self.perform(run, &moved.effects);
        Ok(moved.draft.run)
    }

    /// Deletes a thread with all that stands in it; a run that is active on it is let go of.
    /// Whether there was one to delete.
    pub async fn delete_thread(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
    ) -> Result<bool, Error> {
        let Some(deleted) = self
            .shared
            .store
            .threads()
            .delete(workspace, thread)
            .await?
        else {
            return Ok(false);
        };
        for run in deleted.active_runs {
            self.perform(&run, &[Effect::StopModel]);
            if let Some(log) = self.shared.bus.get(&run) {
                log.end(End::Deleted);
            }
        }
        Ok(true)
    }

    /// Does what a transition asks for, once it is committed.
    fn perform(&self, run: &RunId, effects: &[Effect]) {
        for effect in effects {
            match effect {
                // When nobody here carries it out, a worker takes it up and stops it.
                Effect::StopModel => {
                    if let Some(running) = self.shared.running.lock().get(run) {
                        running.stop.cancel();
                    }
                }
                // The store wakes the workers; the rest is applied by the draft, inside the
                // transaction.
                Effect::Wake
                | Effect::EndMessage(..)
                | Effect::EndStep(..)
                | Effect::FillOutputs(..) => {}
            }
        }
    }
}

fn refused(illegal: Illegal, action: Action) -> Error {
    match illegal {
        Illegal::Status(status) => Error::WrongStatus { action, status },
        Illegal::Outputs { expected, got } => Error::WrongOutputs { expected, got },
    }
}
