//! Runs with pictures, a JSON format and a function at once: asked in each vendor's own words, and the
//! same for the client as with OpenAI.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::{
        runs::{path, settled},
        stage::Stage,
    },
    VENDORS, Vendor, stage,
};
use crate::{app::Answer, files::with_form};

const PICTURE: &str = "https://example.com/cat.png";

/// The beginning of every PNG, and the same in base64.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const PNG_BASE64: &str = "iVBORw0KGgoAAAANSUhEUg==";

/// One word, so that each vendor says it in one piece.
const ANSWER: &str = "{\"name\":\"Ann\"}";

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": false,
    })
}

fn json_schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema(), "strict": true}})
}

async fn picture(stage: &Stage) -> Value {
    let parts = [
        ("purpose", None, b"vision".as_slice()),
        ("file", Some("cat.png"), PNG),
    ];
    let answer = Answer::of(with_form(stage.request(Method::POST, "/v1/files"), &parts)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["id"].clone()
}

/// What a client sees of a run, without what is never the same twice.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    run: Value,
    messages: Value,
    steps: Value,
    /// The stream's events, where there was one; a row of deltas counts once.
    events: Vec<String>,
    /// What the deltas said, put together.
    said: String,
}

/// Without ids, times and the model's name.
fn bare(value: &Value) -> Value {
    let is_its_own = |key: &str| {
        matches!(key, "id" | "model" | "first_id" | "last_id")
            || key.ends_with("_at")
            || (key.ends_with("_id") && key != "file_id")
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, value)| value.is_null() || !is_its_own(key))
            .map(|(key, value)| (key.clone(), bare(value)))
            .collect(),
        Value::Array(items) => items.iter().map(bare).collect(),
        other => other.clone(),
    }
}

impl Seen {
    /// Takes what came of a call; gives the run, which has this status.
    async fn take(&mut self, stage: &Stage, answer: &Answer, status: &str) -> Value {
        assert_eq!(answer.status, 200, "{}", answer.text);
        if answer.header("content-type") == "application/json" {
            return settled(stage, &answer.json(), status).await;
        }
        let mut run = Value::Null;
        for frame in answer.text.split_terminator("\n\n") {
            let field = |name| frame.lines().find_map(|line| line.strip_prefix(name));
            let (Some(event), Some(data)) = (field("event: "), field("data: ")) else {
                panic!("{frame}");
            };
            let data: Value = serde_json::from_str(data).unwrap_or_default();
            if event.split('.').next_back() == Some("delta") {
                let delta = &data["delta"];
                let words = &delta["content"][0]["text"]["value"];
                let calls = &delta["step_details"]["tool_calls"];
                let arguments = &calls[0]["function"]["arguments"];
                self.said
                    .extend([words, arguments].map(|it| it.as_str().unwrap_or_default()));
            }
            if event == format!("thread.run.{status}") {
                run = data;
            }
            if self.events.last().is_none_or(|last| last != event) {
                self.events.push(event.to_owned());
            }
        }
        assert_eq!(run["status"], status, "{}", answer.text);
        run
    }
}

async fn ran(stage: &Stage, vendor: &Vendor, file: &Value, format: &Value, streamed: bool) -> Seen {
    let mut seen = Seen::default();
    let parameters = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let function = json!({"name": "f", "parameters": parameters});
    let assistant = json!({
        "model": vendor.model, "response_format": format,
        "tools": [{"type": "function", "function": function}],
    });
    let assistant = Answer::of(stage.post("/v1/assistants", &assistant)).await;
    assert_eq!(assistant.status, 200, "{}", assistant.text);
    let content = json!([
        {"type": "text", "text": "Who is this? Answer in JSON."},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": file}},
    ]);
    let body = json!({
        "assistant_id": assistant.json()["id"], "stream": streamed,
        "thread": {"messages": [{"role": "user", "content": content}]},
    });
    stage.providers[0].push(vendor.streams("", Some(&json!({"a": 1}))));
    let request = stage
        .post("/v1/threads/runs", &body)
        .header("x-portkey-virtual-key", format!("v-{}", vendor.slug));
    let answer = Answer::of(request).await;
    let run = seen.take(stage, &answer, "requires_action").await;
    vendor.check_head(&stage.received(), true);
    check_form(vendor, &stage.received().body, format);

    stage.providers[0].push(vendor.streams(ANSWER, None));
    let call = &run["required_action"]["submit_tool_outputs"]["tool_calls"][0];
    let outputs = json!({
        "tool_outputs": [{"tool_call_id": call["id"], "output": "42"}], "stream": streamed,
    });
    let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
    let run = seen
        .take(stage, &Answer::of(submit).await, "completed")
        .await;
    // The pictures and the format are told with every turn.
    check_form(vendor, &stage.received().body, format);

    let steps = stage.request(Method::GET, &format!("{}/steps", path(&run)));
    let thread = run["thread_id"].as_str().unwrap();
    let messages = stage.request(Method::GET, &format!("/v1/threads/{thread}/messages"));
    seen.steps = bare(&Answer::of(steps).await.json());
    seen.messages = bare(&Answer::of(messages).await.json());
    seen.run = bare(&run);
    seen
}

