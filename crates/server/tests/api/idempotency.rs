//! `Idempotency-Key`: whatever a client repeats takes place once, and is answered again.

use std::time::Duration;

use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B, TestApp},
    process::{Process, text},
};

/// A creation of workspace `a` under a key.
async fn create(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).json(body);
    Answer::of(request.header("idempotency-key", key)).await
}

async fn count(app: &TestApp, path: &str) -> usize {
    let list = app.get(path).await.json();
    list["data"].as_array().unwrap().len()
}

#[track_caller]
pub(crate) fn assert_replay(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        again.header("original-request"),
        first.header("x-request-id")
    );
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert!(!first.headers.contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn every_creation_takes_place_once() {
    let app = TestApp::start().await;
    let assistant = json!({"model": "echo"});
    let made = create(&app, "k-assistant", "/v1/assistants", &assistant).await;
    let id = text(&made.json(), "id");
    let words = json!([{"role": "user", "content": "Hello."}]);
    let thread = json!({"messages": words});
    let on = create(&app, "k-thread", "/v1/threads", &thread).await;
    let on = text(&on.json(), "id");
    let messages = format!("/v1/threads/{on}/messages");
    let runs = format!("/v1/threads/{on}/runs");
    let run = json!({"assistant_id": id, "additional_messages": words});
    let both = json!({"assistant_id": id, "thread": thread});
    for (key, path, body) in [
        ("k-assistant", "/v1/assistants", &assistant),
        ("k-thread", "/v1/threads", &thread),
        ("k-message", &*messages, &words[0]),
        ("k-run", &*runs, &run),
        ("k-both", "/v1/threads/runs", &both),
    ] {
        let first = create(&app, key, path, body).await;
        assert_eq!(first.status, 200, "{path}: {}", first.text);
        // The first two have their creation behind them.
        let again = create(&app, key, path, body).await;
        assert_eq!((again.status, &again.text), (200, &first.text), "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
    }
    assert_eq!(count(&app, "/v1/assistants").await, 1);
    assert_eq!(count(&app, &runs).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_replay_says_that_it_is_one() {
    let app = TestApp::start().await;
    let body = json!({"model": "echo", "name": "caf\u{e9} \u{1f9f5}"});
    let first = create(&app, "k", "/v1/assistants", &body).await;
    let again = create(&app, "k", "/v1/assistants", &body).await;
    assert_replay(&again, &first);
    // Also when what was created is gone.
    let path = format!("/v1/assistants/{}", text(&first.json(), "id"));
    let deleted = Answer::of(app.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, 200);
    assert_replay(&create(&app, "k", "/v1/assistants", &body).await, &first);
    app.stop().await;
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    let body = json!({"metadata": {"n": "1"}});
    let first = create(&app, "k", "/v1/threads", &body).await;
    assert_eq!(first.status, 200);
    for (path, body) in [
        ("/v1/threads", json!({"metadata": {"n": "2"}})),
        ("/v1/assistants", json!({"model": "echo"})),
        ("/v1/assistants", body.clone()),
    ] {
        let error = create(&app, "k", path, &body).await.error(400);
        assert!(error.message.contains("another path or body"), "{error:?}");
        assert_eq!(error.kind, "invalid_request_error");
        assert_eq!(error.param.as_deref(), Some("Idempotency-Key"));
        assert_eq!(error.code.as_deref(), Some("idempotency_key_reused"));
    }
    assert_eq!(count(&app, "/v1/assistants").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn keys_are_bounded() {
    let app = TestApp::start().await;
    let body = json!({});
    for key in ["", "two words", "tab\tbed", "caf\u{e9}", &"k".repeat(256)] {
        let error = create(&app, key, "/v1/threads", &body).await.error(400);
        let start = "Invalid 'Idempotency-Key' header: expected one key of 1 to 255 visible";
        assert!(error.message.starts_with(start), "{key:?}: {error:?}");
        assert_eq!(error.param.as_deref(), Some("Idempotency-Key"));
        assert_eq!(error.code.as_deref(), Some("invalid_value"));
    }
    let two = app.request(Method::POST, "/v1/threads").json(&body);
    let two = two
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    Answer::of(two).await.error(400);
    let longest = create(&app, &"k".repeat(255), "/v1/threads", &body).await;
    assert_eq!(longest.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_refused_creation_can_be_repeated() {
    let app = TestApp::start().await;
    let wrong = json!({"model": "echo", "temperature": 9});
    create(&app, "k", "/v1/assistants", &wrong).await.error(400);
    let right = json!({"model": "echo", "temperature": 1});
    let made = create(&app, "k", "/v1/assistants", &right).await;
    assert_eq!(made.status, 200, "{}", made.text);
    app.stop().await;
}

#[tokio::test]
async fn at_the_same_time_one_takes_place_and_all_are_answered() {
    let app = TestApp::start().await;
    let body = json!({"model": "echo"});
    let creations = (0..16).map(|_| create(&app, "k", "/v1/assistants", &body));
    let answers = futures::future::join_all(creations).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
    let is_replay = |answer: &&Answer| answer.headers.contains_key("idempotent-replayed");
    assert_eq!(answers.iter().filter(is_replay).count(), 15);
    assert_eq!(count(&app, "/v1/assistants").await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_good_for_a_day() {
    let app = TestApp::start().await;
    let body = json!({"model": "echo"});
    let first = create(&app, "k", "/v1/assistants", &body).await;
    app.pass(Duration::from_mins(24 * 60 - 1));
    assert_replay(&create(&app, "k", "/v1/assistants", &body).await, &first);
    app.pass(Duration::from_mins(1));
    let new = create(&app, "k", "/v1/assistants", &body).await;
    assert_ne!(new.json()["id"], first.json()["id"]);
    app.stop().await;
}

#[tokio::test]
async fn workspaces_do_not_see_each_others_keys() {
    let app = TestApp::start().await;
    let body = json!({});
    let mine = create(&app, "k", "/v1/threads", &body).await;
    let request = app.bare(Method::POST, "/v1/threads").bearer_auth(KEY_B);
    let theirs = Answer::of(request.json(&body).header("idempotency-key", "k")).await;
    assert_eq!(theirs.status, 200);
    assert!(!theirs.headers.contains_key("idempotent-replayed"));
    assert_ne!(mine.json()["id"], theirs.json()["id"]);
    app.stop().await;
}

/// Repeats a creation of a run after a kill. `words` is what the first answer said so far.
async fn repeated_after_a_kill(is_stream: bool) {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let gate = Gate::new();
    upstream.push(Reply::gated("Half an answer.", &gate));
    upstream.push(Reply::text("The whole story."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": is_stream});
    let mut first = server.create(&runs, "k", &body).await;
    if is_stream {
        first.until("event: thread.run.queued").await;
    } else {
        first.end().await;
    }
    upstream.next_request().await;
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, "").await;
    let mut again = server.create(&runs, "k", &body).await;
    let whole = again.end().await;
    let list = server.get(&runs).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    if is_stream {
        assert!(
            whole.starts_with("id: 0.1\nevent: thread.run.created"),
            "{whole}"
        );
        assert!(whole.contains("The whole story.") || whole.contains("\"value\":\"story.\""));
        assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
    } else {
        assert_eq!(whole, first.text);
    }
    let run = text(&list["data"][0], "id");
    server.settled(&format!("{runs}/{run}"), "completed").await;
    assert_eq!(server.said(&thread).await, ["The whole story."]);
}

#[tokio::test]
async fn a_run_is_created_once_over_a_kill() {
    repeated_after_a_kill(false).await;
}

#[tokio::test]
async fn a_streamed_run_is_created_once_over_a_kill_and_its_stream_is_told_again() {
    repeated_after_a_kill(true).await;
}

#[tokio::test]
async fn a_streamed_creation_is_told_again_to_the_end_of_its_own_leg() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    upstream.push(Reply::text("It is done."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": true});
    let first = server.create(&runs, "k", &body).await.end().await;
    assert!(first.contains("event: thread.run.requires_action"));
    let run = text(&server.get(&runs).await["data"][0], "id");
    let outputs = json!([{"tool_call_id": "call_1", "output": "7"}]);
    let path = format!("{runs}/{run}");
    let submit = format!("{path}/submit_tool_outputs");
    for is_stream in [true, false] {
        // The thread is locked, or free again: neither matters to a repeat.
        let again = server.create(&runs, "k", &body).await.end().await;
        assert_eq!(again, first);
        let body = json!({"tool_outputs": outputs, "stream": is_stream});
        server.stream(&submit, body).await.end().await;
        server.settled(&path, "completed").await;
    }
    assert_eq!(server.create(&runs, "k", &body).await.end().await, first);
}
