//! Inputs that nobody means well by: everything is an answer or an error, nothing a panic.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, json};

use super::*;

/// Names that conversions look for, so that arbitrary objects get somewhere.
const NAMES: &[&str] = &[
    "type",
    "role",
    "content",
    "text",
    "messages",
    "tools",
    "function",
    "name",
    "arguments",
    "id",
    "tool_calls",
    "parameters",
    "properties",
    "$ref",
    "$defs",
    "anyOf",
    "items",
    "enum",
    "const",
    "candidates",
    "parts",
    "functionCall",
    "args",
    "finishReason",
    "stop_reason",
    "usage",
    "delta",
    "index",
    "content_block",
    "message",
    "error",
    "code",
    "input",
    "values",
    "embeddings",
];

const WORDS: &[&str] = &[
    "",
    "user",
    "assistant",
    "tool",
    "system",
    "text",
    "tool_use",
    "object",
    "array",
    "string",
    "function",
    "#",
    "#/$defs/a",
    "data:a/b;base64,",
    "message_start",
    "content_block_start",
    "content_block_delta",
    "input_json_delta",
    "content_block_stop",
    "message_delta",
    "error",
    "é€😀",
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = prop::sample::select(NAMES).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((name, inner), 0..6).prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

/// Every place of a value, as a JSON pointer.
fn places(value: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                self::places(value, &format!("{at}/{}", escape(name)), places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                self::places(value, &format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
}

fn changed(text: &str, place: prop::sample::Index, put: Value) -> Value {
    let mut value = json(text);
    let mut all = Vec::new();
    places(&value, "", &mut all);
    *value.pointer_mut(place.get::<String>(&all)).unwrap() = put;
    value
}

/// Every conversion of one value. Also of its text, where a conversion reads bytes.
fn convert(value: &Value) {
    for model in ["claude-sonnet-4-5", "claude-opus-5"] {
        anthropic::chat_request(value, model).ok();
    }
    for model in ["gemini-2.5-pro", "gemini-3.8-flash"] {
        google::chat_request(value, model).ok();
    }
    anthropic::chat_response(value, &facts()).ok();
    google::chat_response(value, &facts()).ok();
    anthropic::models(value).ok();
    google::models(value).ok();
    google::embeddings_request(value, "x").ok();
    google::embeddings_response(value, &google::EmbeddingFacts::of(value, "x")).ok();
    let text = value.to_string();
    anthropic::error_body(500, text.as_bytes());
    google::error_body(500, text.as_bytes());
}

/// Two events, one after the other, and the end. What came out are whole frames.
fn stream(events: &[Value]) {
    let mut claude = anthropic::ChatStream::new(facts());
    let mut gemini = google::ChatStream::new(facts());
    let (mut from_claude, mut from_gemini) = (Vec::new(), Vec::new());
    for event in events {
        let data = event.to_string();
        claude.event(None, data.as_bytes(), &mut from_claude).ok();
        gemini.event(None, data.as_bytes(), &mut from_gemini).ok();
    }
    claude.finish(&mut from_claude).ok();
    gemini.finish(&mut from_gemini).ok();
    for out in [from_claude, from_gemini] {
        for frame in String::from_utf8(out).unwrap().split_terminator("\n\n") {
            let data = frame.strip_prefix("data: ").unwrap();
            assert!(data == "[DONE]" || json(data)["object"] == "chat.completion.chunk");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn anything_is_converted_or_refused(value in anything()) {
        convert(&value);
    }

    #[test]
    fn requests_with_anything_in_them_are_converted_or_refused(
        request in prop::sample::select(REQUESTS),
        place in any::<prop::sample::Index>(),
        put in anything(),
    ) {
        convert(&changed(request.1, place, put));
    }

    #[test]
    fn answers_with_anything_in_them_are_converted_or_refused(
        answer in prop::sample::select(&[
            include_str!("../fixtures/anthropic/message.json"),
            include_str!("../fixtures/google/response.json"),
            include_str!("../fixtures/anthropic/models.json"),
        ][..]),
        place in any::<prop::sample::Index>(),
        put in anything(),
    ) {
        let value = changed(answer, place, put);
        convert(&value);
        stream(&[value]);
    }

    #[test]
    fn any_events_make_whole_frames(events in vec(anything(), 0..4)) {
        stream(&events);
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in vec(any::<u8>(), 0..40)) {
        anthropic::ChatStream::new(facts()).event(None, &bytes, &mut Vec::new()).ok();
        google::ChatStream::new(facts()).event(None, &bytes, &mut Vec::new()).ok();
        anthropic::error_body(400, &bytes);
        google::error_body(400, &bytes);
    }

    #[test]
    fn any_model_name_stays_in_its_place(model in ".{0,20}") {
        let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        anthropic::chat_request(&body, &model).unwrap();
        if let Ok(request) = google::chat_request(&body, &model) {
            let base = url::Url::parse("https://host.example/v1beta/").unwrap();
            let url = base.join(&request.path).unwrap();
            prop_assert!(url.path().ends_with(":generateContent"));
            prop_assert_eq!(url.path().split('/').count(), 4);
            prop_assert_eq!(url.query(), None);
        }
    }
}
