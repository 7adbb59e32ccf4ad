use serde_json::json;

use super::*;
use crate::error::Phase;

struct Sevens;

impl IdGen for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn decoder() -> Decoder {
    Decoder::new(Arc::new(Sevens), None)
}

/// The events of these chunks and this ending.
fn decode(chunks: &[Value], ending: Ending) -> Result<Vec<ChatEvent>, Error> {
    let mut decoder = decoder();
    let mut events = VecDeque::new();
    for chunk in chunks {
        decoder.chunk(chunk.to_string().as_bytes(), false, &mut events)?;
    }
    decoder.end(ending, &mut events)?;
    Ok(events.into())
}

fn done(chunks: &[Value]) -> Vec<ChatEvent> {
    decode(chunks, Ending::Said).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "what json! makes is at hand")]
fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

#[expect(clippy::needless_pass_by_value, reason = "what json! makes is at hand")]
fn calls(pieces: Value) -> Value {
    delta(json!({ "tool_calls": pieces }))
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text(text.to_owned())
}

fn started(index: usize, id: &str, name: &str) -> ChatEvent {
    ChatEvent::CallStarted {
        index,
        id: id.to_owned(),
        name: name.to_owned(),
        signature: None,
    }
}

fn arguments(index: usize, text: &str) -> ChatEvent {
    ChatEvent::CallArguments {
        index,
        text: text.to_owned(),
    }
}

const STOP: ChatEvent = ChatEvent::Finished(FinishReason::Stop);
const TOOL_CALLS: ChatEvent = ChatEvent::Finished(FinishReason::ToolCalls);

#[test]
fn words_and_refusals_are_taken_in_every_form() {
    let chunks = [
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "one "})),
        delta(json!({"content": null, "refusal": null, "tool_calls": null})),
        delta(json!({"content": [
            {"type": "thinking", "thinking": []}, {"type": "text", "text": "two"}
        ]})),
        delta(json!({"refusal": "No."})),
        json!({"choices": [], "prompt_filter_results": []}),
        json!({"choices": null}),
        json!({"choices": [{"delta": null, "finish_reason": "stop"}]}),
    ];
    let refusal = ChatEvent::Refusal("No.".to_owned());
    assert_eq!(done(&chunks), [text("one "), text("two"), refusal, STOP]);
}

#[test]
fn finish_reasons_are_translated_once() {
    let reason = |reason: &str| {
        done(&[
            delta(json!({"content": "x"})),
            finish(reason),
            finish("stop"),
        ])
    };
    for (sent, expected) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("eos_token", FinishReason::Stop),
        ("tool_calls", FinishReason::Stop),
    ] {
        assert_eq!(reason(sent), [text("x"), ChatEvent::Finished(expected)]);
    }
    let call = calls(json!([{"index": 0, "id": "c", "function": {"name": "f"}}]));
    for reason in ["stop", "tool_calls", "function_call"] {
        let events = done(&[call.clone(), finish(reason)]);
        assert_eq!(
            events,
            [started(0, "c", "f"), arguments(0, "{}"), TOOL_CALLS]
        );
    }
    let events = done(&[call, finish("length")]);
    assert_eq!(events[1], ChatEvent::Finished(FinishReason::Length));
}

