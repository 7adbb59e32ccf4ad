//! What happened, line by line, and what must not have happened.

use std::fmt;

/// How many lines of the end are shown.
const TAIL: usize = 60;

/// A rule that was broken, by its number in `docs/reliability.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// I1: an acknowledged write is there, a refused one is not.
    Writes,
    /// I2: every run ends, or waits for its client, within its time; an end is the end.
    Ends,
    /// I3: at most one active run a thread.
    Lock,
    /// I4: messages keep their order.
    Order,
    /// I5: outputs are taken once.
    Outputs,
    /// I6: a stream is told as it was told before.
    Streams,
    /// I7: usage is counted once.
    Usage,
    /// I8: whoever has lost a run writes nothing.
    Fence,
    /// A completed run has the one right answer, and there is no half one beside it.
    Answers,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) step: u32,
    pub(crate) lines: Vec<String>,
}

impl Trace {
    pub(crate) fn note(&mut self, line: impl fmt::Display) {
        self.lines.push(format!("{:4} {line}", self.step));
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

/// Checks a rule.
pub(crate) fn holds(
    rule: Rule,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation { rule, what: what() })
    }
}
