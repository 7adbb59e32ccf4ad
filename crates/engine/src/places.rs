//! Places: how many runs are carried out at once. A run that waits for something else than a model
//! rests, and leaves its place to another one.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use loomgate_domain::RunId;
use loomgate_store::Guard;

use crate::engine::{Running, Shared};

/// A place that is kept for a run whose making is not committed yet, until this is dropped.
pub(crate) struct Reserved(Arc<Shared>);

/// A run that rests, until this is dropped. It then goes on at once, although all places may be taken.
pub(crate) struct Rest<'s> {
    shared: &'s Shared,
    guard: &'s Guard,
}

impl Shared {
    /// How many runs may be taken up.
    pub(crate) fn free_places(&self) -> usize {
        self.free(&self.running.lock())
    }

    /// Those that rest take no place; but of them, too, there are no more than there are places.
    fn free(&self, running: &BTreeMap<RunId, Running>) -> usize {
        let places = self.settings.concurrency;
        let resting = running.values().filter(|it| it.rests).count();
        // Changed only under the lock that the caller has.
        let reserved = self.reserved.load(Ordering::Relaxed);
        let free = places.saturating_sub(running.len() - resting + reserved);
        free.min(
            places
                .saturating_mul(2)
                .saturating_sub(running.len() + reserved),
        )
    }

    /// Keeps a place for a run that is about to be made. `None`: runs are not taken up here, there is
    /// no place, or others may wait for one, whose turn it is.
    pub(crate) fn reserve(self: &Arc<Self>) -> Option<Reserved> {
        if !self.settings.workers
            || self.draining.is_cancelled()
            || self.may_wait.load(Ordering::Relaxed)
        {
            return None;
        }
        let running = self.running.lock();
        if self.free(&running) == 0 {
            return None;
        }
        self.reserved.fetch_add(1, Ordering::Relaxed);
        Some(Reserved(Arc::clone(self)))
    }

    /// Lets a run rest, if it is still ours.
    pub(crate) fn rest<'s>(&'s self, guard: &'s Guard) -> Rest<'s> {
        self.free_up(guard, |running| {
            if let Some(it) = running.get_mut(&guard.run) {
                it.rests = true;
            }
        });
        Rest {
            shared: self,
            guard,
        }
    }

    /// Gives a run's place up.
    pub(crate) fn leave(&self, guard: &Guard) {
        self.free_up(guard, |running| {
            running.remove(&guard.run);
        });
    }

    /// Does something that frees a place, and tells a worker that may be waiting for one.
    fn free_up(&self, guard: &Guard, free: impl FnOnce(&mut BTreeMap<RunId, Running>)) {
        let mut running = self.running.lock();
        let was_full = self.free(&running) == 0;
        let ours = running.get(&guard.run);
        if ours.is_some_and(|known| known.fence == guard.fence) {
            free(&mut running);
        }
        drop(running);
        if was_full {
            self.place_free.notify_one();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let running = self.0.running.lock();
        let was_full = self.0.free(&running) == 0;
        self.0.reserved.fetch_sub(1, Ordering::Relaxed);
        drop(running);
        if was_full {
            self.0.place_free.notify_one();
        }
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut running = self.shared.running.lock();
        let ours = running.get_mut(&self.guard.run);
        if let Some(it) = ours.filter(|it| it.fence == self.guard.fence) {
            it.rests = false;
        }
    }
}
