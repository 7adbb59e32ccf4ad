//! Server-sent events on their way through: each goes on once it is whole, so that half of one never
//! reaches a client as if it were an event. Clients wait for its end themselves, so nothing is late.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::observe::{Seen, Trouble, is_usage_alone};
use crate::sse::Splitter;

/// The most bytes of an event that are held until it is whole; a larger one goes on in parts.
const HELD_BYTES: usize = 1024 * 1024;

/// The events of one answer.
#[derive(Debug, Default)]
pub(super) struct Frames {
    splitter: Splitter,
    boundaries: Boundaries,
    /// The beginning of an event whose end has not come.
    held: BytesMut,
    /// A part of the event that is under way went on already.
    in_parts: bool,
    /// The event with nothing but usage is taken out.
    without_counts: bool,
}

impl Frames {
    /// All but the event that only counts: the gateway itself has asked for it.
    pub(super) fn without_counts() -> Self {
        Self {
            without_counts: true,
            ..Self::default()
        }
    }

    /// Takes the next bytes; gives the events that are whole, as they came.
    pub(super) fn take(&mut self, bytes: &Bytes, seen: &mut Seen) -> Bytes {
        let mut events = Vec::new();
        let is_lost = seen.trouble == Some(Trouble::Lost);
        if !is_lost && self.splitter.push(bytes, &mut events).is_err() {
            seen.trouble = Some(Trouble::Lost);
        }
        for event in events {
            seen.event(&event.data, event.is_error);
        }
        let mut kept = Vec::new();
        let (mut run, mut at) = (0, 0);
        while let Some(length) = self.boundaries.next(&bytes[at..]) {
            let end = at + length;
            if self.is_taken_out(&bytes[at..end]) {
                self.held.clear();
                kept.push(bytes.slice(run..at));
                run = end;
            } else if !self.held.is_empty() {
                kept.push(self.held.split().freeze());
            }
            self.in_parts = false;
            at = end;
        }
        kept.push(bytes.slice(run..at));
        self.held.extend_from_slice(&bytes[at..]);
        if self.held.len() > HELD_BYTES {
            self.in_parts = true;
            kept.push(self.held.split().freeze());
        }
        joined(kept)
    }

    /// The bytes are over. Gives what is held: half an event ([`Trouble::Half`]), or one without the
    /// blank line behind it, which some servers leave out.
    pub(super) fn end(&mut self, seen: &mut Seen) -> Bytes {
        let held = self.held.split().freeze();
        let Some(event) = std::mem::take(&mut self.splitter).finish() else {
            return held;
        };
        if event.is_whole() {
            seen.event(&event.data, event.is_error);
        } else {
            seen.trouble.get_or_insert(Trouble::Half);
        }
        if self.without_counts && is_usage_alone(&event.data) {
            return Bytes::new();
        }
        held
    }

    /// Whether the event that ends with these bytes is the one that only counts.
    fn is_taken_out(&self, end: &[u8]) -> bool {
        if !self.without_counts || self.in_parts {
            return false;
        }
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        // What is held is bounded.
        let _ = splitter.push(&self.held, &mut events);
        let _ = splitter.push(end, &mut events);
        !events.is_empty() && events.iter().all(|event| is_usage_alone(&event.data))
    }
}

/// Most often there is one piece, which needs no copy.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    pieces.retain(|piece| !piece.is_empty());
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }
}

/// Finds the blank lines that end events, wherever the bytes were cut. Lines end with LF, CR LF or
/// CR, as in [`Splitter`].
#[derive(Debug, Default)]
struct Boundaries {
    /// The line that is under way has bytes.
    in_line: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
}

