//! Looks at an answer as it goes by: how many tokens it took, which model gave it, whether it came
//! to its end. The bytes themselves are never touched, but for one event: the token counts that
//! the gateway itself asked for.

use bytes::Bytes;
use loomgate_domain::Usage;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::frames::Frames;
use crate::{
    Gathered,
    endpoint::StreamEnd,
    lenient::{Object, Plain},
    usage::RawUsage,
};

/// The most bytes of an answer in one piece that are kept to look for its usage.
const WATCHED_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of the end of a larger one, where the counts stand.
const TAIL_BYTES: usize = 64 * 1024;

/// The most choices of an answer that are told apart.
const CHOICES: usize = 128;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    /// `[DONE]`, a finish reason of each choice, an error or the stream's own last event.
    pub(super) ended: bool,
    /// `[DONE]`: nothing that counts can follow.
    pub(super) is_done: bool,
    /// Why not all that it says is known.
    pub(super) damage: Option<Damage>,
    /// The types of the stream's own last event.
    last: &'static [&'static str],
    /// How many choices were asked for; 0 stands for one.
    choices: usize,
    /// Those that have come to their end.
    finished: Vec<u64>,
    /// The run that the answer is about, where it is about one.
    pub(super) run: Option<SeenRun>,
    /// The stream carried an error of the provider's own.
    pub(super) error: Option<String>,
    pub(super) bytes: u64,
}

/// Why not all that a stream says is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// An event was too large to look at.
    Lost,
    /// The bytes ended within an event.
    Half,
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
    Events(Seen, Frames),
}

/// An object that is kept until it is whole. Of one that is too large only the end is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    gathered: Gathered,
    is_tail: bool,
}

impl Kept {
    fn add(&mut self, bytes: &Bytes) {
        self.gathered.push(bytes.clone());
        self.is_tail |= self.gathered.bytes().len() > WATCHED_BYTES;
        if self.is_tail {
            self.gathered.keep_last(TAIL_BYTES);
        }
    }

    fn glimpse(&self) -> Option<Glimpse<'_>> {
        let kept = self.gathered.bytes();
        if self.is_tail {
            return Some(Glimpse {
                usage: last_field(kept, b"\"usage\""),
                model: last_field(kept, b"\"model\"").unwrap_or_default(),
                ..Glimpse::default()
            });
        }
        serde_json::from_slice(kept).ok()
    }
}

/// The value behind the last occurrence of a name.
fn last_field<'a, T: Deserialize<'a>>(bytes: &'a [u8], name: &[u8]) -> Option<T> {
    let at = memmem::rfind(bytes, name)?;
    let rest = bytes[at + name.len()..].trim_ascii_start();
    let value = rest.strip_prefix(b":")?;
    let mut values = serde_json::Deserializer::from_slice(value).into_iter();
    values.next()?.ok()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Glimpse<'a> {
    usage: Option<RawUsage>,
    model: Plain<'a>,
    choices: Option<Vec<GlimpsedChoice<'a>>>,
    /// Of `/v1/responses`: the last event carries the whole response. In errors it stands for a text.
    response: Object<Inner<'a>>,
    /// Of Anthropic's messages: the first event carries the message so far. In errors it is a text.
    message: Object<Inner<'a>>,
    status: Option<Plain<'a>>,
    id: Plain<'a>,
    object: Plain<'a>,
    expires_at: Plain<'a>,
    error: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Plain<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct GlimpsedChoice<'a> {
    index: Plain<'a>,
    finish_reason: Plain<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Inner<'a> {
    usage: Option<RawUsage>,
    model: Plain<'a>,
}

impl Observer {
    pub(super) fn blind() -> Self {
        Self::Blind(Seen::default())
    }

    pub(super) fn whole(gathered: Gathered) -> Self {
        let is_tail = false;
        Self::Whole(Seen::default(), Kept { gathered, is_tail })
    }

    /// Of a stream that ends in this way; `choices`: how many were asked for.
    pub(super) fn events(end: StreamEnd, choices: usize) -> Self {
        Self::Events(Seen::of(end, choices), Frames::default())
    }

