//! The event bus: the logs of the runs that are told of in this process, and those who hold them.
//!
//! A log is there as long as somebody reads the run's events here or tells them. What is told of
//! runs that are carried out elsewhere is read from the table.

use std::{collections::BTreeMap, sync::Arc};

use loomgate_domain::{RunId, run::EventId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::log::{End, RunLog};

/// All logs, and those with something to store.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    logs: Mutex<Logs>,
    dirty: Mutex<Vec<Arc<RunLog>>>,
    /// Something is pending.
    pub(crate) pending: Notify,
    /// So much is pending that it is not to wait.
    pub(crate) hurry: Notify,
}

#[derive(Debug, Default)]
struct Logs {
    of: BTreeMap<RunId, Arc<RunLog>>,
    hung_up: bool,
}

/// Keeps a log in its place.
#[derive(Debug)]
pub(crate) struct Hold {
    bus: Arc<Bus>,
    pub(crate) log: Arc<RunLog>,
}

/// A reader of a log. Dropping it leaves the run alone.
#[derive(Debug)]
pub(crate) struct Reader {
    hold: Hold,
    id: u64,
}

impl Bus {
    /// The run's log, made if nobody holds it.
    pub(crate) fn hold(self: &Arc<Self>, run: &RunId) -> Hold {
        let mut logs = self.logs.lock();
        let hung_up = logs.hung_up;
        let log = logs.of.entry(run.clone());
        let log = Arc::clone(log.or_insert_with(|| Arc::new(RunLog::new(run.clone()))));
        log.hold(true);
        drop(logs);
        if hung_up {
            log.end(End::HungUp);
        }
        Hold {
            bus: Arc::clone(self),
            log,
        }
    }

    /// A reader that nothing is let go of before it says what it has seen.
    pub(crate) fn read(self: &Arc<Self>, run: &RunId) -> Reader {
        let hold = self.hold(run);
        let id = hold.log.register(EventId::START);
        Reader { hold, id }
    }

    /// The run's log, if somebody holds it.
    pub(crate) fn get(&self, run: &RunId) -> Option<Arc<RunLog>> {
        self.logs.lock().of.get(run).cloned()
    }

    /// The run has changed: whoever looks at it is to look again.
    pub(crate) fn wake(&self, run: &RunId) {
        if let Some(log) = self.get(run) {
            log.changed.notify_waiters();
        }
    }

    /// Has what is pending in a log stored.
    pub(crate) fn store(&self, log: &Arc<RunLog>) {
        self.dirty.lock().push(Arc::clone(log));
        self.pending.notify_one();
    }

    /// The logs with something to store.
    pub(crate) fn take_dirty(&self) -> Vec<Arc<RunLog>> {
        std::mem::take(&mut *self.dirty.lock())
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        let logs = self.logs.lock();
        logs.of.values().map(|log| log.readers()).sum()
    }

    /// Ends every stream without a last event: the process is going away.
    pub(crate) fn hang_up(&self) {
        let mut logs = self.logs.lock();
        logs.hung_up = true;
        for log in logs.of.values() {
            log.end(End::HungUp);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut logs = self.bus.logs.lock();
        if self.log.hold(false) == 0 {
            logs.of.remove(&self.log.run);
        }
    }
}

impl Reader {
    pub(crate) fn log(&self) -> &Arc<RunLog> {
        &self.hold.log
    }

    pub(crate) fn saw(&self, cursor: EventId) {
        self.hold.log.saw(self.id, cursor);
    }

    pub(crate) fn look(&self, cursor: EventId) -> crate::log::Look {
        self.hold.log.look(self.id, cursor)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hold.log.unregister(self.id);
    }
}
