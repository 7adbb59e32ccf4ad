//! A thread that a run locks, and what may be done about it ([`WhenLocked`]).

use std::{pin::pin, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::{Message, Patience, Receipt, RunId, ThreadId, WhenLocked, WorkspaceId};
use loomgate_store::{Attaching, IfLocked};
use tokio::time::{Instant, sleep_until};

use crate::{Engine, Error};

/// How soon a thread is looked at again: a run that another process ends is not heard of. Doubled
/// each time, from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A wish for a thread that may be locked, which is worth some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contest {
    patience: Patience,
    cancels: bool,
}

impl Contest {
    /// `None`: the store decides at once.
    pub(super) fn of(when: WhenLocked) -> Option<Self> {
        let (patience, cancels) = match when {
            WhenLocked::Fail | WhenLocked::Enqueue => return None,
            WhenLocked::Wait(patience) => (patience, false),
            WhenLocked::CancelPrevious(patience) => (patience, true),
        };
        Some(Self { patience, cancels })
    }
}

/// What the store is to do.
pub(super) fn if_locked(when: WhenLocked) -> IfLocked {
    match when {
        WhenLocked::Enqueue => IfLocked::Enqueue,
        WhenLocked::Fail | WhenLocked::Wait(_) | WhenLocked::CancelPrevious(_) => IfLocked::Refuse,
    }
}

/// Why the store did not add something to a thread.
pub(super) fn refusal(error: loomgate_store::Error, thread: ThreadId) -> Error {
    match error {
        loomgate_store::Error::ActiveRun { run } => Error::ThreadLocked { thread, run },
        loomgate_store::Error::QueueFull => Error::QueueFull(thread),
        error => error.into(),
    }
}

impl Engine {
    /// Appends a message to its thread, at once or when the thread is free.
    pub async fn add_message(
        &self,
        workspace: &WorkspaceId,
        message: Message,
        when_locked: WhenLocked,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let if_locked = if_locked(when_locked);
        let making = self.making(message.created_at);
        let attaching = making.attaching(std::slice::from_ref(&message));
        let message = (message, attaching);
        let Some(contest) = Contest::of(when_locked) else {
            return self
                .try_add_message(workspace, message, if_locked, receipt)
                .await;
        };
        let attempt = || {
            let (message, receipt) = (message.clone(), receipt.clone());
            self.try_add_message(workspace, message, if_locked, receipt)
                .boxed()
        };
        self.when_free(workspace, contest, attempt).await
    }

    async fn try_add_message(
        &self,
        workspace: &WorkspaceId,
        message: (Message, Option<Attaching>),
        if_locked: IfLocked,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let thread = message.0.thread_id.clone();
        let messages = self.shared.store.messages();
        match messages
            .create(workspace, message, if_locked, receipt)
            .await
        {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Error::NoThread(thread)),
            Err(error) => Err(refusal(error, thread)),
        }
    }

    /// Tries until the thread is not locked; the last refusal stands when patience is over.
    pub(super) async fn when_free<'a, T>(
        &'a self,
        workspace: &'a WorkspaceId,
        contest: Contest,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + contest.patience.time();
        let (mut pause, longest) = PAUSES;
        let mut asked = None;
        loop {
            // Registered before the look at the thread, so that no end is missed.
            let mut ended = pin!(self.shared.ended.notified());
            ended.as_mut().enable();
            let (thread, run) = match attempt().await {
                Err(Error::ThreadLocked { thread, run }) if Instant::now() < deadline => {
                    (thread, run)
                }
                outcome => return outcome,
            };
            // Once: a command locks the run, and a worker that looks for it passes over what is locked.
            if contest.cancels && asked.as_ref() != Some(&run) {
                self.cancel_previous(workspace, &thread, &run).await?;
                asked = Some(run);
            }
            let again = deadline.min(Instant::now() + pause);
            pause = longest.min(pause * 2);
            tokio::select! {
                biased;
                () = self.shared.draining.cancelled() => return Err(Error::Stopping),
                () = ended => {}
                () = sleep_until(again) => {}
            }
        }
    }

    /// Asks a run to stop, unless it has ended, or is about to.
    async fn cancel_previous(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
    ) -> Result<(), Error> {
        match self.cancel(workspace, thread, run).await {
            Ok(_) | Err(Error::WrongStatus { .. } | Error::NoRun(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
