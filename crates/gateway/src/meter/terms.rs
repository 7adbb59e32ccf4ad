//! The words of the meter: who is limited, what was spent, how it stands.

use std::sync::Arc;

use loomgate_domain::{
    Timestamp,
    limit::{Allowance, Nanodollars, RateKind, RateUnit, UsageKind},
};

/// Whose use: `key:key_abc`, `vk:ws_default/main`, `vk:config/main`. Cheap to clone.
pub type Subject = Arc<str>;

/// A subject, and what limits it.
#[derive(Debug, Clone)]
pub struct Limited {
    /// Whose use is counted.
    pub subject: Subject,
    /// For texts: "API key", "virtual key".
    pub whose: &'static str,
    /// How much it may use.
    pub allowance: Arc<Allowance>,
    /// The budget counts from then on.
    pub since: Timestamp,
}

/// What a call has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Of the prompt and the answer.
    pub tokens: u64,
    /// By the table of prices; `None`: the model has none, and a budget of money counts nothing.
    pub cost: Option<Nanodollars>,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetState {
    /// What is counted.
    pub kind: UsageKind,
    /// Billionths of a US dollar, or tokens.
    pub used: u64,
    /// In the same unit.
    pub limit: u64,
    /// Whether calls are refused.
    pub exhausted: bool,
    /// When it is renewed, if ever.
    pub resets_at: Option<Timestamp>,
}

/// How a rate stands, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// What is counted.
    pub kind: RateKind,
    /// The span.
    pub unit: RateUnit,
    /// How many in a span.
    pub limit: u64,
    /// How many more at once.
    pub remaining: u64,
    /// Milliseconds until all of `limit` remains, if nothing else is counted.
    pub reset_ms: u64,
}
