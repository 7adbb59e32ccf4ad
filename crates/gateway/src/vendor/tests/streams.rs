//! Streamed answers, cut wherever a network may cut them.

use serde_json::json;

use super::*;
use crate::sse::{Event, Splitter};

pub(super) const ANTHROPIC_TOOLS: &[u8] = include_bytes!("../fixtures/anthropic/tools.sse");
const ANTHROPIC_OVERLOADED: &[u8] = include_bytes!("../fixtures/anthropic/overloaded.sse");
pub(super) const ANTHROPIC_SEARCHED: &[u8] = include_bytes!("../fixtures/anthropic/searched.sse");
pub(super) const GOOGLE_TOOLS: &[u8] = include_bytes!("../fixtures/google/tools.sse");
pub(super) const GOOGLE_GROUNDED: &[u8] = include_bytes!("../fixtures/google/grounded.sse");
const GOOGLE_BLOCKED: &[u8] = include_bytes!("../fixtures/google/blocked.sse");
const GOOGLE_UNAVAILABLE: &[u8] = include_bytes!("../fixtures/google/unavailable.sse");

pub(super) enum Stream {
    Anthropic(anthropic::ChatStream),
    Google(google::ChatStream),
}

impl Stream {
    fn anthropic() -> Self {
        Self::Anthropic(anthropic::ChatStream::new(facts()))
    }

