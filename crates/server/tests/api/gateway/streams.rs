//! Server-sent events: frames as the provider sent them, and an end that tells the truth.

use loomgate_testkit::upstream::{Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    logs::records,
    stage::{Stage, question},
};
use crate::app::Answer;

const EVENTS: (&str, &str) = ("content-type", "text/event-stream; charset=utf-8");

fn stream(stage: &Stage, path: &str, slug: &str) -> reqwest::RequestBuilder {
    let mut body = question();
    body["stream"] = json!(true);
    let request = stage.post(path, &body);
    request.header("x-portkey-virtual-key", slug)
}

/// What stands behind `event: error`.
#[track_caller]
fn error_event(text: &str) -> Value {
    let (_, data) = text.split_once("event: error\ndata: ").expect(text);
    let data = data.strip_suffix("\n\n").expect(data);
    serde_json::from_str(data).unwrap()
}

#[tokio::test]
async fn frames_are_handed_on_as_they_are() {
    let stage = Stage::start().await;
    let pieces = [
        ": a comment\r\n\r\n",
        "event: thread.run.created\r\ndata: {\"id\":\"run_1\",  \"thread_id\":\"thread_1\"}\r\n\r\n",
        "id: 7\nretry: 10\nevent: thread.message.delta\ndata: {\"a\":\ndata: 1}\n\n",
        "data:no-space\n\n:\n\n",
        "event: done\ndata: [DONE]\n\n",
    ];
    for path in [
        "/v1/threads/runs",
        "/v1/threads/t/runs",
        "/v1/threads/t/runs/r/submit_tool_outputs",
    ] {
        stage.providers[0].push(Reply::chunked(
            &[EVENTS, ("x-request-id", "req_1")],
            &pieces,
        ));
        let answer = Answer::of(stream(&stage, path, "up-one")).await;
        assert_eq!(answer.text, pieces.concat());
        assert_eq!(answer.header("content-type"), EVENTS.1);
        assert_eq!(answer.header("x-request-id"), "req_1");
        let body: Value = serde_json::from_slice(&stage.received().bytes).unwrap();
        assert_eq!(body.get("stream_options"), None);
    }
    stage.stop().await;
}

#[tokio::test]
async fn each_word_goes_on_when_it_comes() {
    let stage = Stage::start().await;
    let gate = Gate::new();
    stage.providers[0].push(Reply::gated("one two", &gate));
    let mut answer = stream(&stage, "/v1/chat/completions", "one")
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    for word in ["one", "two"] {
        gate.release(1);
        while !text.contains(word) {
            let chunk = answer.chunk().await.unwrap().expect("more");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
    text.push_str(&answer.text().await.unwrap());
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    // The counts that only the gateway asked for are not the caller's.
    assert!(!text.contains("prompt_tokens"), "{text}");
    assert_eq!(
        stage.received().body["stream_options"]["include_usage"],
        true
    );
    stage.stop().await;
}

#[tokio::test]
async fn whoever_asks_for_the_counts_gets_them() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::text("one two"));
    let mut body = question();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let call = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-virtual-key", "one");
    let answer = Answer::of(call).await;
    assert!(
        answer.text.contains("\"prompt_tokens\":10"),
        "{}",
        answer.text
    );
    assert_eq!(stage.received().bytes, body.to_string());
    stage.stop().await;
}

