//! `x-portkey-strict-open-ai-compliance: false` and its like in configs: answers that are converted
//! have more than OpenAI's fields; others come as they are either way.

use loomgate_testkit::upstream::Reply;
use serde_json::{Value, json};

use super::{
    runs::{assistant, begin, settled},
    stage::{Stage, question, to},
};
use crate::app::Answer;

const CLAUDE: &str = "[virtual_keys.claude]\nprovider = 'anthropic'\nbase_url = '{one}'\n\
                      api_key = 'sk-ant-stage-0123456789'\n";
const HEADER: &str = "x-portkey-strict-open-ai-compliance";

/// What Claude thought and said.
fn blocks() -> Value {
    json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "text", "text": "Hello."},
    ])
}

fn message() -> Reply {
    let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 2});
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5",
        "content": blocks(), "stop_reason": "end_turn", "usage": usage,
    });
    Reply::status(200, message, &[])
}

fn events() -> Reply {
    let start =
        json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 3}}});
    let begin = |index, block| json!({"type": "content_block_start", "index": index, "content_block": block});
    let more =
        |index, delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let events = [
        start,
        begin(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        more(0, json!({"type": "thinking_delta", "thinking": "Hm."})),
        more(0, json!({"type": "signature_delta", "signature": "sig"})),
        begin(1, json!({"type": "text", "text": ""})),
        more(1, json!({"type": "text_delta", "text": "Hello."})),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let events = events.map(|event| format!("data: {event}\n\n"));
    Reply::chunked(
        &[("content-type", "text/event-stream")],
        &[&events.concat()],
    )
}

#[tokio::test]
async fn only_false_lets_more_fields_through() {
    let stage = Stage::start_with(CLAUDE).await;
    let strict =
        |strict: bool| json!({"virtual_key": "claude", "strict_open_ai_compliance": strict});
    for (config, header, is_lenient) in [
        (to("claude"), None, false),
        (to("claude"), Some("true"), false),
        (to("claude"), Some("no"), false),
        (to("claude"), Some("false"), true),
        (strict(false), None, true),
        (strict(true), None, false),
        (strict(true), Some("false"), true),
    ] {
        stage.providers[0].push(message());
        let mut call = stage.call(&config);
        if let Some(header) = header {
            call = call.header(HEADER, header);
        }
        let answer = Answer::of(call).await.json();
        let message = &answer["choices"][0]["message"];
        assert_eq!(message["content"], "Hello.");
        let usage = &answer["usage"];
        assert_eq!(
            (&usage["prompt_tokens"], &usage["total_tokens"]),
            (&json!(10), &json!(12))
        );
        let expected = if is_lenient { blocks() } else { Value::Null };
        assert_eq!(message["content_blocks"], expected, "{config} {header:?}");
        let expected = if is_lenient { json!(7) } else { Value::Null };
        assert_eq!(
            usage["cache_read_input_tokens"], expected,
            "{config} {header:?}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn streams_tell_their_thoughts_only_where_they_may() {
    let stage = Stage::start_with(CLAUDE).await;
    let mut body = question();
    body["stream"] = json!(true);
    for header in ["true", "false"] {
        stage.providers[0].push(events());
        let call = stage.call(&to("claude")).header(HEADER, header).json(&body);
        let text = Answer::of(call).await.text;
        assert!(text.contains("\"content\":\"Hello.\""), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        for thought in ["{\"thinking\":\"Hm.\"}", "{\"signature\":\"sig\"}"] {
            let block = format!("\"content_blocks\":[{{\"index\":0,\"delta\":{thought}}}]");
            assert_eq!(text.contains(&block), header == "false", "{text}");
        }
        assert_eq!(text.contains("content_blocks"), header == "false", "{text}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_kept_has_the_form_that_was_asked_for() {
    let stage = Stage::start_with(CLAUDE).await;
    let config = json!({"virtual_key": "claude", "cache": {"mode": "simple"}});
    for (header, expected) in [
        ("false", "MISS"),
        ("true", "MISS"),
        ("false", "HIT"),
        ("true", "HIT"),
    ] {
        if expected == "MISS" {
            stage.providers[0].push(message());
        }
        let answer = Answer::of(stage.call(&config).header(HEADER, header)).await;
        assert_eq!(
            answer.header("x-portkey-cache-status"),
            expected,
            "{header}"
        );
        let has_blocks = answer.text.contains("content_blocks");
        assert_eq!(has_blocks, header == "false", "{}", answer.text);
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_is_not_converted_comes_as_it_is() {
    let stage = Stage::start().await;
    let body =
        "{\"choices\": [{\"message\": {\"content\": \"x\",  \"reasoning_content\": \"Hm.\"}}]}";
    for header in ["true", "false"] {
        let json = [("content-type", "application/json")];
        stage.providers[0].push(Reply::exact(200, &json, body));
        let answer = Answer::of(stage.call(&to("one")).header(HEADER, header)).await;
        assert_eq!(answer.text, body, "{header}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_model_calls_of_runs_are_always_strict() {
    let stage = Stage::start_with(CLAUDE).await;
    stage.providers[0].push(events());
    let assistant = assistant(&stage, "claude-opus-5").await;
    let with = |request: reqwest::RequestBuilder| {
        let request = request.header("x-portkey-virtual-key", "claude");
        request.header(HEADER, "false")
    };
    let run = begin(&stage, &assistant, with).await;
    let run = settled(&stage, &run, "completed").await;
    let thread = run["thread_id"].as_str().unwrap();
    let path = format!("/v1/threads/{thread}/messages");
    let list = Answer::of(stage.request(reqwest::Method::GET, &path))
        .await
        .json();
    let content = &list["data"][0]["content"];
    assert_eq!(content.as_array().unwrap().len(), 1, "{content}");
    assert_eq!(content[0]["text"]["value"], "Hello.");
    stage.stop().await;
}