    fn google() -> Self {
        Self::Google(google::ChatStream::new(facts()))
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), StreamError> {
        match self {
            Self::Anthropic(stream) => stream.event(None, data, out),
            Self::Google(stream) => stream.event(None, data, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamError> {
        match self {
            Self::Anthropic(stream) => stream.finish(out),
            Self::Google(stream) => stream.finish(out),
        }
    }
}

/// The frames that the pieces make, and the error that ended them.
pub(super) fn converted<'a>(
    mut stream: Stream,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Result<(), StreamError>) {
    let mut splitter = Splitter::default();
    let mut out = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        let mut events = Vec::new();
        splitter.push(piece, &mut events).unwrap();
        for Event { data, .. } in events {
            result = result.and_then(|()| stream.event(&data, &mut out));
        }
    }
    let result = result.and_then(|()| stream.finish(&mut out));
    (String::from_utf8(out).unwrap(), result)
}

#[test]
fn streams_come_back_as_recorded_wherever_they_are_cut() {
    for (name, start, bytes) in [
        (
            "anthropic_tools",
            Stream::anthropic as fn() -> Stream,
            ANTHROPIC_TOOLS,
        ),
        (
            "anthropic_overloaded",
            Stream::anthropic,
            ANTHROPIC_OVERLOADED,
        ),
        ("anthropic_searched", Stream::anthropic, ANTHROPIC_SEARCHED),
        ("google_tools", Stream::google, GOOGLE_TOOLS),
        ("google_grounded", Stream::google, GOOGLE_GROUNDED),
        ("google_blocked", Stream::google, GOOGLE_BLOCKED),
        ("google_unavailable", Stream::google, GOOGLE_UNAVAILABLE),
    ] {
        let whole = converted(start(), [bytes]);
        assert_eq!(converted(start(), bytes.chunks(1)), whole, "{name}");
        for cut in 0..bytes.len() {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(
                converted(start(), [before, after]),
                whole,
                "{name} cut at {cut}"
            );
        }
        let (frames, result) = whole;
        golden!(text format!("stream_{name}"), format!("{frames}{result:?}"));
    }
}

#[test]
fn an_overload_in_the_middle_has_its_status() {
    let (_, result) = converted(Stream::anthropic(), [ANTHROPIC_OVERLOADED]);
    let expected = StreamError {
        status: Some(529),
        message: "Overloaded".to_owned(),
    };
    assert_eq!(result.unwrap_err(), expected);
    let (_, result) = converted(Stream::google(), [GOOGLE_UNAVAILABLE]);
    assert_eq!(result.unwrap_err().status, Some(503));
}

#[test]
fn an_answer_without_its_end_is_never_whole() {
    for (start, bytes, ends) in [
        (
            Stream::anthropic as fn() -> Stream,
            ANTHROPIC_TOOLS,
            "message_delta",
        ),
        (Stream::google, GOOGLE_BLOCKED, "blockReason"),
    ] {
        let text = std::str::from_utf8(bytes).unwrap();
        // Nothing that is cut before this event has ended is an answer.
        let end = text.rfind(ends).unwrap();
        for cut in 0..end {
            let (frames, result) = converted(start(), [&bytes[..cut]]);
            assert_eq!(
                result.unwrap_err().message,
                "The provider's answer was cut off."
            );
            assert!(!frames.contains("[DONE]") && !frames.contains("\"finish_reason\":\""));
        }
    }
}

#[test]
fn thoughts_never_get_into_the_answer() {
    for (stream, bytes) in [
        (Stream::anthropic(), ANTHROPIC_TOOLS),
        (Stream::anthropic(), ANTHROPIC_SEARCHED),
        (Stream::google(), GOOGLE_TOOLS),
        (Stream::google(), GOOGLE_GROUNDED),
    ] {
        let (frames, result) = converted(stream, [bytes]);
        assert!(result.is_ok() && !frames.contains("Secret"));
    }
}

#[test]
fn usage_comes_only_where_it_was_asked_for() {
    let facts = AnswerFacts {
        include_usage: false,
        ..facts()
    };
    let stream = Stream::Anthropic(anthropic::ChatStream::new(facts));
    let (frames, result) = converted(stream, [ANTHROPIC_TOOLS]);
    assert!(result.is_ok() && frames.ends_with("data: [DONE]\n\n"));
    assert!(!frames.contains("usage"));
}

#[test]
fn a_call_that_begins_with_its_whole_input_is_told_whole() {
    let mut stream = Stream::anthropic();
    let mut out = Vec::new();
    for event in [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
    ] {
        stream
            .event(event.to_string().as_bytes(), &mut out)
            .unwrap();
    }
    stream.finish(&mut out).unwrap();
    let frames = String::from_utf8(out).unwrap();
    assert!(frames.contains(r#""arguments":"{\"a\":1}""#), "{frames}");
    assert_eq!(
        frames.matches("\"finish_reason\":\"tool_calls\"").count(),
        1
    );
}

#[test]
fn the_last_reason_holds_where_every_event_has_one() {
    let mut stream = Stream::google();
    let mut out = Vec::new();
    for reason in ["STOP", "MAX_TOKENS"] {
        let part = json!({"text": "x"});
        let event = json!({"candidates": [{"content": {"parts": [part]}, "finishReason": reason}]});
        stream
            .event(event.to_string().as_bytes(), &mut out)
            .unwrap();
    }
    stream.finish(&mut out).unwrap();
    let frames = String::from_utf8(out).unwrap();
    assert_eq!(frames.matches("\"content\":\"x\"").count(), 2);
    assert_eq!(frames.matches("\"finish_reason\":\"").count(), 1);
    assert!(frames.contains("\"finish_reason\":\"length\""), "{frames}");
}

#[test]
fn nonsense_in_a_stream_is_an_error() {
    for start in [Stream::anthropic as fn() -> Stream, Stream::google] {
        let error = start().event(b"{\"a\": ", &mut Vec::new()).unwrap_err();
        assert_eq!(error.status, None);
    }
    let nameless = json!({"type": "content_block_start", "content_block": {"type": "tool_use"}});
    let mut stream = Stream::anthropic();
    assert!(
        stream
            .event(nameless.to_string().as_bytes(), &mut Vec::new())
            .is_err()
    );
    let malformed = json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]});
    let mut stream = Stream::google();
    assert!(
        stream
            .event(malformed.to_string().as_bytes(), &mut Vec::new())
            .is_err()
    );
}

#[test]
fn more_calls_than_a_turn_may_have_are_an_error() {
    let call = json!({"functionCall": {"name": "f"}});
    let event = |calls: usize| {
        let parts = vec![call.clone(); calls];
        json!({"candidates": [{"content": {"parts": parts}}]}).to_string()
    };
    let mut stream = Stream::google();
    let mut out = Vec::new();
    stream.event(event(128).as_bytes(), &mut out).unwrap();
    assert!(stream.event(event(1).as_bytes(), &mut out).is_err());
}
