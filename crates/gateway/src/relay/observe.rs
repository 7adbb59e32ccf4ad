//! Looks at an answer as it goes by: how many tokens it took, which model gave it, whether it came
//! to its end. The bytes themselves are never touched, but for one event: the token counts that
//! the gateway itself asked for.

use bytes::{Bytes, BytesMut};
use loomgate_domain::Usage;
use serde::Deserialize;
use serde_json::Value;

use crate::{endpoint::StreamEnd, sse::Splitter, usage::RawUsage};

/// The most bytes of an answer in one piece that are kept to look for its usage.
const WATCHED_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of an event that are held until it is whole; a larger one goes on in parts.
const HELD_BYTES: usize = 1024 * 1024;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    /// `[DONE]`, a finish reason, an error or the stream's own last event.
    pub(super) ended: bool,
    /// The types of that last event.
    last: &'static [&'static str],
    /// The run that the answer is about, where it is about one.
    pub(super) run: Option<SeenRun>,
    /// The stream carried an error of the provider's own.
    pub(super) error: Option<String>,
    pub(super) bytes: u64,
}

/// A run at a provider, as answers show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenRun {
    pub(crate) id: String,
    /// It was seen before its end.
    pub(crate) was_open: bool,
    /// It has ended.
    pub(crate) has_ended: bool,
    /// Until when it may take, in unix seconds, where it said so.
    pub(crate) expires_at: Option<i64>,
}

/// Watches one answer.
pub(super) enum Observer {
    /// Nobody counts what is in it.
    Blind(Seen),
    /// One JSON object.
    Whole(Seen, Kept),
    /// Server-sent events.
    Events(Seen, Splitter),
    /// The same, and the event with nothing but usage is taken out.
    Filtered(Seen, Filter),
}

/// An object that is kept until it is whole. Most come in one piece, which needs no copy.
#[derive(Debug, Default)]
pub(super) struct Kept {
    first: Bytes,
    /// All pieces, once there is a second one.
    all: BytesMut,
}

impl Kept {
    fn add(&mut self, bytes: &Bytes) {
        if self.as_slice().len() + bytes.len() > WATCHED_BYTES {
            return;
        }
        if self.first.is_empty() {
            self.first = bytes.clone();
        } else {
            if self.all.is_empty() {
                self.all.extend_from_slice(&self.first);
            }
            self.all.extend_from_slice(bytes);
        }
    }

    fn as_slice(&self) -> &[u8] {
        if self.all.is_empty() {
            &self.first
        } else {
            &self.all
        }
    }
}

