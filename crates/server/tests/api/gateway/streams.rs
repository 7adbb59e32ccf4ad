//! Server-sent events: frames as the provider sent them, and an end that tells the truth.

use loomgate_testkit::upstream::{Gate, Reply};
use serde_json::{Value, json};

use super::stage::{Stage, question};
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
