//! What a process remembers of the stream events of one run: a window of the newest ones for
//! those who read them here, and the deltas that are told but not stored yet.
//!
//! The table is the whole story; the window is the part of it that costs no reading. It is
//! contiguous: every event after `State::before`, up to the last one told here, is in it. A reader
//! whose cursor is older reads the table until it has caught up.
//!
//! Invariant: memory is bounded. What every reader has seen is let go of, and so is what is more
//! than [`MAX_BYTES`] for those that are slow.

use std::{collections::VecDeque, sync::Arc};

use loomgate_domain::{Run, RunId, WorkspaceId, run::EventId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::entry::{Entry, Slot, slots};

/// The most bytes of frames that wait for slow readers of one run.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A run's events, as far as this process remembers them.
#[derive(Debug)]
pub(crate) struct RunLog {
    pub(crate) run: RunId,
    state: Mutex<State>,
    /// Something was told or stored, or the run has changed.
    pub(crate) changed: Notify,
    /// Deltas that were taken are stored, or are pending again.
    pub(crate) settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    window: VecDeque<Slot>,
    bytes: usize,
    /// The event before the window; none: nothing is remembered.
    before: Option<EventId>,
    /// Present while this process tells the run's events.
    teller: Option<Teller>,
    /// What each reader has seen.
    readers: Vec<(u64, EventId)>,
    next_reader: u64,
    end: Option<End>,
    /// How many readers and recorders hold the log.
    users: usize,
}

/// What is told under one lease.
#[derive(Debug)]
struct Teller {
    ws: WorkspaceId,
    fence: i64,
    next: EventId,
    /// The last event that is in the table.
    stored: EventId,
    pending: Vec<Entry>,
    bytes: usize,
    /// Whether somebody is storing what was pending.
    taken: bool,
}

/// Why nothing more is told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process is going away.
    HungUp,
    /// The thread has been deleted, and the run with it.
    Deleted,
}

/// What a reader finds at its cursor.
#[derive(Debug)]
pub(crate) enum Look {
    /// The next event.
    Slot(Slot),
    /// The next event is not remembered; perhaps it is known to be in the table.
    Behind { stored: bool },
    /// There is none yet; perhaps it will be told here.
    Wait { here: bool },
    /// There will be none.
    End(End),
}

/// What is told and not stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    /// Whether there was nothing before.
    pub(crate) begins: bool,
    /// How many bytes of the model's text it holds.
    pub(crate) bytes: usize,
}

/// Deltas on their way to the table. Those that are not settled are pending again.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) log: Arc<RunLog>,
    pub(crate) ws: WorkspaceId,
    pub(crate) fence: i64,
    /// The last event that is in the table.
    pub(crate) after: EventId,
    pub(crate) entries: Vec<Entry>,
    settled: bool,
}

impl RunLog {
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            state: Mutex::default(),
            changed: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// One more, or one less, holds the log. Returns how many do.
    pub(crate) fn hold(&self, more: bool) -> usize {
        let users = &mut self.state.lock().users;
        *users = if more {
            users.saturating_add(1)
        } else {
            users.saturating_sub(1)
        };
        *users
    }

    /// How many read it.
    pub(crate) fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Adds events that are stored, told by a command. `after` is the event that comes before them.
    /// A command that tells nothing has a worker that goes on telling: what it told and did not
    /// store yet stays.
    pub(crate) fn extend(&self, after: EventId, told: Vec<Slot>) {
        if !told.is_empty() {
            self.state.lock().extend(after, told);
        }
        self.changed.notify_waiters();
    }

    /// From now on this process tells the run's events, under the lease `fence`. The claim has told
    /// and stored `told`; `after` is the event before them.
    pub(crate) fn adopt(&self, ws: WorkspaceId, fence: i64, after: EventId, told: Vec<Slot>) {
        let mut state = self.state.lock();
        let stored = told.last().map_or(after, |slot| slot.id);
        state.extend(after, told);
        state.teller = Some(Teller {
            ws,
            fence,
            next: EventId {
                attempt: fence,
                number: stored.number.saturating_add(1),
            },
            stored,
            pending: Vec::new(),
            bytes: 0,
            taken: false,
        });
        drop(state);
        self.changed.notify_waiters();
        self.settled.notify_waiters();
    }

