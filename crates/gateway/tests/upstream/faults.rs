//! Faults, told apart by the fields of the error.

use bytes::Bytes;
use loomgate_gateway::{Error, Phase, Who};
use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use serde_json::{Value, json};

use super::*;

fn refusal(message: &str) -> Value {
    json!({"error": {"message": message, "type": "some_error", "param": null, "code": null}})
}

fn upstream_error(status: u16, retryable: bool, message: &str, attempts: u32) -> Error {
    Error {
        who: Who::Upstream,
        status: Some(status),
        retryable,
        message: message.to_owned(),
        phase: Phase::BeforeFirstEvent,
        attempts,
    }
}

/// An event stream of these data lines, each an event.
fn events(lines: &[&str]) -> Reply {
    let chunks = lines
        .iter()
        .map(|line| Bytes::from(format!("data: {line}\n\n")));
    Reply::raw_chunks(chunks.collect())
}

const WORD: &str = r#"{"choices":[{"delta":{"content":"one"}}]}"#;

#[tokio::test]
async fn a_refusal_is_returned_at_once() {
    let upstream = FakeUpstream::start().await;
    for status in [400, 401, 403, 404, 409] {
        upstream.push(Reply::status(status, refusal("No."), &[]));
        let error = chat(&upstream).await.unwrap_err();
        assert_eq!(error, upstream_error(status, false, "No.", 1));
    }
    assert_eq!(upstream.count(), 5);
}

#[tokio::test]
async fn a_passing_fault_is_tried_again() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::status(500, refusal("Oops."), &[]));
    upstream.push(Reply::status(
        429,
        refusal("Slow down."),
        &[("retry-after-ms", "2")],
    ));
    upstream.push(Reply::text("one"));
    let events = whole(chat(&upstream).await.unwrap()).await;
    assert_eq!(events[0], text("one"));
    let requests = upstream.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[0].body, requests[2].body);
}

#[tokio::test]
async fn attempts_are_counted_and_end() {
    let upstream = FakeUpstream::start().await;
    for _ in 0..4 {
        upstream.push(Reply::status(503, refusal("Busy."), &[]));
    }
    let error = chat(&upstream).await.unwrap_err();
    assert_eq!(error, upstream_error(503, true, "Busy.", 3));
    assert_eq!(upstream.count(), 3);
}

#[tokio::test]
async fn a_provider_that_wants_a_long_pause_gets_no_other_attempt() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::status(
        429,
        refusal("Later."),
        &[("retry-after", "21")],
    ));
    let error = chat(&upstream).await.unwrap_err();
    assert_eq!(error, upstream_error(429, true, "Later.", 1));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_a_timeout() {
    let upstream = FakeUpstream::start().await;
    for _ in 0..3 {
        upstream.push(Reply::hang());
    }
    let mut target = target(&upstream);
    target.timeouts.first_byte = Duration::from_millis(50);
    let error = turn(&gateway(), &target, &request()).await.unwrap_err();
    assert_eq!((error.who, error.status), (Who::Timeout, None));
    assert_eq!((error.retryable, error.attempts), (true, 3));
    for _ in 0..3 {
        upstream.dropped().await;
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_a_timeout() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    gate.release(1);
    upstream.push(Reply::gated("one two", &gate));
    let mut target = target(&upstream);
    target.timeouts.idle = Duration::from_millis(100);
    let stream = turn(&gateway(), &target, &request()).await.unwrap();
    let (events, error) = drain(stream).await;
    let error = error.unwrap();
    assert_eq!(events, [text("one ")]);
    assert_eq!((error.who, error.phase), (Who::Timeout, Phase::MidStream));
    upstream.dropped().await;
}

#[tokio::test]
async fn a_model_may_think_before_its_first_word_as_long_as_before_its_headers() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    for _ in 0..3 {
        upstream.push(Reply::gated("one", &gate));
    }
    let mut target = target(&upstream);
    target.timeouts = loomgate_gateway::Timeouts {
        first_byte: Duration::from_millis(100),
        idle: Duration::from_millis(1),
    };
    let started = tokio::time::Instant::now();
    let error = turn(&gateway(), &target, &request()).await.unwrap_err();
    assert_eq!((error.who, error.attempts), (Who::Timeout, 3));
    assert_eq!(error.phase, Phase::BeforeFirstEvent);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_stream_cut_midway_ends_with_an_error() {
    for reply in [
        Reply::text("one two").reset_after(1),
        Reply::text("one two").end_after(1),
    ] {
        let upstream = FakeUpstream::start().await;
        upstream.push(reply);
        let (events, error) = drain(chat(&upstream).await.unwrap()).await;
        let error = error.unwrap();
        assert_eq!(events, [text("one ")]);
        assert_eq!((error.who, error.phase), (Who::Network, Phase::MidStream));
        assert!(error.retryable);
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test]
async fn a_stream_cut_before_it_began_is_tried_again() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::text("one").reset_after(0));
    upstream.push(Reply::text("one").end_after(0));
    upstream.push(Reply::text("one").reset_after(1));
    let (events, error) = drain(chat(&upstream).await.unwrap()).await;
    let error = error.unwrap();
    assert_eq!(events, [text("one")]);
    assert_eq!((error.phase, error.attempts), (Phase::MidStream, 3));
}