    /// The same, without the event that only counts.
    pub(super) fn filtered(choices: usize) -> Self {
        Self::Events(Seen::of(StreamEnd::Done, choices), Frames::without_counts())
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
            Self::Events(seen, frames) => frames.take(&bytes, seen),
        }
    }

    /// The answer is over; gives what was still held.
    pub(super) fn end(&mut self) -> Bytes {
        match self {
            Self::Blind(_) => Bytes::new(),
            Self::Whole(seen, kept) => {
                if let Some(glimpse) = std::mem::take(kept).glimpse() {
                    seen.glimpse(glimpse);
                }
                seen.ended = true;
                Bytes::new()
            }
            Self::Events(seen, frames) => frames.end(seen),
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        match self {
            Self::Blind(seen) | Self::Whole(seen, _) | Self::Events(seen, _) => seen,
        }
    }

    fn seen_mut(&mut self) -> &mut Seen {
        match self {
            Self::Blind(seen) | Self::Whole(seen, _) | Self::Events(seen, _) => seen,
        }
    }
}

impl Seen {
    fn of(end: StreamEnd, choices: usize) -> Self {
        Self {
            last: end.types(),
            choices: choices.min(CHOICES),
            ..Self::default()
        }
    }

    pub(super) fn event(&mut self, data: &[u8], is_error: bool) {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.ended = true;
            self.is_done = true;
        } else if is_error {
            self.error = Some(error_text(data));
            self.ended = true;
        } else if self.is_worth_a_look(data)
            && let Ok(glimpse) = serde_json::from_slice::<Glimpse<'_>>(data)
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

    fn glimpse(&mut self, glimpse: Glimpse<'_>) {
        self.run(&glimpse);
        let inner = glimpse.response.0.or(glimpse.message.0).unwrap_or_default();
        for usage in [inner.usage, glimpse.usage].into_iter().flatten() {
            let counted = usage.over(self.usage);
            self.usage = counted
                .filter(|usage| *usage != Usage::default())
                .or(self.usage);
        }
        if self.model.is_none() {
            let model = glimpse.model.text().or_else(|| inner.model.text());
            // Azure's first event has an empty one.
            let model = model.filter(|model| !model.is_empty());
            self.model = model.map(str::to_owned);
        }
        let kind = glimpse.kind.as_ref().and_then(Plain::text);
        self.ended |= kind.is_some_and(|kind| self.last.contains(&kind));
        for choice in glimpse.choices.iter().flatten() {
            self.finish(choice);
        }
        if let Some(error) = glimpse.error.filter(|error| !error.is_null())
            && glimpse.status.is_none()
            && glimpse.choices.is_none()
            && glimpse.kind.is_none_or(|kind| kind.text() == Some("error"))
        {
            self.error = Some(error_text(error.to_string().as_bytes()));
            self.ended = true;
        }
    }
}

impl Seen {
    fn finish(&mut self, choice: &GlimpsedChoice<'_>) {
        // Some servers send an empty reason along with every word.
        let reason = choice.finish_reason.text();
        let is_finished = reason.is_some_and(|reason| !reason.is_empty());
        let index = choice.index.count().unwrap_or(0);
        if !is_finished || self.finished.contains(&index) {
            return;
        }
        if self.finished.len() < CHOICES {
            self.finished.push(index);
        }
        self.ended |= self.finished.len() >= self.choices.max(1);
    }

    /// A run that was seen open and then ended is counted once.
    fn run(&mut self, glimpse: &Glimpse<'_>) {
        if glimpse.object.text() != Some("thread.run") {
            return;
        }
        let Some(id) = glimpse.id.text() else { return };
        let status = glimpse.status.as_ref().and_then(Plain::text);
        let has_ended = matches!(
            status,
            Some("completed" | "failed" | "cancelled" | "expired" | "incomplete")
        );
        let before = self.run.take();
        let was_open = before.as_ref().is_some_and(|run| run.was_open);
        let expires_at = glimpse.expires_at.count();
        let expires_at = expires_at.and_then(|seconds| i64::try_from(seconds).ok());
        self.run = Some(SeenRun {
            id: id.to_owned(),
            was_open: was_open || !has_ended,
            has_ended,
            expires_at: expires_at.or(before.and_then(|run| run.expires_at)),
        });
    }
}

