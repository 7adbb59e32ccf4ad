//! The indexes in memory: those of the stores that were searched last.

use std::{collections::BTreeMap, sync::Arc};

use loomgate_domain::{VectorStoreId, WorkspaceId};
use loomgate_search::vector::Index;
use parking_lot::Mutex;

/// What a store takes besides its vectors, and so also an empty one.
const OVERHEAD: usize = 1024;
/// What a file of it takes.
const OVERHEAD_OF_FILE: usize = 64;

/// A store's index, and what it is of. Whoever has it alone brings it up to date.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The store's version that it is of; `None`: of none, something is missing.
    pub(super) version: Option<i64>,
    /// The files in it, each with its generation.
    pub(super) files: BTreeMap<i64, i64>,
    /// A file that may stand in it half.
    pub(super) half: Option<i64>,
    /// The vectors, once there are any.
    pub(super) index: Option<Index>,
}

impl Held {
    /// Memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, Index::bytes);
        OVERHEAD + OVERHEAD_OF_FILE * self.files.len() + index
    }
}

type Key = (WorkspaceId, VectorStoreId);
type Shared = Arc<tokio::sync::Mutex<Held>>;

/// The indexes by their stores, within a bound: whatever was not used for longest goes.
#[derive(Debug)]
pub(super) struct Cache {
    most_bytes: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_store: BTreeMap<Key, Slot>,
    /// Counts uses: the order in which they were.
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    held: Shared,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            slots: Mutex::default(),
        }
    }

    /// Whether so much fits at all.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        bytes <= self.most_bytes
    }

    /// What there is of a store; nothing yet, where it was not searched lately.
    pub(super) fn open(&self, key: &Key) -> Shared {
        let mut slots = self.slots.lock();
        slots.uses += 1;
        let used = slots.uses;
        let slot = slots.by_store.entry(key.clone()).or_insert_with(|| Slot {
            held: Shared::default(),
            bytes: OVERHEAD,
            used,
        });
        slot.used = used;
        let held = Arc::clone(&slot.held);
        slots.make_room(self.most_bytes, key);
        held
    }

    /// A store takes so much, or is about to: others make room. What is being used meanwhile goes
    /// when its search has ended.
    pub(super) fn weigh(&self, key: &Key, bytes: usize) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.by_store.get_mut(key) {
            slot.bytes = bytes;
            slots.make_room(self.most_bytes, key);
        }
    }

    /// Lets go of a store's index.
    pub(super) fn forget(&self, key: &Key) {
        self.slots.lock().by_store.remove(key);
    }

    /// Bytes, and stores.
    #[cfg(test)]
    fn size(&self) -> (usize, usize) {
        let slots = self.slots.lock();
        (slots.bytes(), slots.by_store.len())
    }
}

impl Slots {
    fn bytes(&self) -> usize {
        self.by_store.values().map(|slot| slot.bytes).sum()
    }

    fn make_room(&mut self, most_bytes: usize, but: &Key) {
        let mut bytes = self.bytes();
        while bytes > most_bytes {
            let others = self.by_store.iter().filter(|(key, _)| *key != but);
            let Some(oldest) = others.min_by_key(|(_, slot)| slot.used) else {
                return;
            };
            let (key, freed) = (oldest.0.clone(), oldest.1.bytes);
            self.by_store.remove(&key);
            bytes -= freed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (WorkspaceId::trusted("ws_1"), VectorStoreId::trusted(name))
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let cache = Cache::new(10_000);
        let first = cache.open(&key("vs_1"));
        cache.weigh(&key("vs_1"), 4_000);
        cache.open(&key("vs_2"));
        cache.weigh(&key("vs_2"), 4_000);
        assert!(Arc::ptr_eq(&first, &cache.open(&key("vs_1"))), "it is kept");
        cache.open(&key("vs_3"));
        cache.weigh(&key("vs_3"), 4_000);
        assert_eq!(cache.size(), (8_000, 2));
        assert!(
            Arc::ptr_eq(&first, &cache.open(&key("vs_1"))),
            "vs_2 has gone"
        );
        cache.forget(&key("vs_1"));
        assert!(!Arc::ptr_eq(&first, &cache.open(&key("vs_1"))));
        assert!(cache.takes(10_000) && !cache.takes(10_001));
    }

    #[test]
    fn empty_stores_are_bounded_too() {
        let cache = Cache::new(10 * OVERHEAD);
        for n in 0..50 {
            cache.open(&key(&format!("vs_{n}")));
        }
        assert_eq!(cache.size(), (10 * OVERHEAD, 10));
    }

    #[test]
    fn one_that_has_gone_is_not_counted() {
        let cache = Cache::new(3 * OVERHEAD);
        cache.weigh(&key("vs_1"), 5);
        assert_eq!(cache.size(), (0, 0));
    }
}