    /// Tells a delta. `None`: this process does not tell the run's events under this lease.
    pub(crate) fn tell(&self, fence: i64, delta: Entry, run: &mut Run) -> Option<Backlog> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let teller = state.teller(fence)?;
        let id = teller.next;
        teller.next = id.later(delta.count());
        teller.bytes += delta.bytes();
        let backlog = Backlog {
            begins: teller.pending.is_empty(),
            bytes: teller.bytes,
        };
        let told = if state.readers.is_empty() {
            state.forget(Some(id.later(delta.count() - 1)));
            Vec::new()
        } else {
            slots(std::slice::from_ref(&delta), id, run)
        };
        if let Some(teller) = state.teller(fence) {
            let delta = match teller.pending.last_mut() {
                Some(last) => last.join(delta),
                None => Some(delta),
            };
            teller.pending.extend(delta);
        }
        let listened = !told.is_empty();
        state.push(told);
        drop(guard);
        if listened {
            self.changed.notify_waiters();
        }
        Some(backlog)
    }

    /// Takes what is pending, to store it. `None`: this process does not tell the run's events
    /// under this lease, or somebody else is storing.
    pub(crate) fn take(self: &Arc<Self>, fence: Option<i64>) -> Option<Pending> {
        let mut state = self.state.lock();
        let teller = state.teller.as_mut()?;
        if teller.taken || fence.is_some_and(|fence| fence != teller.fence) {
            return None;
        }
        teller.taken = true;
        teller.bytes = 0;
        Some(Pending {
            log: Arc::clone(self),
            ws: teller.ws.clone(),
            fence: teller.fence,
            after: teller.stored,
            entries: std::mem::take(&mut teller.pending),
            settled: false,
        })
    }

    /// Whether this process tells the run's events under this lease.
    pub(crate) fn is_told_by(&self, fence: i64) -> bool {
        self.state.lock().teller(fence).is_some()
    }

    /// The last event told under this lease, if this process tells them.
    pub(crate) fn last_told(&self, fence: i64) -> Option<EventId> {
        let mut state = self.state.lock();
        let teller = state.teller(fence)?;
        Some(teller.next.later(-1))
    }

    /// How many bytes of the model's text are pending.
    pub(crate) fn pending_bytes(&self) -> usize {
        let state = self.state.lock();
        state.teller.as_ref().map_or(0, |teller| teller.bytes)
    }

    /// The lease is over. Whether it was given up, and all that was told is stored; otherwise
    /// nothing of it is remembered.
    pub(crate) fn retire(&self, fence: i64, given_up: bool) {
        let mut state = self.state.lock();
        if state.teller(fence).is_none() {
            return;
        }
        state.teller = None;
        if !given_up {
            state.forget(None);
        }
        drop(state);
        self.changed.notify_waiters();
        self.settled.notify_waiters();
    }

    /// Nothing more is told here.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Registers a reader that has seen everything up to `cursor`.
    pub(crate) fn register(&self, cursor: EventId) -> u64 {
        let mut state = self.state.lock();
        let reader = state.next_reader;
        state.next_reader += 1;
        state.readers.push((reader, cursor));
        reader
    }

    /// Forgets a reader.
    pub(crate) fn unregister(&self, reader: u64) {
        let mut state = self.state.lock();
        state.readers.retain(|(known, _)| *known != reader);
        state.trim();
    }

    /// A reader has seen everything up to `cursor`.
    pub(crate) fn saw(&self, reader: u64, cursor: EventId) {
        let mut state = self.state.lock();
        state.saw(reader, cursor);
        state.trim();
    }

    /// What comes after `cursor`, for a reader that takes it.
    pub(crate) fn look(&self, reader: u64, cursor: EventId) -> Look {
        let mut state = self.state.lock();
        if let Some(end) = state.end {
            return Look::End(end);
        }
        let teller = state.teller.as_ref();
        let stored = teller.is_some_and(|teller| teller.stored > cursor);
        let here = teller.is_some();
        if state.before.is_none_or(|before| cursor < before) {
            return Look::Behind { stored };
        }
        let at = state.window.partition_point(|slot| slot.id <= cursor);
        let Some(slot) = state.window.get(at).cloned() else {
            return Look::Wait { here };
        };
        state.saw(reader, slot.id);
        state.trim();
        Look::Slot(slot)
    }
}

