//! Limits that hold for several processes: who waits to be told what all have used.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::Subject;

/// The longest that a call waits for a round.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a process that shares its limits keeps for whoever knows the database.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Something waits to be written, or somebody to be told.
    wanted: Notify,
    /// Something was counted since the last round began.
    counted: AtomicBool,
    /// A round is under way.
    busy: AtomicBool,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    questions: Vec<Question>,
    /// Nobody answers any more.
    is_closed: bool,
}

/// Somebody who waits for the end of a round.
#[derive(Debug)]
struct Question {
    /// Whose use they want to know.
    subject: Option<Subject>,
    _waits: oneshot::Sender<()>,
}

/// One exchange with the database: what was counted goes there, what all have used comes back. Dropping
/// it ends it: who waits goes on.
#[derive(Debug)]
pub struct Round<'m> {
    sharing: &'m Sharing,
    questions: Vec<Question>,
}

impl Round<'_> {
    /// Whose use is asked for, each once.
    pub fn subjects(&self) -> Vec<Subject> {
        let asked = self.questions.iter().filter_map(|it| it.subject.clone());
        let mut subjects: Vec<_> = asked.collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.sharing.busy.store(false, Ordering::SeqCst);
    }
}

impl Sharing {
    /// Something was counted.
    pub(super) fn count(&self) {
        self.counted.store(true, Ordering::SeqCst);
        self.wanted.notify_one();
    }

    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until a round has ended that begins now or later, and has refreshed the subject; not for
    /// ever: a call goes on by what this process knows where the database does not answer.
    pub(super) async fn ask(&self, subject: Option<Subject>) {
        let (waits, answer) = oneshot::channel();
        {
            let mut asked = self.asked.lock();
            if asked.is_closed {
                return;
            }
            asked.questions.push(Question {
                subject,
                _waits: waits,
            });
        }
        self.wanted.notify_one();
        // The sender is dropped at the end.
        let _ = timeout(PATIENCE, answer).await;
    }

    /// Whether all that was counted here is written.
    pub(super) fn is_written(&self) -> bool {
        !self.counted.load(Ordering::SeqCst) && !self.busy.load(Ordering::SeqCst)
    }

    /// Begins a round; what is counted from now on is for the next.
    pub(super) fn begin(&self) -> Round<'_> {
        self.busy.store(true, Ordering::SeqCst);
        self.counted.store(false, Ordering::SeqCst);
        Round {
            sharing: self,
            questions: std::mem::take(&mut self.asked.lock().questions),
        }
    }

    pub(super) fn close(&self) {
        self.asked.lock().is_closed = true;
    }
}