#[tokio::test]
async fn an_error_in_the_stream_ends_it() {
    let upstream = FakeUpstream::start().await;
    let error = r#"{"error":{"message":"Overloaded.","code":529}}"#;
    upstream.push(events(&[WORD, error, WORD]));
    let (events, error) = drain(chat(&upstream).await.unwrap()).await;
    assert_eq!(events, [text("one")]);
    let expected = Error {
        phase: Phase::MidStream,
        ..upstream_error(529, true, "Overloaded.", 1)
    };
    assert_eq!(error, Some(expected));
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let upstream = FakeUpstream::start().await;
    let body = json!({"error": {"message": "Bad model.", "type": "invalid_request_error"}});
    upstream.push(Reply::status(200, body, &[]));
    let error = chat(&upstream).await.unwrap_err();
    assert_eq!((error.status, error.retryable), (None, false));
    assert_eq!(error.message, "Bad model.");
}

#[tokio::test]
async fn nonsense_in_the_stream_is_an_error() {
    for nonsense in [
        &b"data: \"\xff\"\n\n"[..],
        b"data: {\"choices\n\n",
        b"data: []\n\n",
    ] {
        let upstream = FakeUpstream::start().await;
        let chunks = vec![
            Bytes::from(format!("data: {WORD}\n\n")),
            Bytes::from_static(nonsense),
        ];
        upstream.push(Reply::raw_chunks(chunks));
        let (events, error) = drain(chat(&upstream).await.unwrap()).await;
        let error = error.unwrap();
        assert_eq!(events, [text("one")]);
        assert_eq!((error.who, error.phase), (Who::Upstream, Phase::MidStream));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let target = target_at(&format!("http://{address}/v1"));
    let error = turn(&gateway(), &target, &request()).await.unwrap_err();
    assert_eq!((error.who, error.status), (Who::Network, None));
    assert_eq!((error.retryable, error.attempts), (true, 3));
    assert!(!error.message.contains("127.0.0.1"), "{}", error.message);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = FakeUpstream::start().await;
    let upstream = FakeUpstream::start().await;
    let location = format!("{}/chat/completions", other.url());
    let moved = Reply::status(307, json!({}), &[("location", &location)]);
    upstream.push(moved);
    let error = chat(&upstream).await.unwrap_err();
    assert_eq!((error.status, error.retryable), (Some(307), false));
    assert_eq!((upstream.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn the_echo_model_fails_as_a_provider_does() {
    let mut target = target_at("http://127.0.0.1:9/v1");
    target.provider = Provider::Echo;
    let mut request = request();
    let mut failing = async |status: u16| {
        request.messages = vec![ChatMessage::User {
            content: UserContent::Text(format!("/echo fail {status}")),
        }];
        turn(&gateway(), &target, &request).await.unwrap_err()
    };
    let told = |status| format!("The echo model was told to fail with status {status}.");
    let busy = failing(503).await;
    assert_eq!(busy, upstream_error(503, true, &told(503), 3));
    let denied = failing(401).await;
    assert_eq!(denied, upstream_error(401, false, &told(401), 1));
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let upstream = FakeUpstream::start().await;
    let page = Reply::status(
        200,
        json!("<html>"),
        &[("content-type", "text/html; charset=utf-8")],
    );
    upstream.push(page);
    let error = chat(&upstream).await.unwrap_err();
    assert_eq!((error.who, error.retryable), (Who::Upstream, false));
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn an_address_with_a_password_is_not_called() {
    let target = target_at("http://user:password@127.0.0.1:9/v1");
    let error = turn(&gateway(), &target, &request()).await.unwrap_err();
    assert_eq!((error.who, error.attempts), (Who::Local, 1));
}

#[tokio::test]
async fn the_key_is_shown_nowhere() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway();
    let target = target(&upstream);
    let told = json!({"error": {"message": format!("Incorrect API key provided: {KEY}.")}});
    upstream.push(Reply::status(401, told.clone(), &[("x-key", KEY)]));
    let refused = turn(&gateway, &target, &request()).await.unwrap_err();
    assert_eq!(refused.message, "Incorrect API key provided: [key].");

    upstream.push(events(&[WORD, &told.to_string()]));
    let stream = turn(&gateway, &target, &request()).await.unwrap();
    let stream_shown = format!("{stream:?}");
    let (_, broken) = drain(stream).await;

    let mut unusable = target_at(&upstream.url());
    if let Provider::Http(provider) = &mut unusable.provider {
        provider.api_key = Some(format!("{KEY}\n").into());
    }
    let unsent = turn(&gateway, &unusable, &request()).await.unwrap_err();
    assert_eq!((unsent.who, unsent.retryable), (Who::Local, false));

    let shown = format!("{gateway:?} {target:?} {refused:?} {stream_shown} {broken:?} {unsent:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