/// The chunk that OpenAI sends behind the last choice: `"choices":[]` and a usage.
pub(super) fn is_usage_alone(data: &[u8]) -> bool {
    contains(data, b"\"usage\"")
        && serde_json::from_slice::<Glimpse<'_>>(data).is_ok_and(|glimpse| {
            glimpse.usage.is_some() && glimpse.choices.is_some_and(|choices| choices.is_empty())
        })
}

fn contains(data: &[u8], needle: &[u8]) -> bool {
    memmem::find(data, needle).is_some()
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

    #[test]
    fn an_object_is_read_at_its_end() {
        let mut observer = Observer::whole(Gathered::default());
        let body = br#"{"model":"m","usage":{"input_tokens":4,"output_tokens":1},"choices":1}"#;
        observer.take(Bytes::from_static(body));
        observer.end();
        // `choices` of another type than expected: nothing is said rather than something wrong.
        assert_eq!(observer.seen().usage, None);
        let mut observer = Observer::whole(Gathered::default());
        let body = br#"{"model":"m","usage":{"input_tokens":4,"output_tokens":1}}"#;
        observer.take(Bytes::from_static(body));
        observer.end();
        assert_eq!(observer.seen().usage.unwrap().prompt_tokens, 4);
    }

    #[test]
    fn the_counts_of_a_large_object_stand_at_its_end() {
        let vectors = "0.123,".repeat(WATCHED_BYTES / 6);
        let body = format!(
            "{{\"data\":[{vectors}1],\"model\" : \"m\",\"usage\": {{\"prompt_tokens\":4}}}}\n"
        );
        for size in [1024, 1_000_000, body.len()] {
            let mut observer = Observer::whole(Gathered::default());
            for piece in body.as_bytes().chunks(size) {
                observer.take(Bytes::copy_from_slice(piece));
            }
            observer.end();
            assert_eq!(observer.seen().usage.unwrap().prompt_tokens, 4, "{size}");
            assert_eq!(observer.seen().model.as_deref(), Some("m"));
        }
    }

    #[test]
    fn an_answer_has_ended_when_all_its_choices_have() {
        let mut observer = Observer::events(StreamEnd::Done, 2);
        let end = |index| {
            let choice = format!("{{\"index\":{index},\"finish_reason\":\"stop\"}}");
            Bytes::from(format!("data: {{\"choices\":[{choice}]}}\n\n"))
        };
        for _ in 0..2 {
            observer.take(end(1));
            assert!(!observer.seen().ended);
        }
        observer.take(end(0));
        assert!(observer.seen().ended && !observer.seen().is_done);
    }

    #[test]
    fn errors_in_a_stream_are_seen() {
        let mut observer = Observer::events(StreamEnd::Done, 1);
        observer.take(Bytes::from_static(
            b"event: error\ndata: {\"error\":{\"message\":\"busy\"}}\n\n",
        ));
        assert_eq!(observer.seen().error.as_deref(), Some("busy"));
        let mut observer = Observer::events(StreamEnd::Done, 1);
        observer.take(Bytes::from_static(
            b"data: {\"error\":{\"message\":\"busy\"}}\n\n",
        ));
        assert_eq!(observer.seen().error.as_deref(), Some("busy"));
        let mut observer = Observer::events(StreamEnd::Done, 1);
        observer.take(Bytes::from_static(
            b"data: {\"type\":\"error\",\"message\":\"a text\",\"error\":{\"message\":\"busy\"}}\n\n",
        ));
        assert_eq!(observer.seen().error.as_deref(), Some("busy"));
    }

    #[test]
    fn messages_of_anthropic_count_at_both_ends() {
        let mut observer = Observer::events(StreamEnd::Done, 1);
        observer.take(Bytes::from_static(
            b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c-1\",\
              \"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
              event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\
              \"usage\":{\"output_tokens\":4}}\n\n",
        ));
        let seen = observer.seen();
        let usage = seen.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (9, 4));
        assert_eq!(seen.model.as_deref(), Some("c-1"));
    }

    #[test]
    fn a_stream_ends_with_its_own_last_event_and_no_other() {
        let ended = |data: &str| {
            let mut observer = Observer::events(StreamEnd::Event(&["response.completed"]), 1);
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
