//! Where the stream events of a run stand, and which of them are kept.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The id of a stream event, `ATTEMPT.NUMBER` on the wire, in the order of the stream.
///
/// The attempt is the number of the lease under which the event was told (0 before the first
/// one), the number counts the events of the run from 1. A worker that was lost may have told
/// events that it did not store: its successor counts on from the last one stored, and the attempt
/// tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EventId {
    /// Which lease of the run.
    pub attempt: i64,
    /// Which event of the run.
    pub number: i64,
}

/// The text is no `ATTEMPT.NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an event id of the form ATTEMPT.NUMBER")]
pub struct InvalidEventId;

/// What is kept of a run's stream events: a column of the run. A run that nobody ever asked to
/// stream has none.
///
/// A leg is what one stream tells: from the creation of the run, or from a submission of tool
/// outputs, to `done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Whether the events of the present leg are kept: the request that began it asked for a
    /// stream.
    pub recording: bool,
    /// The last event before the present leg.
    pub after: EventId,
}

impl EventId {
    /// Before all events.
    pub const START: Self = Self {
        attempt: 0,
        number: 0,
    };

    /// The most digits of a part. A million events a second would not need them in 30 years.
    const DIGITS: usize = 15;

    /// The event that is `count` events later, told under the same lease.
    #[must_use]
    pub const fn later(self, count: i64) -> Self {
        Self {
            number: self.number.saturating_add(count),
            ..self
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.number)
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (attempt, number) = text.split_once('.').ok_or(InvalidEventId)?;
        Ok(Self {
            attempt: part(attempt)?,
            number: part(number)?,
        })
    }
}

/// A number as [`EventId`] writes it: there is one way to write each id.
fn part(text: &str) -> Result<i64, InvalidEventId> {
    let plain = text.len() <= EventId::DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    let number = plain.then(|| text.parse().ok()).flatten();
    number.ok_or(InvalidEventId)
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for EventId {
    type Error = InvalidEventId;

    fn try_from(text: String) -> Result<Self, InvalidEventId> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way_to_write_an_id() {
        for text in ["0.0", "0.1", "1.57", "12.345678901234567"] {
            assert_eq!(
                text.parse::<EventId>().map(|id| id.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "01.1",
            "1.01",
            "+1.1",
            "1.-1",
            "1.1.1",
            " 1.1",
            "1.1 ",
            "a.1",
            "1.x",
            "1.1234567890123456",
            "١.1",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }

    #[test]
    fn the_attempt_goes_before_the_number() {
        let id = |text: &str| text.parse::<EventId>().unwrap();
        assert!(id("1.57") < id("2.51"));
        assert!(id("1.9") < id("1.10"));
        assert!(EventId::START < id("0.1"));
        assert_eq!(id("1.50").later(7), id("1.57"));
    }

    #[test]
    fn the_stored_form_is_short() {
        let journal = Journal {
            recording: true,
            after: EventId::START.later(3),
        };
        let text = r#"{"recording":true,"after":"0.3"}"#;
        assert_eq!(serde_json::to_string(&journal).unwrap(), text);
        assert_eq!(serde_json::from_str::<Journal>(text).unwrap(), journal);
    }
}