impl State {
    fn teller(&mut self, fence: i64) -> Option<&mut Teller> {
        self.teller.as_mut().filter(|teller| teller.fence == fence)
    }

    /// The last event that is remembered.
    fn head(&self) -> Option<EventId> {
        self.window.back().map(|slot| slot.id).or(self.before)
    }

    fn forget(&mut self, before: Option<EventId>) {
        self.window.clear();
        self.bytes = 0;
        self.before = before;
    }

    fn push(&mut self, slots: Vec<Slot>) {
        for slot in slots {
            self.bytes += slot.frame.len();
            self.window.push_back(slot);
        }
        self.trim();
    }

    fn extend(&mut self, after: EventId, told: Vec<Slot>) {
        let last = told.last().map_or(after, |slot| slot.id);
        match self.before {
            // The worker was faster than the command that woke it.
            Some(before) if before == last => {
                for slot in told.into_iter().rev() {
                    self.bytes += slot.frame.len();
                    self.window.push_front(slot);
                }
                self.before = Some(after);
                self.trim();
            }
            // It was, and its events are not remembered any more: the table has them all.
            Some(before) if before > last => {}
            Some(_) | None => {
                // What a lost worker told and did not store is over.
                while let Some(slot) = self.window.pop_back_if(|slot| slot.id > after) {
                    self.bytes -= slot.frame.len();
                }
                if self.head() != Some(after) {
                    self.forget(Some(after));
                }
                self.push(told);
            }
        }
    }

    fn saw(&mut self, reader: u64, cursor: EventId) {
        if let Some((_, seen)) = self.readers.iter_mut().find(|(known, _)| *known == reader) {
            *seen = cursor;
        }
    }

    /// Lets go of what every reader has seen, and of what is too much.
    fn trim(&mut self) {
        let seen = self.readers.iter().map(|(_, cursor)| *cursor).min();
        let over = |state: &Self, id| seen.is_none_or(|seen| id <= seen) || state.bytes > MAX_BYTES;
        while let Some(id) = self.window.front().map(|slot| slot.id)
            && over(self, id)
        {
            if let Some(slot) = self.window.pop_front() {
                self.bytes -= slot.frame.len();
                self.before = Some(slot.id);
            }
        }
    }
}

impl Pending {
    /// The id of the first of them, or of what is told next.
    pub(crate) fn first(&self) -> EventId {
        EventId {
            attempt: self.fence,
            number: self.after.number.saturating_add(1),
        }
    }

    /// They are in the table, and so is everything up to `last`.
    pub(crate) fn settle(mut self, last: EventId) {
        if let Some(teller) = self.log.state.lock().teller(self.fence) {
            teller.stored = last;
        }
        self.settled = true;
    }

    /// They are in the table with what a commit told besides, up to `last`: readers may see that now.
    pub(crate) fn tell(self, last: EventId, told: &[Entry], run: &mut Run) {
        let mut guard = self.log.state.lock();
        let state = &mut *guard;
        if let Some(teller) = state.teller(self.fence) {
            let first = teller.next;
            teller.next = last.later(1);
            if state.readers.is_empty() {
                state.forget(Some(last));
            } else {
                state.push(slots(told, first, run));
            }
        }
        drop(guard);
        self.settle(last);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut state = self.log.state.lock();
        if let Some(teller) = state.teller(self.fence) {
            teller.taken = false;
            if !self.settled {
                let entries = std::mem::take(&mut self.entries);
                teller.bytes += entries.iter().map(Entry::bytes).sum::<usize>();
                teller.pending.splice(0..0, entries);
            }
        }
        drop(state);
        self.log.changed.notify_waiters();
        self.log.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
