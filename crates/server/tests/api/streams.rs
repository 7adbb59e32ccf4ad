//! A run's stream opened again: after a disconnect, after a kill, and what is refused.

use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B, TestApp},
    process::{Process, Stream, text},
};

/// The whole frames of a stream so far.
fn frames(text: &str) -> Vec<&str> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let frames = whole.split("\n\n");
    // A silent stream has comments.
    frames.filter(|frame| frame.starts_with("id: ")).collect()
}

fn id(frame: &str) -> &str {
    let line = frame.lines().next().unwrap();
    line.strip_prefix("id: ").unwrap()
}

/// Starts a run on a story of seven words, of which three are told.
async fn story(server: &Process, upstream: &FakeUpstream) -> (String, Stream, Gate) {
    let gate = Gate::new();
    let words = "Once upon a time there was nothing.";
    upstream.push(Reply::gated(words, &gate));
    let (assistant, thread) = server.furnish().await;
    gate.release(3);
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": true});
    let mut stream = server.stream(&runs, body).await;
    stream.until("\"value\":\"a \"").await;
    while !stream.text.ends_with("\n\n") {
        stream.read().await.unwrap();
    }
    let run = text(&server.get(&runs).await["data"][0], "id");
    (format!("{runs}/{run}"), stream, gate)
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let server = Process::start(folder.path(), &upstream, "").await;
    let (run, first, gate) = story(&server, &upstream).await;
    let seen = first.text.clone();
    drop(first);
    let last = id(frames(&seen).pop().unwrap()).to_owned();
    let mut second = server.reopen(&run, Some(&last)).await;
    let mut whole = server.reopen(&run, None).await;
    gate.release(4);
    second.end().await;
    whole.end().await;
    let both = [frames(&seen), frames(&second.text)].concat();
    assert_eq!(both, frames(&whole.text));
    let numbers = both
        .iter()
        .map(|frame| id(frame).split_once('.').unwrap().1);
    let numbers: Vec<usize> = numbers.map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=both.len()).collect::<Vec<_>>());
    assert!(
        both.last()
            .unwrap()
            .ends_with("\nevent: done\ndata: [DONE]")
    );

    // It is kept: from every event on, by header and by parameter.
    for (at, frame) in both.iter().enumerate() {
        let by_header = server.reopen(&run, Some(id(frame))).await.end().await;
        assert_eq!(frames(&by_header), both[at + 1..]);
        let path = format!("{run}/stream?starting_after={}", id(frame));
        let by_parameter = server.text(&path).await;
        assert_eq!(by_parameter, by_header);
    }
}

#[tokio::test]
async fn a_client_that_comes_back_after_a_kill_misses_nothing() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let server = Process::start(folder.path(), &upstream, "").await;
    let (run, first, _gate) = story(&server, &upstream).await;
    server.kill().await;
    let seen = frames(&first.text);

    upstream.push(Reply::text("The whole story."));
    let server = Process::start(folder.path(), &upstream, "").await;
    let last = id(seen.last().unwrap());
    let rest = server.reopen(&run, Some(last)).await.end().await;
    let rest = frames(&rest);
    let names: Vec<_> = rest
        .iter()
        .map(|frame| frame.lines().nth(1).unwrap())
        .collect();
    assert_eq!(names[0], "event: thread.message.incomplete");
    assert_eq!(names.last().unwrap(), &"event: done");
    assert!(rest.iter().all(|frame| id(frame).starts_with("2.")));
    // What it had been told stands, unless it was told right before the end; nothing follows that
    // the client does not see.
    let whole = server.reopen(&run, None).await.end().await;
    let whole = frames(&whole);
    let stored = whole.len() - rest.len();
    assert_eq!(whole[stored..], rest);
    assert_eq!(whole[..stored], seen[..stored]);
    for frame in &seen {
        let again = server.reopen(&run, Some(id(frame))).await.end().await;
        assert_eq!(frames(&again).last(), rest.last());
    }
    let ended = server.settled(&run, "completed").await;
    assert_eq!(ended["status"], "completed");
}

/// A run of the echo model that has ended: its path.
async fn ended(app: &TestApp, stream: bool) -> String {
    let assistant = app
        .post("/v1/assistants", &json!({"model": "echo"}))
        .await
        .json();
    let body = json!({
        "assistant_id": assistant["id"], "stream": stream,
        "thread": {"messages": [{"role": "user", "content": "Hello"}]},
    });
    let answer = app.post("/v1/threads/runs", &body).await;
    let (id, thread) = if stream {
        let created = frames(&answer.text)[1].lines().nth(2).unwrap();
        let created: Value = serde_json::from_str(created.strip_prefix("data: ").unwrap()).unwrap();
        (text(&created, "id"), text(&created, "thread_id"))
    } else {
        let run = answer.json();
        (text(&run, "id"), text(&run, "thread_id"))
    };
    format!("/v1/threads/{thread}/runs/{id}")
}

