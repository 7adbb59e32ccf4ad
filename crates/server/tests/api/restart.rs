//! SIGKILL at the worst moments: every run still ends as it should, and its thread holds one
//! answer.

use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use serde_json::json;

use crate::process::{Process, text};

#[tokio::test]
async fn a_streaming_run_survives_a_kill_with_one_answer() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let gate = Gate::new();
    upstream.push(Reply::gated(
        "Once upon a time there was half an answer",
        &gate,
    ));
    upstream.push(Reply::text("The whole story."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    gate.release(3);
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": true});
    let mut stream = server.stream(&runs, body).await;
    stream.until("upon").await;
    assert!(stream.text.contains("event: thread.message.created"));
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, "").await;
    let run = text(&server.get(&runs).await["data"][0], "id");
    let run = server.settled(&format!("{runs}/{run}"), "completed").await;
    assert_eq!(server.said(&thread).await, ["The whole story."]);
    assert_eq!(upstream.count(), 2);
    let steps = server
        .get(&format!("{runs}/{}/steps", text(&run, "id")))
        .await;
    let statuses: Vec<_> = steps["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(s, "status"))
        .collect();
    assert_eq!(statuses, ["completed", "failed"]);

    // The thread is free again.
    let message = json!({"role": "user", "content": "Thanks."});
    server
        .post(&format!("/threads/{thread}/messages"), message)
        .await;
}

#[tokio::test]
async fn a_polled_run_survives_a_kill_with_one_answer() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    upstream.push(Reply::hang());
    upstream.push(Reply::text("The whole story."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    upstream.next_request().await;
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, "").await;
    let path = format!("{runs}/{}", text(&run, "id"));
    server.settled(&path, "completed").await;
    assert_eq!(server.said(&thread).await, ["The whole story."]);
}

#[tokio::test]
async fn a_waiting_run_survives_a_kill_and_its_turn_is_not_repeated() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    upstream.push(Reply::text("It is done."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    let path = format!("{runs}/{}", text(&run, "id"));
    let before = server.settled(&path, "requires_action").await;
    let metadata = json!({"metadata": {"kept": "yes"}});
    server.post(&path, metadata).await;
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, "").await;
    let mut after = server.get(&path).await;
    assert_eq!(after["metadata"], json!({"kept": "yes"}));
    after["metadata"] = before["metadata"].clone();
    assert_eq!(after, before, "nothing else has changed");
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    server
        .post(&format!("{path}/submit_tool_outputs"), outputs)
        .await;
    server.settled(&path, "completed").await;
    assert_eq!(server.said(&thread).await, ["It is done."]);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_run_whose_time_is_over_while_nobody_serves_expires() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    // However far either process comes, the run ends by its time and by nothing else.
    upstream.always(Reply::hang());
    let short = "[limits]\nrun_expiry_s = 1\n";
    let server = Process::start(folder.path(), &upstream, short).await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, short).await;
    let path = format!("{runs}/{}", text(&run, "id"));
    let run = server.settled(&path, "expired").await;
    assert!(run["expires_at"].is_null());
}

#[tokio::test]
async fn a_run_cancelled_right_before_a_kill_is_cancelled_after_it() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    let path = format!("{runs}/{}", text(&run, "id"));
    server.settled(&path, "requires_action").await;
    server.post(&format!("{path}/cancel"), json!({})).await;
    server.kill().await;

    let server = Process::start(folder.path(), &upstream, "").await;
    server.settled(&path, "cancelled").await;
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_stream_breaks_off_when_the_program_stops_and_its_run_goes_on() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let gate = Gate::new();
    upstream.push(Reply::gated("Once upon a time", &gate));
    upstream.push(Reply::text("The whole story."));
    let hurry = "[http]\ndrain_s = 1\n";
    let server = Process::start(folder.path(), &upstream, hurry).await;
    let (assistant, thread) = server.furnish().await;
    gate.release(2);
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": true});
    let mut stream = server.stream(&runs, body).await;
    stream.until("upon").await;
    assert_eq!(server.terminate().await, Some(0));
    // A clean end would look like the end of the answer.
    let end = loop {
        match stream.read().await {
            Ok(true) => {}
            end => break end,
        }
    };
    assert!(end.is_err());
    assert!(!stream.text.contains("event: done"));

    let server = Process::start(folder.path(), &upstream, hurry).await;
    let run = text(&server.get(&runs).await["data"][0], "id");
    server.settled(&format!("{runs}/{run}"), "completed").await;
    assert_eq!(server.said(&thread).await, ["The whole story."]);
}
