//! The threads that run jobs.
//!
//! A job gets a transaction of its own. It is run again when the server gave the transaction up for
//! another one, or when the line broke before the commit was sent: then nothing had happened. When
//! the line breaks while a commit is on its way, its caller is told that the outcome is not known.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Session, Target,
    fault::{self, Trouble},
    transaction::Open,
};
use crate::{
    Error,
    queue::{Access, Job, SharedQueue, Ticket},
    schema::Durability,
    work::WorkSignal,
    writer::Tally,
};

/// How often a job is run again because of other transactions.
const CONFLICTS: u32 = 8;

/// The pauses between attempts to connect: doubled each time, from the first to the last, and then
/// shortened by up to a half, so that threads and processes do not come all at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A thread's belongings.
pub(crate) struct Worker {
    pub(crate) target: Arc<Target>,
    pub(crate) durability: Durability,
    pub(crate) queue: Arc<SharedQueue>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) work: WorkSignal,
    /// What this process is called among those that share the database.
    pub(crate) us: Arc<str>,
    /// Dropped when all is done.
    pub(crate) done: Arc<watch::Sender<()>>,
}

/// How an attempt at a job ended.
enum Attempt {
    /// It ran, and this is what its caller is told.
    Done(Result<(), Error>),
    /// It may be tried again on this connection.
    Conflict,
    /// It may be tried again on another connection.
    Lost,
}

impl Worker {
    /// Works until the store is closed or dropped and the queue is empty.
    pub(crate) fn run(self) {
        let mut session = None;
        while let Some((ticket, _)) = self.queue.next() {
            // Whoever waited too long for its turn was told so.
            if ticket.begin() {
                session = self.serve(ticket, session);
            }
        }
        if let Some(session) = session {
            session.close();
        }
        drop(self.done);
    }

    /// Sees a job through. Returns the connection, if there still is one.
    fn serve(&self, ticket: Ticket, mut at_hand: Option<Session>) -> Option<Session> {
        let Ticket {
            mut job,
            access,
            deadline,
            ..
        } = ticket;
        let deadline = deadline.unwrap_or_else(|| Instant::now() + self.target.wait);
        let mut conflicts = 0;
        loop {
            let open = at_hand.take().filter(Session::is_open);
            let mut session = match open.map_or_else(|| self.connect(deadline), Ok) {
                Ok(session) => session,
                Err(error) => {
                    job.answer(Err(error));
                    return None;
                }
            };
            match self.attempt(&mut session, &mut *job, access) {
                Attempt::Done(kept) => {
                    // A read has its answer before its transaction is ended.
                    job.answer(kept);
                    return Self::leave(session, access);
                }
                Attempt::Conflict if conflicts < CONFLICTS => {
                    conflicts += 1;
                    thread::sleep(shortened(Duration::from_millis(5 << conflicts)));
                    at_hand = Some(session);
                }
                Attempt::Conflict => {
                    // A job that has an error of its own tells that. It has none where its commit failed.
                    job.answer(Err(Error::Unavailable(
                        "other transactions go before each time",
                    )));
                    return Some(session);
                }
                Attempt::Lost => {
                    tracing::debug!("a connection to the database was lost");
                }
            }
        }
    }

    fn attempt(&self, session: &mut Session, job: &mut dyn Job, access: Access) -> Attempt {
        let mut tx = Open::new(session, (&self.target, &self.us), access);
        let stands = job.run(&mut tx);
        let statements = &self.tally.statements;
        statements.fetch_add(tx.statements, Ordering::Relaxed);
        let ended = match tx.trouble {
            // The job has the error.
            Some(Trouble::Lost) if tx.sent_alone() => return Attempt::Done(Ok(())),
            Some(Trouble::Lost) => return Attempt::Lost,
            Some(Trouble::Conflict) => {
                return match tx.end("ROLLBACK") {
                    Ok(()) => Attempt::Conflict,
                    Err(_) => Attempt::Lost,
                };
            }
            None if access == Access::Read => return Attempt::Done(Ok(())),
            None if stands => {
                job.commits();
                tx.end("COMMIT")
            }
            None => {
                // Whatever becomes of it, nothing of the job stays.
                let _ = tx.end("ROLLBACK");
                return Attempt::Done(Ok(()));
            }
        };
        match ended {
            Ok(()) => {
                if access != Access::ReadOne {
                    self.tally.jobs.fetch_add(1, Ordering::Relaxed);
                    self.tally.commits.fetch_add(1, Ordering::Relaxed);
                }
                if tx.has_work {
                    self.work.send();
                }
                Attempt::Done(Ok(()))
            }
            Err(error) => match fault::trouble(&error) {
                Some(Trouble::Conflict) => Attempt::Conflict,
                Some(Trouble::Lost) => Attempt::Done(Err(Error::Interrupted)),
                None => Attempt::Done(Err(fault::error(&error))),
            },
        }
    }

    /// Ends what a read left open.
    fn leave(session: Session, access: Access) -> Option<Session> {
        if access != Access::Read {
            return Some(session);
        }
        let ended = session.run(async |client| client.batch_execute("ROLLBACK").await);
        ended.ok().map(|()| session)
    }

    /// Connects; tries again until the deadline.
    fn connect(&self, deadline: Instant) -> Result<Session, Error> {
        let mut backoff = Backoff::default();
        while Instant::now() < deadline {
            let setup = self.target.setup(self.durability);
            match Session::open(&self.target, &setup, Some(self.target.patience())) {
                Ok(session) => {
                    self.target.reached();
                    return Ok(session);
                }
                Err(error) => self.target.missed(&error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(backoff.pause().min(left));
        }
        Err(Error::Unavailable("the database can not be reached"))
    }
}

/// Pauses that grow.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    pub(super) fn pause(&mut self) -> Duration {
        let (first, longest) = PAUSES;
        let pause = first * (1 << self.0);
        if pause < longest {
            self.0 += 1;
        }
        shortened(pause.min(longest))
    }
}

/// By up to a half.
fn shortened(pause: Duration) -> Duration {
    // Chance, as a hash map gets it.
    let chance = RandomState::new().hash_one(()) % 512;
    pause.saturating_sub(pause * u32::try_from(chance).unwrap_or(0) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ() {
        let (first, longest) = PAUSES;
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.pause())
            .take(20)
            .collect();
        assert!(pauses[0] <= first && pauses[0] >= first / 2);
        for last in &pauses[10..] {
            assert!(*last <= longest && *last >= longest / 2, "{last:?}");
        }
        assert!(pauses[10..].iter().any(|pause| *pause != pauses[19]));
    }
}