/// The pictures, the format and the function in the vendor's own words.
#[track_caller]
fn check_form(vendor: &Vendor, sent: &Value, format: &Value) {
    let is_schema = *format == json_schema();
    let (pictures, asked, function) = match vendor.provider {
        "anthropic" => {
            let asked = if is_schema {
                let expected = json!({"type": "json_schema", "schema": schema()});
                sent["output_config"]["format"] == expected && sent["system"].is_null()
            } else {
                let instruction = sent["system"][0]["text"].as_str().unwrap_or_default();
                instruction.contains("one JSON object") && sent["output_config"].is_null()
            };
            let content = &sent["messages"][0]["content"];
            (
                [content[1].clone(), content[2].clone()]
                    == [
                        json!({"type": "image", "source": {"type": "url", "url": PICTURE}}),
                        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}}),
                    ],
                asked,
                &sent["tools"][0]["name"],
            )
        }
        "google" => {
            let config = &sent["generationConfig"];
            let expected = if is_schema { schema() } else { Value::Null };
            let parts = &sent["contents"][0]["parts"];
            (
                [parts[1].clone(), parts[2].clone()]
                    == [
                        json!({"fileData": {"fileUri": PICTURE, "mimeType": "image/png"}}),
                        json!({"inlineData": {"mimeType": "image/png", "data": PNG_BASE64}}),
                    ],
                config["responseMimeType"] == "application/json"
                    && config["responseJsonSchema"] == expected,
                &sent["tools"][0]["functionDeclarations"][0]["name"],
            )
        }
        _ => {
            let content = &sent["messages"][0]["content"];
            let data = format!("data:image/png;base64,{PNG_BASE64}");
            (
                [content[1].clone(), content[2].clone()]
                    == [
                        json!({"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}}),
                        json!({"type": "image_url", "image_url": {"url": data, "detail": "auto"}}),
                    ],
                sent["response_format"] == *format,
                &sent["tools"][0]["function"]["name"],
            )
        }
    };
    assert!(pictures && asked, "{}: {sent}", vendor.slug);
    assert_eq!(function, "f", "{}: {sent}", vendor.slug);
}

/// That of the first vendor, which is OpenAI: not only the same, but right.
fn check(seen: &Seen, streamed: bool) {
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24});
    for (name, count) in usage.as_object().unwrap() {
        assert_eq!(&seen.run["usage"][name], count, "{seen:?}");
    }
    let words = &seen.messages["data"][0]["content"][0]["text"]["value"];
    assert_eq!(words, ANSWER, "{seen:?}");
    let kinds: Vec<_> = seen.steps["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            assert_eq!(step["usage"]["total_tokens"], 12, "{step}");
            step["type"].as_str().unwrap()
        })
        .collect();
    assert_eq!(kinds, ["message_creation", "tool_calls"]);
    let said = if streamed {
        format!("{{\"a\":1}}{ANSWER}")
    } else {
        String::new()
    };
    assert_eq!(seen.said, said);
    assert_eq!(seen.events.is_empty(), !streamed);
}

#[tokio::test]
async fn a_run_with_pictures_and_a_json_format_is_the_same_at_each() {
    let stage = stage().await;
    let file = picture(&stage).await;
    for format in [json!({"type": "json_object"}), json_schema()] {
        for streamed in [false, true] {
            let mut first = None;
            for vendor in &VENDORS {
                let seen = ran(&stage, vendor, &file, &format, streamed).await;
                match &first {
                    None => {
                        check(&seen, streamed);
                        first = Some(seen);
                    }
                    Some(first) => assert_eq!(seen, *first, "{}", vendor.slug),
                }
            }
        }
    }
    stage.stop().await;
}
