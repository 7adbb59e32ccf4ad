//! Time as the contract counts it.

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01 UTC: the unit of every `*_at` field.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `seconds` more.
    #[must_use]
    pub fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(i64::from(seconds)))
    }
}

/// Where the time comes from. Tests own theirs.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC (the unit of leases).
    fn now_ms(&self) -> i64;

    /// Seconds since 1970-01-01 UTC.
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms().div_euclid(1000))
    }
}
