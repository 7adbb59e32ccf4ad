//! The accounts behind one lock, and which of them are forgotten.

use foldhash::HashMap;

use super::{SHARDS, Subject, account::Account};

/// Subjects that are held without looking for some to forget.
pub(super) const HELD: usize = 100_000;
/// A subject unused for so long may be forgotten: its longest windows that live in memory alone
/// have passed five times over, and a write under way has ended.
pub(super) const IDLE_MS: i64 = 10 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) accounts: HashMap<Subject, Account>,
    /// Those with something to write; one that was reset meanwhile may be here in vain.
    pub(super) dirty: Vec<Subject>,
    /// With so many accounts some are forgotten.
    full_at: usize,
    /// The latest time that anybody told.
    pub(super) now_ms: i64,
}

impl Shard {
    /// Forgets idle accounts when there are too many. When most are in use, the next look comes
    /// after an eighth more of them, so that the cost of looking stays small.
    pub(super) fn make_room(&mut self) {
        if self.accounts.len() < self.full_at.max(HELD / SHARDS) {
            return;
        }
        let now_ms = self.now_ms;
        self.accounts
            .retain(|_, account| !account.is_idle(IDLE_MS, now_ms));
        self.full_at = self.accounts.len() + self.accounts.len() / 8 + 1;
    }
}
