//! What becomes of a message or a run whose thread is locked by another run (`docs/locked-threads.md`).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// What to do where a thread is locked. Its text: `fail`, `wait`, `wait=30`, `enqueue`,
/// `cancel_previous`, `cancel_previous=30`; the number is a [`Patience`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WhenLocked {
    /// Refuse, as the original did.
    #[default]
    Fail,
    /// Wait until the thread is free; refuse when that takes too long.
    Wait(Patience),
    /// Accept; it gets its turn when the thread is free.
    Enqueue,
    /// Cancel the run that locks the thread, and wait until it has stopped.
    CancelPrevious(Patience),
}

/// How long to wait at most: a minute, unless told otherwise; from 1 to 600 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patience(u16);

impl Patience {
    /// In seconds.
    const USUAL: u16 = 60;
    const LONGEST: u16 = 600;

    /// The time.
    pub fn time(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(Self::USUAL)
    }
}

/// A text that is no [`WhenLocked`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 'fail', 'wait', 'enqueue' or 'cancel_previous'; 'wait' and 'cancel_previous' may name \
     a number of seconds from 1 to {longest}, as in 'wait=30'",
    longest = Patience::LONGEST
)]
pub struct UnknownWhenLocked;

impl FromStr for WhenLocked {
    type Err = UnknownWhenLocked;

    fn from_str(text: &str) -> Result<Self, UnknownWhenLocked> {
        let (name, patience) = match text.split_once('=') {
            Some((name, seconds)) => (name, Some(patience(seconds)?)),
            None => (text, None),
        };
        match (name, patience) {
            ("fail", None) => Ok(Self::Fail),
            ("wait", patience) => Ok(Self::Wait(patience.unwrap_or_default())),
            ("enqueue", None) => Ok(Self::Enqueue),
            ("cancel_previous", patience) => Ok(Self::CancelPrevious(patience.unwrap_or_default())),
            _ => Err(UnknownWhenLocked),
        }
    }
}

fn patience(seconds: &str) -> Result<Patience, UnknownWhenLocked> {
    let is_plain = seconds.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = seconds.parse().ok().filter(|_| is_plain);
    let fits = seconds.filter(|seconds| (1..=Patience::LONGEST).contains(seconds));
    fits.map(Patience).ok_or(UnknownWhenLocked)
}

impl fmt::Display for WhenLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail => f.write_str("fail"),
            Self::Wait(Patience(seconds)) => write!(f, "wait={seconds}"),
            Self::Enqueue => f.write_str("enqueue"),
            Self::CancelPrevious(Patience(seconds)) => write!(f, "cancel_previous={seconds}"),
        }
    }
}

impl TryFrom<String> for WhenLocked {
    type Error = UnknownWhenLocked;

    fn try_from(text: String) -> Result<Self, UnknownWhenLocked> {
        text.parse()
    }
}

impl From<WhenLocked> for String {
    fn from(when: WhenLocked) -> Self {
        when.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (text, when, written) in [
            ("fail", WhenLocked::Fail, "fail"),
            ("wait", WhenLocked::Wait(Patience(60)), "wait=60"),
            ("wait=1", WhenLocked::Wait(Patience(1)), "wait=1"),
            ("enqueue", WhenLocked::Enqueue, "enqueue"),
            (
                "cancel_previous=600",
                WhenLocked::CancelPrevious(Patience(600)),
                "cancel_previous=600",
            ),
        ] {
            assert_eq!(text.parse(), Ok(when));
            assert_eq!(when.to_string(), written);
            assert_eq!(written.parse(), Ok(when));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "Wait",
            "wait ",
            "wait=",
            "wait=0",
            "wait=601",
            "wait=+5",
            "wait=1.5",
            "fail=1",
            "enqueue=1",
            "queue",
            "cancel-previous",
            "wait=99999999",
        ] {
            assert_eq!(text.parse::<WhenLocked>(), Err(UnknownWhenLocked), "{text}");
        }
    }
}
