//! What was looked up in the store a moment ago, so that it need not be looked up for each request.

use std::{hash::Hash, sync::Arc, time::Duration};

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long it is trusted without another look.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// The most that is remembered.
const MOST: usize = 10_000;

/// Bounded, and forgotten as a whole when something was changed.
#[derive(Debug)]
pub(crate) struct Recent<K, V>(Mutex<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, (Instant, Arc<V>)>,
    /// How often all was forgotten.
    changes: u64,
}

/// When a look began: what it finds is not remembered if something was changed meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    changes: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Entries {
            by_key: HashMap::default(),
            changes: 0,
        }))
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// What was found lately.
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        let entries = self.0.lock();
        let (since, found) = entries.by_key.get(key)?;
        (since.elapsed() < TRUSTED_FOR).then(|| Arc::clone(found))
    }

    /// The first that is so.
    pub(crate) fn find(&self, is_it: impl Fn(&V) -> bool) -> Option<Arc<V>> {
        let entries = self.0.lock();
        let mut entries = entries.by_key.values();
        let found = entries.find(|(since, it)| since.elapsed() < TRUSTED_FOR && is_it(it));
        found.map(|(_, it)| Arc::clone(it))
    }

    /// To be called before the store is asked.
    pub(crate) fn look(&self) -> Look {
        let changes = self.0.lock().changes;
        Look { changes }
    }

    /// Remembers what a look has found.
    pub(crate) fn put(&self, look: Look, key: K, found: &Arc<V>) {
        let mut entries = self.0.lock();
        if entries.changes != look.changes {
            return;
        }
        if entries.by_key.len() >= MOST {
            let fresh = |(since, _): &mut (Instant, Arc<V>)| since.elapsed() < TRUSTED_FOR;
            entries.by_key.retain(|_, entry| fresh(entry));
            if entries.by_key.len() >= MOST {
                entries.by_key.clear();
            }
        }
        entries
            .by_key
            .insert(key, (Instant::now(), Arc::clone(found)));
    }

    /// Something was changed: all is looked up again.
    pub(crate) fn forget(&self) {
        let mut entries = self.0.lock();
        entries.changes = entries.changes.wrapping_add(1);
        entries.by_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_trusted_for_its_time_and_until_a_change() {
        let recent = Recent::default();
        let found = Arc::new("found");
        recent.put(recent.look(), 1, &found);
        assert_eq!(recent.get(&1), Some(Arc::clone(&found)));
        assert_eq!(recent.find(|it| *it == "found"), Some(Arc::clone(&found)));
        tokio::time::advance(TRUSTED_FOR).await;
        assert_eq!((recent.get(&1), recent.find(|_| true)), (None, None));
        recent.put(recent.look(), 1, &found);
        recent.forget();
        assert_eq!(recent.get(&1), None);
    }

    #[test]
    fn what_was_found_before_a_change_is_not_remembered_after_it() {
        let recent = Recent::default();
        let look = recent.look();
        // The store is being read, and somebody revokes what it gives.
        recent.forget();
        recent.put(look, 1, &Arc::new("revoked"));
        assert_eq!(recent.get(&1), None);
    }

    #[test]
    fn it_is_bounded() {
        let recent = Recent::default();
        for key in 0..=MOST {
            recent.put(recent.look(), key, &Arc::new(()));
        }
        assert!(recent.0.lock().by_key.len() <= MOST);
    }
}