#[test]
fn the_last_usage_holds() {
    let chunks = [
        json!({
            "choices": [{"delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1}
        }),
        finish("stop"),
        json!({"choices": [], "usage": {
            "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3}
        }}),
        json!({"choices": [], "usage": null}),
    ];
    let usage = Usage {
        prompt_tokens: 9,
        completion_tokens: 4,
        cached_tokens: 8,
        reasoning_tokens: 3,
    };
    assert_eq!(done(&chunks), [text("x"), STOP, ChatEvent::Usage(usage)]);
}

#[test]
fn the_first_call_streams_and_the_others_wait_for_it() {
    let mut decoder = decoder();
    let mut events = VecDeque::new();
    let mut take = |chunk: Value| {
        decoder
            .chunk(chunk.to_string().as_bytes(), false, &mut events)
            .unwrap();
        events.drain(..).collect::<Vec<_>>()
    };
    let first = json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]);
    assert_eq!(take(calls(first)), [started(0, "a", "f")]);
    let second = json!([{"index": 2, "id": "c", "function": {"name": "h", "arguments": "3"}}]);
    assert_eq!(take(calls(second)), []);
    let third = json!([{"index": 1, "id": "b", "function": {"name": "g", "arguments": "2"}}]);
    assert_eq!(take(calls(third)), []);
    let more = json!([{"index": 0, "function": {"arguments": "1"}}, {"index": 2, "function": {"arguments": "33"}}]);
    assert_eq!(take(calls(more)), [arguments(0, "1")]);
    assert_eq!(
        take(finish("tool_calls")),
        [
            started(1, "b", "g"),
            arguments(1, "2"),
            started(2, "c", "h"),
            arguments(2, "333"),
            TOOL_CALLS,
        ]
    );
}

/// Two calls `f` and `g` with arguments `{}`, as servers are known to send them.
#[test]
fn calls_are_put_together_whatever_is_missing() {
    let made = "call_777777777777777777777777";
    let cases = [
        // Ids and names repeated in every piece.
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
            ]),
            ("a", "b"),
        ),
        // No index; the pieces that follow name nothing.
        (
            json!([
                {"id": "a", "function": {"name": "f", "arguments": ""}},
                {"function": {"arguments": "{"}},
                {"id": "", "function": {"name": "", "arguments": "}"}},
                {"id": "b", "function": {"name": "g", "arguments": null}},
                {"id": null, "function": {"name": null, "arguments": "{}"}},
            ]),
            ("a", "b"),
        ),
        // Neither index nor id, each call whole, the arguments an object.
        (
            json!([
                {"function": {"name": "f", "arguments": {}}},
                {"function": {"name": "g", "arguments": {}}},
            ]),
            (made, made),
        ),
        // Every call has index 0.
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}},
            ]),
            ("a", "b"),
        ),
        // A new id for every piece.
        (
            json!([
                {"index": 0, "id": "a", "function": {"name": "f"}},
                {"index": 0, "id": "x", "function": {"name": null, "arguments": "{}"}},
                {"index": 1, "id": "b", "function": {"name": "g"}},
                {"index": 1, "id": "y", "function": {"arguments": "{}"}},
            ]),
            ("a", "b"),
        ),
        // Counted from 1, and an empty piece of no call.
        (
            json!([
                {"index": 1, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 2, "id": "b", "function": {"name": "g", "arguments": "{}"}},
                {"index": 3, "function": {"arguments": ""}},
            ]),
            ("a", "b"),
        ),
    ];
    for (pieces, (first, second)) in cases {
        let chunks: Vec<_> = pieces
            .as_array()
            .unwrap()
            .iter()
            .map(|piece| calls(json!([piece])))
            .chain([finish("tool_calls")])
            .collect();
        let events = done(&chunks);
        let mut joined = Vec::new();
        for event in events {
            match (joined.last_mut(), event) {
                (
                    Some(ChatEvent::CallArguments { text, .. }),
                    ChatEvent::CallArguments { text: more, .. },
                ) => text.push_str(&more),
                (_, event) => joined.push(event),
            }
        }
        let expected = [
            started(0, first, "f"),
            arguments(0, "{}"),
            started(1, second, "g"),
            arguments(1, "{}"),
            TOOL_CALLS,
        ];
        assert_eq!(joined, expected, "{pieces}");
    }
}