#[tokio::test]
async fn a_stream_is_opened_at_an_event_of_the_run_or_not_at_all() {
    let app = TestApp::start().await;
    let run = ended(&app, true).await;
    let whole = app.get(&format!("{run}/stream")).await;
    assert_eq!(whole.status, 200);
    assert_eq!(
        whole.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    let refused = async |query: &str, header: Option<&str>| {
        let mut request = app.request(Method::GET, &format!("{run}/stream{query}"));
        if let Some(header) = header {
            request = request.header("last-event-id", header);
        }
        let error = Answer::of(request).await.error(400);
        assert_eq!(error.kind, "invalid_request_error");
        (error.message, error.param.unwrap(), error.code.unwrap())
    };
    let told = |message: &str, param: &str, code: &str| {
        (message.to_owned(), param.to_owned(), code.to_owned())
    };
    for text in ["57", "1.x", "1.", "-1.2", "01.2", "1.2.3"] {
        let message = |field: &str| {
            format!(
                "Invalid '{field}': '{text}'. Expected the id of an event of this run's stream, \
                 such as '1.57'."
            )
        };
        assert_eq!(
            refused("", Some(text)).await,
            told(&message("Last-Event-ID"), "Last-Event-ID", "invalid_value")
        );
        assert_eq!(
            refused(&format!("?starting_after={text}"), None).await,
            told(
                &message("starting_after"),
                "starting_after",
                "invalid_value"
            )
        );
    }
    assert_eq!(
        refused("?starting_after=7.9", None).await,
        told(
            "Invalid 'starting_after': this run's stream has no event with the id '7.9'.",
            "starting_after",
            "invalid_value"
        )
    );
    assert_eq!(
        refused("?starting_after=0.1", Some("0.2")).await,
        told(
            "Invalid 'starting_after': it names the event '0.1', but 'Last-Event-ID' names '0.2'.",
            "starting_after",
            "invalid_value"
        )
    );
    assert_eq!(
        refused("?after=0.1", None).await,
        told("Unknown parameter: 'after'.", "after", "unknown_parameter")
    );
    // The same event twice is no contradiction, and an empty one is none.
    let request = app.request(Method::GET, &format!("{run}/stream?starting_after=0.1"));
    let answer = Answer::of(request.header("last-event-id", "0.1")).await;
    assert_eq!(frames(&answer.text), frames(&whole.text)[1..]);
    let request = app.request(Method::GET, &format!("{run}/stream?starting_after="));
    let answer = Answer::of(request.header("last-event-id", "")).await;
    assert_eq!(answer.text, whole.text);
    app.stop().await;
}

#[tokio::test]
async fn a_run_is_streamed_to_its_workspace_under_its_thread() {
    let app = TestApp::start().await;
    let run = ended(&app, true).await;
    let thread = run.split('/').nth(3).unwrap();
    let other = app
        .bare(Method::GET, &format!("{run}/stream"))
        .bearer_auth(KEY_B);
    let error = Answer::of(other).await.error(404);
    error.expect(&format!("No thread found with id '{thread}'."), None);
    let keyless = Answer::of(app.bare(Method::GET, &format!("{run}/stream"))).await;
    assert_eq!(keyless.status, 401);
    let strange = run.rsplit_once('/').unwrap().0.to_owned() + "/run_nowhere/stream";
    let error = app.get(&strange).await.error(404);
    error.expect("No run found with id 'run_nowhere'.", None);
    app.stop().await;
}

#[tokio::test]
async fn a_run_that_nobody_streamed_or_that_ended_long_ago_is_told_by_its_states() {
    let app = TestApp::start_with("[worker]\nstream_retention_s = 0\n").await;
    let run = ended(&app, false).await;
    let states = app.get(&format!("{run}/stream")).await.text;
    assert!(!states.contains("id: "), "{states}");
    assert!(states.contains("event: thread.run.completed\n"), "{states}");
    assert!(
        states.ends_with("event: done\ndata: [DONE]\n\n"),
        "{states}"
    );
    let run = ended(&app, true).await;
    // Nobody waits a minute for the sweeper here.
    app.behind
        .store
        .events()
        .sweep(i64::MAX, 100)
        .await
        .unwrap();
    let request = app.request(Method::GET, &format!("{run}/stream"));
    let states = Answer::of(request.header("last-event-id", "1.5"))
        .await
        .text;
    assert!(
        states.starts_with("event: thread.run.completed\n"),
        "{states}"
    );
    app.stop().await;
}
