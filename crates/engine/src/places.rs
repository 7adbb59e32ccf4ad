//! Places: how many runs are carried out at once. A run that waits for something else than a model
//! rests, and leaves its place to another one.

use std::collections::BTreeMap;

use loomgate_domain::RunId;
use loomgate_store::Guard;

use crate::engine::{Running, Shared};

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
        let free = places.saturating_sub(running.len() - resting);
        free.min(places.saturating_mul(2).saturating_sub(running.len()))
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

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut running = self.shared.running.lock();
        let ours = running.get_mut(&self.guard.run);
        if let Some(it) = ours.filter(|it| it.fence == self.guard.fence) {
            it.rests = false;
        }
    }
}