#[tokio::test]
async fn a_provider_that_refuses_to_count_is_asked_again_without() {
    let stage = Stage::start().await;
    let refusal = json!({"error": {"message": "Unknown parameter: 'stream_options'."}});
    stage.providers[0].push(Reply::status(400, refusal, &[]));
    stage.providers[0].push(Reply::text("one"));
    stage.providers[0].push(Reply::text("two"));
    for _ in 0..2 {
        let answer = Answer::of(stream(&stage, "/v1/chat/completions", "one")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("x-portkey-retry-attempt-count"), "0");
    }
    let asked: Vec<_> = stage.providers[0].requests();
    let asked = asked
        .iter()
        .map(|request| request.body.get("stream_options").is_some());
    assert_eq!(asked.collect::<Vec<_>>(), [true, false, false]);
    stage.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_event() {
    let stage = Stage::start().await;
    let half = "event: thread.message.delta\ndata: {\"hal";
    for (path, slug, reply) in [
        (
            "/v1/chat/completions",
            "one",
            Reply::text("one two three").reset_after(2),
        ),
        // Ended in good order, but not complete: the same to whoever reads it.
        (
            "/v1/chat/completions",
            "one",
            Reply::text("one two three").end_after(2),
        ),
        (
            "/v1/threads/runs",
            "up-one",
            Reply::chunked(&[EVENTS], &[half]).broken(),
        ),
        (
            "/v1/threads/t/runs",
            "up-one",
            Reply::chunked(&[EVENTS], &["data: {}\n\n"]),
        ),
        (
            "/v1/responses",
            "one",
            Reply::chunked(&[EVENTS], &["data: {}\n\n"]).broken(),
        ),
    ] {
        stage.providers[0].push(reply);
        let answer = Answer::of(stream(&stage, path, slug)).await;
        assert_eq!(answer.status, 200);
        let error = error_event(&answer.text);
        assert_eq!(
            error["error"]["code"], "upstream_cut",
            "{path}: {}",
            answer.text
        );
        assert_eq!(error["error"]["type"], "server_error");
        assert!(!answer.text.contains("[DONE]"), "{}", answer.text);
    }
    stage.stop().await;
}

/// Kinds of streams: a path, an event in the middle, and the last ones.
const KINDS: [(&str, &str, &[&str]); 9] = [
    (
        "/v1/chat/completions",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}",
        &[
            "[DONE]",
            "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
        ],
    ),
    (
        "/v1/completions",
        "{\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}",
        &[
            "[DONE]",
            "{\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\": \"length\"}]}",
        ],
    ),
    (
        "/v1/responses",
        "{\"type\":\"response.output_text.delta\",\"delta\":\"response.completed\"}",
        &[
            "{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}",
            "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\"}}}",
            "{\"type\":\"response.incomplete\",\"response\":{}}",
            "[DONE]",
        ],
    ),
    (
        "/v1/messages",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"a\"}}",
        &["{\"type\":\"message_stop\"}"],
    ),
    (
        "/v1/audio/speech",
        "{\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}",
        &["{\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}"],
    ),
    (
        "/v1/audio/transcriptions",
        "{\"type\":\"transcript.text.delta\",\"delta\":\"a\"}",
        &["{\"type\":\"transcript.text.done\",\"text\":\"a\"}"],
    ),
    (
        "/v1/images/generations",
        "{\"type\":\"image_generation.partial_image\",\"b64_json\":\"AAAA\"}",
        &["{\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\"}"],
    ),
    (
        "/v1/images/edits",
        "{\"type\":\"image_edit.partial_image\",\"b64_json\":\"AAAA\"}",
        &["{\"type\":\"image_edit.completed\",\"b64_json\":\"AAAA\"}"],
    ),
    (
        "/v1/threads/runs",
        "{\"object\":\"thread.message.delta\"}",
        &["[DONE]"],
    ),
];