/// Events that are held until they are whole.
#[derive(Debug, Default)]
pub(super) struct Filter {
    held: BytesMut,
    /// So many of these bytes hold no end of an event.
    searched: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Glimpse {
    usage: Option<RawUsage>,
    model: Option<Value>,
    choices: Option<Vec<GlimpsedChoice>>,
    /// Of `/v1/responses`: the last event carries the whole response.
    response: Option<Inner>,
    status: Option<Value>,
    id: Option<Value>,
    object: Option<Value>,
    expires_at: Option<Value>,
    error: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GlimpsedChoice {
    finish_reason: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner {
    usage: Option<RawUsage>,
    model: Option<Value>,
}

impl Observer {
    pub(super) fn blind() -> Self {
        Self::Blind(Seen::default())
    }

    pub(super) fn whole() -> Self {
        Self::Whole(Seen::default(), Kept::default())
    }

    /// Of a stream that ends in this way.
    pub(super) fn events(end: StreamEnd) -> Self {
        let seen = Seen {
            last: end.types(),
            ..Seen::default()
        };
        Self::Events(seen, Splitter::default())
    }

    pub(super) fn filtered() -> Self {
        Self::Filtered(Seen::default(), Filter::default())
    }

    /// Takes the next bytes; gives those that go on, which may be none.
    pub(super) fn take(&mut self, bytes: Bytes) -> Bytes {
        self.seen_mut().bytes += bytes.len() as u64;
        match self {
            Self::Blind(_) => bytes,
            Self::Whole(_, kept) => {
                kept.add(&bytes);
                bytes
            }
            Self::Events(seen, splitter) => {
                let mut events = Vec::new();
                // An event too large to look at is the client's business.
                let _ = splitter.push(&bytes, &mut events);
                for event in events {
                    seen.event(&event.data, event.is_error);
                }
                bytes
            }
            Self::Filtered(seen, filter) => filter.take(&bytes, seen),
        }
    }

    /// The answer is over; gives what was still held.
    pub(super) fn end(&mut self) -> Bytes {
        match self {
            Self::Blind(_) => Bytes::new(),
            Self::Whole(seen, kept) => {
                if let Ok(glimpse) = serde_json::from_slice::<Glimpse>(kept.as_slice()) {
                    seen.glimpse(glimpse);
                }
                seen.ended = true;
                Bytes::new()
            }
            Self::Events(seen, splitter) => {
                if let Some(event) = std::mem::take(splitter).finish() {
                    seen.event(&event.data, event.is_error);
                }
                Bytes::new()
            }
            Self::Filtered(_, filter) => filter.held.split().freeze(),
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        match self {
            Self::Blind(seen)
            | Self::Whole(seen, _)
            | Self::Events(seen, _)
            | Self::Filtered(seen, _) => seen,
        }
    }

    fn seen_mut(&mut self) -> &mut Seen {
        match self {
            Self::Blind(seen)
            | Self::Whole(seen, _)
            | Self::Events(seen, _)
            | Self::Filtered(seen, _) => seen,
        }
    }
}

impl Seen {
    fn event(&mut self, data: &[u8], is_error: bool) {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.ended = true;
        } else if is_error {
            self.error = Some(error_text(data));
            self.ended = true;
        } else if self.is_worth_a_look(data)
            && let Ok(glimpse) = serde_json::from_slice::<Glimpse>(data)
        {
            self.glimpse(glimpse);
        }
    }

    /// Most events are a word of an answer, and are not read.
    fn is_worth_a_look(&self, data: &[u8]) -> bool {
        self.model.is_none()
            || contains(data, b"\"usage\":{")
            || contains(data, b"\"usage\": {")
            || contains(data, b"\"thread.run\"")
            || contains(data, b"\"finish_reason\":\"")
            || contains(data, b"\"finish_reason\": \"")
            || contains(data, b"\"error\"")
            || self.last.iter().any(|kind| contains(data, kind.as_bytes()))
    }

    fn glimpse(&mut self, glimpse: Glimpse) {
        self.run(&glimpse);
        let inner = glimpse.response.unwrap_or_default();
        let usage = glimpse.usage.or(inner.usage);
        if let Some(usage) = usage.map(Usage::from)
            && usage != Usage::default()
        {
            self.usage = Some(usage);
        }
        if self.model.is_none() {
            let model = glimpse.model.or(inner.model);
            self.model = model.and_then(|model| model.as_str().map(str::to_owned));
        }
        let finished =
            |choice: &GlimpsedChoice| choice.finish_reason.as_ref().is_some_and(Value::is_string);
        let kind = glimpse.kind.as_ref().and_then(Value::as_str);
        let is_last = kind.is_some_and(|kind| self.last.contains(&kind));
        if is_last || glimpse.choices.iter().flatten().any(finished) {
            self.ended = true;
        }
        if let Some(error) = glimpse.error.filter(|error| !error.is_null())
            && glimpse.status.is_none()
            && glimpse.choices.is_none()
            && glimpse.kind.is_none_or(|kind| kind == "error")
        {
            self.error = Some(error_text(error.to_string().as_bytes()));
            self.ended = true;
        }
    }
}

impl Seen {
    /// A run that was seen open and then ended is counted once.
    fn run(&mut self, glimpse: &Glimpse) {
        let text = |value: &Option<Value>| value.as_ref()?.as_str().map(str::to_owned);
        if text(&glimpse.object).as_deref() != Some("thread.run") {
            return;
        }
        let Some(id) = text(&glimpse.id) else { return };
        let has_ended = matches!(
            text(&glimpse.status).as_deref(),
            Some("completed" | "failed" | "cancelled" | "expired" | "incomplete")
        );
        let before = self.run.take();
        let was_open = before.as_ref().is_some_and(|run| run.was_open);
        let expires_at = glimpse.expires_at.as_ref().and_then(Value::as_i64);
        self.run = Some(SeenRun {
            id,
            was_open: was_open || !has_ended,
            has_ended,
            expires_at: expires_at.or(before.and_then(|run| run.expires_at)),
        });
    }
}

impl Filter {
    /// Whole events go on as they came, but for the one that only counts.
    fn take(&mut self, bytes: &Bytes, seen: &mut Seen) -> Bytes {
        self.held.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while let Some(end) = self.end_of_event() {
            let event = self.held.split_to(end);
            let mut splitter = Splitter::default();
            let mut events = Vec::new();
            let _ = splitter.push(&event, &mut events);
            let mut only_counts = !events.is_empty();
            for event in &events {
                seen.event(&event.data, event.is_error);
                only_counts &= is_usage_alone(&event.data);
            }
            if !only_counts {
                out.unsplit(event);
            }
        }
        if self.held.len() > HELD_BYTES {
            out.unsplit(self.held.split());
            self.searched = 0;
        }
        out.freeze()
    }

    /// Where the first event ends: behind its blank line. No byte is looked at twice, but for those
    /// that a blank line may begin with.
    fn end_of_event(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(3);
        let end = end_of_event(&self.held[from..]);
        self.searched = if end.is_some() { 0 } else { self.held.len() };
        end.map(|end| from + end)
    }
}

/// The chunk that OpenAI sends behind the last choice: `"choices":[]` and a usage.
fn is_usage_alone(data: &[u8]) -> bool {
    contains(data, b"\"usage\"")
        && serde_json::from_slice::<Glimpse>(data).is_ok_and(|glimpse| {
            glimpse.usage.is_some() && glimpse.choices.is_some_and(|choices| choices.is_empty())
        })
}

/// Behind the first blank line.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    let lf = bytes
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .map(|at| at + 2);
    let crlf = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4);
    match (lf, crlf) {
        (Some(lf), Some(crlf)) => Some(lf.min(crlf)),
        (lf, crlf) => lf.or(crlf),
    }
}

fn contains(data: &[u8], needle: &[u8]) -> bool {
    data.windows(needle.len()).any(|window| window == needle)
}

fn error_text(data: &[u8]) -> String {
    let value: Value = serde_json::from_slice(data).unwrap_or_default();
    let message = [&value["error"]["message"], &value["message"], &value]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or("The provider reported an error.");
    message.chars().take(1_000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n\
        data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";

    fn through(mut observer: Observer, size: usize) -> (String, Observer) {
        let mut out = Vec::new();
        for piece in STREAM.as_bytes().chunks(size) {
            out.extend_from_slice(&observer.take(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&observer.end());
        (String::from_utf8(out).unwrap(), observer)
    }

    #[test]
    fn a_stream_is_watched_without_being_touched() {
        for size in [1, 7, 10_000] {
            let (out, observer) = through(Observer::events(StreamEnd::Done), size);
            assert_eq!(out, STREAM);
            let seen = observer.seen();
            assert_eq!(seen.usage.unwrap().prompt_tokens, 3);
            assert_eq!(seen.model.as_deref(), Some("m-1"));
            assert!(seen.ended && seen.error.is_none());
        }
    }

    #[test]
    fn the_counts_that_only_we_asked_for_are_taken_out() {
        for size in [1, 7, 10_000] {
            let (out, observer) = through(Observer::filtered(), size);
            assert!(!out.contains("usage"), "{out}");
            assert_eq!(out.matches("data: ").count(), 3);
            assert_eq!(observer.seen().usage.unwrap().completion_tokens, 2);
            assert!(observer.seen().ended);
        }
    }

    #[test]
    fn an_event_that_does_not_end_is_not_held_for_ever() {
        let mut observer = Observer::filtered();
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let (mut out, mut most) = (0, 0);
        for index in 1..=64 {
            out += observer.take(piece.clone()).len();
            most = most.max(index * piece.len() - out);
        }
        assert!(most <= HELD_BYTES, "{most}");
        assert_eq!(out + observer.end().len(), 64 * piece.len());
    }

    #[test]
    fn an_object_is_read_at_its_end() {
        let mut observer = Observer::whole();
        let body = br#"{"model":"m","usage":{"input_tokens":4,"output_tokens":1},"choices":1}"#;
        observer.take(Bytes::from_static(body));
        observer.end();
        // `choices` of another type than expected: nothing is said rather than something wrong.
        assert_eq!(observer.seen().usage, None);
        let mut observer = Observer::whole();
        let body = br#"{"model":"m","usage":{"input_tokens":4,"output_tokens":1}}"#;
        observer.take(Bytes::from_static(body));
        observer.end();
        assert_eq!(observer.seen().usage.unwrap().prompt_tokens, 4);
    }

    #[test]
    fn errors_in_a_stream_are_seen() {
        let mut observer = Observer::events(StreamEnd::Done);
        observer.take(Bytes::from_static(
            b"event: error\ndata: {\"error\":{\"message\":\"busy\"}}\n\n",
        ));
        assert_eq!(observer.seen().error.as_deref(), Some("busy"));
        let mut observer = Observer::events(StreamEnd::Done);
        observer.take(Bytes::from_static(
            b"data: {\"error\":{\"message\":\"busy\"}}\n\n",
        ));
        assert_eq!(observer.seen().error.as_deref(), Some("busy"));
    }

    #[test]
    fn a_stream_ends_with_its_own_last_event_and_no_other() {
        let ended = |data: &str| {
            let mut observer = Observer::events(StreamEnd::Event(&["response.completed"]));
            let first = "data: {\"type\":\"response.created\",\"response\":{\"model\":\"m\"}}\n\n";
            observer.take(Bytes::from(format!("{first}data: {data}\n\n")));
            observer.seen().ended
        };
        assert!(ended(
            "{\"type\":\"response.completed\",\"response\":{\"usage\":null}}"
        ));
        assert!(ended("[DONE]"));
        assert!(!ended(
            "{\"type\":\"response.output_text.done\",\"text\":\"response.completed\"}"
        ));
        assert!(!ended("{\"type\":\"speech.audio.done\"}"));
    }
}