impl Boundaries {
    /// Where the first event in these bytes ends: behind its blank line. Without one, the next call
    /// goes on behind these bytes.
    fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(length) = memchr2(b'\n', b'\r', &bytes[at..]) {
            let is_lf = bytes[at + length] == b'\n';
            let is_rest_of_cr_lf = self.after_cr && length == 0 && is_lf;
            let is_blank = length == 0 && !self.in_line;
            self.after_cr = !is_lf;
            at += length + 1;
            if is_rest_of_cr_lf {
                continue;
            }
            self.in_line = false;
            if is_blank {
                if self.after_cr && bytes.get(at) == Some(&b'\n') {
                    self.after_cr = false;
                    at += 1;
                }
                return Some(at);
            }
        }
        if at < bytes.len() {
            self.in_line = true;
            self.after_cr = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const STREAM: &str = ": hello\n\n\
        data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n\
        data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";

    fn through(mut frames: Frames, stream: &str, size: usize) -> (String, Seen) {
        let (mut out, mut seen) = (Vec::new(), Seen::default());
        for piece in stream.as_bytes().chunks(size) {
            out.extend_from_slice(&frames.take(&Bytes::copy_from_slice(piece), &mut seen));
        }
        out.extend_from_slice(&frames.end(&mut seen));
        (String::from_utf8(out).unwrap(), seen)
    }

    /// The stream with other ends of lines, the mixtures that servers write included.
    fn variants() -> Vec<String> {
        let ends = ["\n", "\r\n", "\r"];
        let mut all: Vec<_> = ends.iter().map(|end| STREAM.replace('\n', end)).collect();
        all.push(STREAM.replace("\n\n", "\n\r\n"));
        all.push(STREAM.replace("\n\n", "\r\n\n"));
        // The last blank line is missing.
        all.push(STREAM.trim_end().to_owned());
        all
    }

    #[test]
    fn a_stream_is_watched_without_being_touched() {
        for stream in variants() {
            for size in [1, 2, 7, 10_000] {
                let (out, seen) = through(Frames::default(), &stream, size);
                assert_eq!(out, stream);
                assert_eq!(seen.usage.unwrap().prompt_tokens, 3);
                assert_eq!(seen.model.as_deref(), Some("m-1"));
                assert!(seen.ended && seen.is_done && seen.error.is_none());
            }
        }
    }

    #[test]
    fn the_counts_that_only_we_asked_for_are_taken_out() {
        for stream in variants() {
            for size in [1, 2, 7, 10_000] {
                let (out, seen) = through(Frames::without_counts(), &stream, size);
                assert!(!out.contains("usage"), "{out}");
                assert_eq!(out.matches("data: ").count(), 3);
                assert_eq!(seen.usage.unwrap().completion_tokens, 2);
                assert!(seen.ended && seen.is_done);
            }
        }
        let (before_done, _) = STREAM.split_at(STREAM.find("\n\ndata: [").unwrap());
        let (out, seen) = through(Frames::without_counts(), before_done, 5);
        assert!(!out.contains("usage") && seen.usage.is_some(), "{out}");
    }

    #[test]
    fn half_an_event_is_held_to_the_end() {
        let cut = &STREAM[..STREAM.find("stop").unwrap()];
        let (whole, half) = cut.split_at(cut.rfind("\n\n").unwrap() + 2);
        for size in [1, 7, 10_000] {
            let (mut frames, mut seen) = (Frames::default(), Seen::default());
            let mut out = Vec::new();
            for piece in cut.as_bytes().chunks(size) {
                out.extend_from_slice(&frames.take(&Bytes::copy_from_slice(piece), &mut seen));
            }
            assert_eq!(std::str::from_utf8(&out).unwrap(), whole);
            assert_eq!(frames.end(&mut seen), half);
            assert!(seen.trouble == Some(Trouble::Half) && !seen.ended);
        }
    }

    #[test]
    fn an_event_that_does_not_end_is_not_held_for_ever() {
        let (mut frames, mut seen) = (Frames::without_counts(), Seen::default());
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let (mut out, mut most) = (0, 0);
        for index in 1..=64 {
            out += frames.take(&piece, &mut seen).len();
            most = most.max(index * piece.len() - out);
        }
        assert!(most <= HELD_BYTES, "{most}");
        assert_eq!(out + frames.end(&mut seen).len(), 64 * piece.len());
    }

    #[test]
    fn an_event_too_large_to_look_at_goes_through_and_says_so() {
        let event = format!("data: {}\n\ndata: [DONE]\n\n", "x".repeat(9 * 1024 * 1024));
        let (out, seen) = through(Frames::without_counts(), &event, 64 * 1024);
        assert!(out == event && seen.trouble == Some(Trouble::Lost));
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            pieces in vec(prop_oneof![
                Just("data: a"), Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just(":"),
            ], 0..40),
            cuts in vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let whole = pieces.concat() + "\n\n";
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let (mut frames, mut seen) = (Frames::default(), Seen::default());
            let mut out = Vec::new();
            for pair in cuts.windows(2) {
                let piece = Bytes::copy_from_slice(&whole.as_bytes()[pair[0]..pair[1]]);
                out.extend_from_slice(&frames.take(&piece, &mut seen));
                // What went on ends where an event does: with a line that is blank.
                let text = std::str::from_utf8(&out).unwrap();
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                prop_assert!(text.is_empty() || text == "\n" || text.ends_with("\n\n")
                    || text.trim_end_matches('\n').is_empty());
            }
            out.extend_from_slice(&frames.end(&mut seen));
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), whole);
        }
    }
}
