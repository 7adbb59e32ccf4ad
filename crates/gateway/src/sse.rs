//! Splits a stream of bytes into server-sent events, wherever the bytes were cut.

use serde::de::IgnoredAny;

/// The most bytes of one event, or of one line.
const EVENT_BYTES: usize = 8 * 1024 * 1024;

/// One event. Fields other than `event` and `data` are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Whether the event's type is `error`.
    pub(crate) is_error: bool,
    /// The data lines, joined by line feeds. Not checked to be UTF-8.
    pub(crate) data: Vec<u8>,
}

impl Event {
    /// Whether an event that the end of the stream cut off is complete all the same.
    pub(crate) fn is_whole(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]"
            || serde_json::from_slice::<IgnoredAny>(&self.data).is_ok()
    }
}

/// An event or line of more than 8 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than 8 MB")]
pub(crate) struct TooLarge;

/// Takes bytes, gives events. Lines end with LF, CR LF or CR; comments and a leading byte order
/// mark are skipped.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The first line, which may carry a byte order mark, has been read.
    begun: bool,
    data: Option<Vec<u8>>,
    is_error: bool,
}

impl Splitter {
    /// Takes the next bytes and appends the events that they complete. After an error the splitter
    /// is of no further use.
    pub(crate) fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLarge> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, after) = rest.split_at(end);
            let is_rest_of_cr_lf = self.after_cr && line.is_empty() && after[0] == b'\n';
            self.after_cr = after[0] == b'\r';
            rest = &after[1..];
            if is_rest_of_cr_lf {
                continue;
            }
            self.check(line.len())?;
            if self.line.is_empty() {
                events.extend(self.end_line(line));
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                events.extend(self.end_line(&whole));
            }
        }
        if !rest.is_empty() {
            self.after_cr = false;
            self.check(rest.len())?;
            self.line.extend_from_slice(rest);
        }
        Ok(())
    }

    /// What stands unfinished at the end of the stream. The standard drops it; some servers end
    /// their last event without the blank line, so the caller may look.
    pub(crate) fn finish(mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line);
        }
        self.dispatch()
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if held + more > EVENT_BYTES {
            return Err(TooLarge);
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = if self.begun {
            line
        } else {
            self.begun = true;
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            },
            b"event" => self.is_error = value == b"error",
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let is_error = std::mem::take(&mut self.is_error);
        self.data.take().map(|data| Event { is_error, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<Event>) {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for piece in pieces {
            splitter.push(piece, &mut events).unwrap();
        }
        (events, splitter.finish())
    }

    fn data(text: &str) -> Event {
        Event {
            is_error: false,
            data: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn every_line_ending_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = "data: a\n\ndata: b\ndata:c\n\n: comment\n\n\ndata\n\n".replace('\n', end);
            let (events, rest) = split([text.as_bytes()]);
            assert_eq!(events, [data("a"), data("b\nc"), data("")], "{end:?}");
            assert_eq!(rest, None);
        }
    }

    #[test]
    fn fields_are_told_apart() {
        let (events, _) = split([
            &b"\xEF\xBB\xBFdata:  x\nid: 7\nretry: 1\ndatum: y\n\nevent: error\ndata: {}\n\ndata: z\n\nevent: error\n\ndata: last\n\n"[..],
        ]);
        let error = Event {
            is_error: true,
            data: b"{}".to_vec(),
        };
        assert_eq!(events, [data(" x"), error, data("z"), data("last")]);
    }

    #[test]
    fn an_unfinished_event_is_told_apart_from_a_finished_one() {
        assert_eq!(split([&b"data: a"[..]]), (vec![], Some(data("a"))));
        assert_eq!(
            split([&b"data: a\ndata: b\n"[..]]),
            (vec![], Some(data("a\nb")))
        );
        assert_eq!(split([&b": a"[..]]), (vec![], None));
    }

    #[test]
    fn an_event_of_more_than_8_mb_is_refused() {
        let line = [b"data: ", vec![b'x'; 1024 * 1024 - 7].as_slice(), b"\n"].concat();
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        let mut taken = 0;
        while splitter.push(&line, &mut events).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 8);
        let mut endless = Splitter::default();
        let piece = vec![b':'; EVENT_BYTES];
        assert_eq!(endless.push(&piece, &mut events), Ok(()));
        assert_eq!(endless.push(b":", &mut events), Err(TooLarge));
        assert!(events.is_empty());
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            fragments in vec(
                prop_oneof![
                    Just("data: ".as_bytes()), Just("data:é€😀".as_bytes()), Just("\n".as_bytes()),
                    Just("\r".as_bytes()), Just("\r\n".as_bytes()), Just(":".as_bytes()),
                    Just("event: error".as_bytes()), Just("\u{feff}".as_bytes()),
                    Just("\n\n".as_bytes()), Just(&b"\xff"[..]),
                ],
                0..40,
            ),
            cuts in vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let whole = fragments.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
            cuts.push(0);
            cuts.push(whole.len());
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]);
            let expected = split([whole.as_slice()]);
            prop_assert_eq!(split(pieces), expected.clone());
            prop_assert_eq!(split(whole.chunks(1)), expected);
        }
    }
}
