//! Whether a history and what stands in the thread in the end go together. Pure: everything that
//! is needed was read before.

mod runs;
mod streams;
mod writes;

use std::fmt;

use crate::history::{Facts, History};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// An acknowledged write is there; what was refused is not; nothing is there twice.
    Writes,
    /// Messages keep their order.
    Order,
    /// At most one run locks a thread, and none once all have ended.
    Lock,
    /// Every run ends, or waits for its client; an end is the end.
    Ends,
    /// A completed run has the one right answer; one fails only where the model did.
    Answers,
    /// The outputs of a call are taken once.
    Outputs,
    /// Usage is counted once.
    Usage,
    /// A stream has neither gap nor repeat, and is replayed as it was.
    Streams,
    /// No request is answered as it must not be.
    Requests,
    /// A run has one lease at a time, and nobody else writes for it.
    Leases,
    /// The database is intact.
    Database,
}

impl Rule {
    pub(crate) const ALL: [Self; 11] = [
        Self::Writes,
        Self::Order,
        Self::Lock,
        Self::Ends,
        Self::Answers,
        Self::Outputs,
        Self::Usage,
        Self::Streams,
        Self::Requests,
        Self::Leases,
        Self::Database,
    ];

    /// In a few words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Writes => "an acknowledged write is there, once; a refused one is not",
            Self::Order => "messages keep their order",
            Self::Lock => "at most one active run a thread; no thread stays locked",
            Self::Ends => "every run ends, or waits for its client; an end is the end",
            Self::Answers => {
                "a completed run has the one right answer, once; a run fails only where the model did"
            }
            Self::Outputs => {
                "the outputs of a call are taken once, and are those that were acknowledged"
            }
            Self::Usage => {
                "usage of a run = sum of its steps = what the model counted; of a key = sum of its runs"
            }
            Self::Streams => "a stream has no gap and no repeat; its replay is equal",
            Self::Requests => {
                "no request is answered as it must not be (5xx, 404 of what is there, ..)"
            }
            Self::Leases => "a run has one lease at a time; whoever lost it writes nothing more",
            Self::Database => "the database is intact",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Violations, as they are found.
#[derive(Debug, Default)]
struct Found(Vec<Violation>);

impl Found {
    fn expect(&mut self, rule: Rule, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Violation { rule, what: what() });
        }
    }
}

/// All violations of one thread. `has_failed` says whether the model failed a question.
pub(crate) fn check(
    history: &History,
    facts: &Facts,
    has_failed: &dyn Fn(u32) -> bool,
) -> Vec<Violation> {
    let mut found = Found::default();
    writes::check(history, facts, &mut found);
    runs::check(history, facts, has_failed, &mut found);
    streams::check(history, facts, &mut found);
    found.0
}

#[cfg(test)]
mod tests;