#[tokio::test]
async fn every_kind_of_stream_is_whole_with_its_last_event_and_cut_without() {
    let stage = Stage::start().await;
    let event = |data: &str| format!("event: x\ndata: {data}\n\n");
    for (path, middle, lasts) in KINDS {
        let middle = event(middle);
        let told = async |reply: Reply| {
            stage.providers[0].push(reply);
            Answer::of(stream(&stage, path, "up-one")).await.text
        };
        for last in lasts {
            let last = event(last);
            let text = told(Reply::chunked(&[EVENTS], &[&middle, &last])).await;
            assert_eq!(text, middle.clone() + &last, "{path}");
        }
        let ended = Reply::chunked(&[EVENTS], &[&middle, ": goodbye\n\n"]);
        let broken = Reply::chunked(&[EVENTS], &[&middle]).broken();
        for reply in [ended, broken] {
            let text = told(reply).await;
            assert!(text.starts_with(&middle), "{path}: {text}");
            let error = error_event(&text);
            assert_eq!(error["error"]["code"], "upstream_cut", "{path}: {text}");
            assert_eq!(error["error"]["type"], "server_error", "{path}");
            let is_typed = middle.contains("\"type\"");
            assert_eq!(error["type"] == "error", is_typed, "{path}: {text}");
        }
    }
    // What nobody knows the end of is not judged.
    stage.providers[0].push(Reply::chunked(&[EVENTS], &["data: {}\n\n", ": x\n\n"]));
    let answer = Answer::of(stream(&stage, "/v1/things", "up-one")).await;
    assert_eq!(answer.text, "data: {}\n\n: x\n\n");
    stage.stop().await;
}

#[tokio::test]
async fn a_response_that_is_read_again_is_judged_and_not_counted_again() {
    let stage = Stage::start().await;
    let again = |trace: &str| {
        let request = stage.request(Method::GET, "/v1/responses/resp_1?stream=true");
        let request = request.header("x-portkey-virtual-key", "one");
        request.header("x-portkey-trace-id", trace)
    };
    let usage = json!({"input_tokens": 7, "output_tokens": 3});
    let response = json!({"model": "m", "usage": usage});
    let last = json!({"type": "response.completed", "response": response});
    let last = format!("data: {last}\n\n");
    stage.providers[0].push(Reply::chunked(&[EVENTS], &[": x\n\n", &last]));
    assert_eq!(
        Answer::of(again("whole")).await.text,
        format!(": x\n\n{last}")
    );
    let record = records(&stage, "whole", 1).await.remove(0);
    assert_eq!((record.usage, record.error), (None, None));
    stage.providers[0].push(Reply::chunked(&[EVENTS], &[": x\n\n", "data: {}\n\n"]));
    error_event(&Answer::of(again("cut")).await.text);
    let record = records(&stage, "cut", 1).await.remove(0);
    assert!(
        record
            .error
            .unwrap()
            .contains("before its answer was complete")
    );
    stage.stop().await;
}

#[tokio::test]
async fn half_an_answer_does_not_pass_a_guardrail_as_a_whole_one() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::text("one two three").end_after(2));
    let fine = json!([{"default.contains": {"operator": "any", "words": ["one"]}}]);
    let config = json!({"virtual_key": "one", "output_guardrails": fine});
    let mut body = question();
    body["stream"] = json!(true);
    let call = stage.call(&config).json(&body);
    let answer = Answer::of(call).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], "upstream_cut");
    stage.stop().await;
}

#[tokio::test]
async fn nothing_is_tried_again_once_a_byte_went_out() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::text("one two three").reset_after(2));
    let config = json!({
        "strategy": {"mode": "fallback"},
        "targets": [{"virtual_key": "one", "retry": {"attempts": 2}}, {"virtual_key": "two"}],
    });
    let mut body = question();
    body["stream"] = json!(true);
    let call = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-config", config.to_string());
    let answer = Answer::of(call).await;
    error_event(&answer.text);
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn an_event_without_an_end_is_bounded() {
    let stage = Stage::start().await;
    let piece = "x".repeat(1024 * 1024);
    let pieces: Vec<&str> = std::iter::once("data: ")
        .chain((0..24).map(|_| &*piece))
        .collect();
    stage.providers[0].push(Reply::chunked(&[EVENTS], &pieces));
    let mut answer = stream(&stage, "/v1/chat/completions", "one")
        .send()
        .await
        .unwrap();
    // Were it held until its end, nothing would come before all of it is there.
    let mut first = None;
    while let Ok(Some(chunk)) = answer.chunk().await {
        first.get_or_insert(chunk.len());
    }
    assert!(
        first.is_some_and(|length| length < 20 * 1024 * 1024),
        "{first:?}"
    );
    stage.stop().await;
}
