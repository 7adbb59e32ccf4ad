//! Events of a run's stream, as they come over the wire.

use std::{fmt, str::FromStr};

/// `ATTEMPT.NUMBER`, in the order of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventId {
    pub(crate) attempt: u64,
    pub(crate) number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.number)
    }
}

impl FromStr for EventId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let both = text.split_once('.');
        let (attempt, number) = both.ok_or_else(|| anyhow::anyhow!("no event id: {text:?}"))?;
        Ok(Self {
            attempt: attempt.parse()?,
            number: number.parse()?,
        })
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// None: it only concerns this reader.
    pub(crate) id: Option<EventId>,
    /// `thread.run.created`.
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn is_delta(&self) -> bool {
        self.name.rsplit('.').next() == Some("delta")
    }
}

/// Bytes in, events out.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is whole. Comments are none.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.bytes.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let event = parse(&String::from_utf8_lossy(&block));
            if event.is_some() {
                return event;
            }
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    Some(Event {
        id: field("id").and_then(|id| id.parse().ok()),
        name: field("event")?.to_owned(),
        data: field("data")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_the_bytes_were_cut() {
        let text =
            b"id: 1.9\nevent: a.delta\ndata: {}\n\n: still here\n\nevent: done\ndata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut reader = Reader::default();
            let mut events = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                reader.push(part);
                events.extend(std::iter::from_fn(|| reader.next()));
            }
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert_eq!(events[0].id.unwrap().to_string(), "1.9");
            assert!(events[0].is_delta() && events[1].id.is_none());
        }
    }

    #[test]
    fn ids_are_ordered_by_attempt_first() {
        let id = |text: &str| text.parse::<EventId>().unwrap();
        assert!(id("1.57") < id("2.51") && id("2.9") < id("2.10"));
        assert!("2".parse::<EventId>().is_err());
    }
}