#[test]
fn a_call_is_told_with_its_signature_and_nothing_else_is_taken_for_one() {
    let call = |id: &str, extra: Value| json!({"index": 0, "id": id, "function": {"name": "f", "arguments": "{}"}, "extra_content": extra});
    for (extra, expected) in [
        (
            json!({"google": {"thought_signature": "c2lnbmVk"}}),
            Some("c2lnbmVk"),
        ),
        (json!({"google": {"thought_signature": ""}}), None),
        (json!({"google": 1}), None),
        (json!("x"), None),
    ] {
        let pieces = [calls(json!([call("a", extra)])), finish("tool_calls")];
        let events = decode(&pieces, Ending::Said).unwrap();
        let ChatEvent::CallStarted { signature, .. } = &events[0] else {
            panic!("{events:?}");
        };
        assert_eq!(signature.as_deref(), expected);
    }
}

#[test]
fn calls_without_a_name_or_without_end_are_refused() {
    let nameless = [
        calls(json!([{"index": 0, "id": "a", "function": {"arguments": "{}"}}])),
        finish("tool_calls"),
    ];
    let error = decode(&nameless, Ending::Said).unwrap_err();
    assert_eq!(
        error.message,
        "The provider sent a function call without a name."
    );

    let endless: Vec<_> = (0..129)
        .map(|index| calls(json!([{"index": index, "function": {"name": "f"}}])))
        .collect();
    let error = decode(&endless, Ending::Said).unwrap_err();
    assert!(error.message.contains("more than 128"), "{}", error.message);

    let megabyte = "x".repeat(1024 * 1024);
    let large: Vec<_> = (0..9)
        .map(|_| calls(json!([{"index": 1, "function": {"name": "f", "arguments": megabyte}}])))
        .collect();
    let message = |chunks: &[Value]| decode(chunks, Ending::Cut).unwrap_err().message;
    assert!(message(&large[..8]).contains("cut off"));
    assert!(message(&large).contains("8 MB"));
    let word = delta(json!({"content": "x"}));
    assert!(message(&[&large[..8], &[word]].concat()).contains("8 MB"));
}

#[test]
fn an_ending_without_a_reason_is_judged_by_what_came() {
    let word = [delta(json!({"content": "x"}))];
    assert_eq!(done(&word), [text("x"), STOP]);
    let call = [calls(
        json!([{"index": 0, "id": "a", "function": {"name": "f"}}]),
    )];
    assert_eq!(
        done(&call),
        [started(0, "a", "f"), arguments(0, "{}"), TOOL_CALLS]
    );
    let nothing = decode(&[delta(json!({"role": "assistant"}))], Ending::Said).unwrap_err();
    assert_eq!((nothing.who, nothing.retryable), (Who::Upstream, true));
    let cut = decode(&word, Ending::Cut).unwrap_err();
    assert_eq!((cut.who, cut.retryable), (Who::Network, true));
    assert_eq!(
        cut.phase,
        Phase::BeforeFirstEvent,
        "the body knows the phase, not the decoder"
    );
    let whole = decode(&[finish("stop")], Ending::Cut).unwrap();
    assert_eq!(whole, [STOP]);
}

#[test]
fn words_about_errors_are_no_errors() {
    let chunk = delta(json!({"content": "\"error\": {\"message\": \"x\"}"}));
    let null = json!({"choices": [{"delta": {"content": "y"}}], "error": null});
    assert_eq!(done(&[chunk, null]).len(), 3);
}

#[test]
fn error_events_are_errors_in_every_shape() {
    let error = |data: &str, is_error| {
        decoder()
            .chunk(data.as_bytes(), is_error, &mut VecDeque::new())
            .unwrap_err()
    };
    assert_eq!(error(r#"{"error":{"message":"a"}}"#, false).message, "a");
    assert_eq!(error(r#"{"error":"b"}"#, false).message, "b");
    assert_eq!(
        error(r#"{"object":"error","message":"c","code":400}"#, true).message,
        "c"
    );
    let plain = error("it broke", true);
    assert_eq!(plain.message, "The provider reported an error.");
    assert_eq!(error(r#"{"choices":7}"#, false).who, Who::Upstream);
}
