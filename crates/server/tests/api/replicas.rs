//! Several real processes on one PostgreSQL: what one of them begins, any other can watch, answer,
//! cancel and end.

mod deploy;
mod limits;

use loomgate_testkit::{
    postgres::Database,
    upstream::{FakeUpstream, Gate, Reply},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    process::{Process, Stream, text},
    program::fail,
};

/// What all replicas share.
struct Site {
    folder: TempDir,
    database: Database,
    upstream: FakeUpstream,
}

impl Site {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: Database::new(),
            upstream: FakeUpstream::start().await,
        }
    }

    /// One that hands its runs over at once when it is stopped.
    async fn process(&self, role: &str) -> Process {
        self.process_that(role, "0").await
    }

    async fn process_that(&self, role: &str, drain_s: &str) -> Process {
        let at = (self.folder.path(), &self.database);
        Process::replica(at, &self.upstream, (role, drain_s)).await
    }

    /// One with this in its config, which all of the site have to have.
    async fn process_with(&self, role: &str, config: &str) -> Process {
        let options = [
            ("LOOMGATE_DATABASE", self.database.url()),
            ("LOOMGATE_ROLE", role),
            ("LOOMGATE_HTTP__DRAIN_S", "0"),
        ];
        Process::start_with(self.folder.path(), &self.upstream, config, &options).await
    }

    /// Streams a run at a process; the model says the first words of its answer and waits.
    async fn begun(&self, api: &Process, answer: &str, words: usize) -> Begun {
        let gate = Gate::new();
        self.upstream.push(Reply::gated(answer, &gate));
        let (assistant, thread) = api.furnish().await;
        let runs = format!("/threads/{thread}/runs");
        gate.release(words);
        let body = json!({"assistant_id": assistant, "stream": true});
        let mut stream = api.stream(&runs, body).await;
        let last = answer.split_inclusive(' ').nth(words - 1).unwrap();
        stream.until(&format!("\"value\":\"{last}\"")).await;
        let run = newest_run(api, &runs).await;
        Begun {
            assistant,
            thread,
            run,
            stream,
            gate,
        }
    }
}

/// A run that has told some words.
struct Begun {
    assistant: String,
    thread: String,
    /// Its path.
    run: String,
    stream: Stream,
    gate: Gate,
}

/// The path of a thread's newest run.
async fn newest_run(process: &Process, runs: &str) -> String {
    let list = process.get(runs).await;
    format!("{runs}/{}", text(&list["data"][0], "id"))
}

#[tokio::test]
async fn one_process_serves_and_another_works() {
    let site = Site::new().await;
    let api = site.process("api").await;
    let (assistant, thread) = api.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    api.post(&runs, json!({"assistant_id": assistant})).await;
    let run = newest_run(&api, &runs).await;
    assert_eq!(api.get(&run).await["status"], "queued");
    assert_eq!(site.upstream.count(), 0);

    site.upstream.push(Reply::text("Once upon a time."));
    let worker = site.process("worker").await;
    api.settled(&run, "completed").await;
    assert_eq!(api.said(&thread).await, ["Once upon a time."]);

    let refused = worker.answer("/models").await;
    assert_eq!(refused.status(), 503);
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "worker_only", "{body}");
}

#[tokio::test]
async fn a_run_is_watched_live_and_ended_where_it_is_not_carried_out() {
    let site = Site::new().await;
    let (one, other) = (site.process("api").await, site.process("api").await);
    let _worker = site.process("worker").await;
    let begun = site
        .begun(&one, "Once upon a time there was nothing.", 3)
        .await;
    let (run, mut first) = (begun.run, begun.stream);
    // It is live at both, long before the run's end.
    let mut second = other.reopen(&run, None).await;
    second.until("\"value\":\"a \"").await;
    assert_eq!(other.get(&run).await["status"], "in_progress");

    other.post(&format!("{run}/cancel"), json!({})).await;
    one.settled(&run, "cancelled").await;
    let (first, second) = (first.end().await, second.end().await);
    for stream in [&first, &second] {
        assert!(stream.contains("event: thread.run.cancelled"), "{stream}");
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    }
    let ids = |stream: &str| -> Vec<String> {
        let lines = stream.lines().filter(|line| line.starts_with("id: "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(ids(&first), ids(&second));
    // The thread is free again, at once and for everybody.
    site.upstream.push(Reply::text("The end."));
    let runs = format!("/threads/{}/runs", begun.thread);
    let body = json!({"assistant_id": begun.assistant});
    one.post(&runs, body).await;
    other
        .settled(&newest_run(&one, &runs).await, "completed")
        .await;
}

#[tokio::test]
async fn outputs_are_handed_in_at_any_process() {
    let site = Site::new().await;
    let (one, other) = (site.process("all").await, site.process("api").await);
    site.upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    let (assistant, thread) = one.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    one.post(&runs, json!({"assistant_id": assistant})).await;
    let run = newest_run(&one, &runs).await;
    let waiting = one.settled(&run, "requires_action").await;
    let calls = &waiting["required_action"]["submit_tool_outputs"]["tool_calls"];
    site.upstream.push(Reply::text("It is 7."));
    let outputs = json!({"tool_outputs": [{"tool_call_id": calls[0]["id"], "output": "7"}]});
    other
        .post(&format!("{run}/submit_tool_outputs"), outputs)
        .await;
    other.settled(&run, "completed").await;
    assert_eq!(one.said(&thread).await, ["It is 7."]);
    assert_eq!(site.upstream.count(), 2);
}

#[tokio::test]
async fn a_frozen_process_loses_its_run_and_can_write_nothing() {
    let site = Site::new().await;
    let api = site.process("api").await;
    let frozen = site.process_that("worker", "30").await;
    let begun = site.begun(&api, "What nobody hears.", 1).await;
    let (run, mut stream) = (begun.run, begun.stream);

    frozen.signal("STOP").await;
    site.upstream.push(Reply::text("What stands."));
    let _awake = site.process("worker").await;
    let ended = api.settled(&run, "completed").await;
    // It goes on where it was, with all that the model has said to it meanwhile, and may take the
    // time to commit that before it ends.
    begun.gate.release(5);
    frozen.signal("CONT").await;
    let left = frozen.terminate().await;
    assert_eq!(left, Some(0));
    assert_eq!(api.get(&run).await, ended);
    let whole = stream.end().await;
    assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
    assert_eq!(whole.matches("event: thread.run.completed").count(), 1);
    let said = api.said(&begun.thread).await;
    assert_eq!(said.first().map(String::as_str), Some("What stands."));
}

#[tokio::test]
async fn a_process_that_stops_hands_its_run_over() {
    let site = Site::new().await;
    let api = site.process("api").await;
    let leaving = site.process("worker").await;
    let begun = site.begun(&api, "Cut in the middle.", 1).await;
    let (run, mut stream) = (begun.run, begun.stream);
    let _staying = site.process("worker").await;
    site.upstream.push(Reply::text("Told to its end."));
    assert_eq!(leaving.terminate().await, Some(0));
    // The stream goes on at the process that serves it, which nobody has stopped.
    let whole = stream.end().await;
    assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
    assert_eq!(whole.matches("event: thread.run.completed").count(), 1);
    api.settled(&run, "completed").await;
    let said = api.said(&begun.thread).await;
    assert_eq!(said.first().map(String::as_str), Some("Told to its end."));
}

/// A turn that asks for a search, and ends when the gate opens.
fn searching(gate: &Gate) -> Reply {
    let function = json!({"name": "file_search", "arguments": "{\"queries\":[\"food\"]}"});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
    let delta = |delta, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({ "choices": [choice] }))
    };
    let begins = delta(json!({ "tool_calls": [call] }), None);
    let ends = delta(json!({}), Some("tool_calls")) + "data: [DONE]\n\n";
    let headers = [("content-type", "text/event-stream")];
    Reply::chunked(&headers, &[&begins, &ends]).held_at_the_end(gate)
}

#[tokio::test]
async fn a_process_that_stops_hands_its_run_over_between_two_turns() {
    let site = Site::new().await;
    let api = site.process("api").await;
    let leaving = site.process_that("worker", "60").await;
    let gate = Gate::new();
    site.upstream.push(searching(&gate));
    let (assistant, thread) = api.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let tools = json!([{"type": "file_search"}]);
    let body = json!({"assistant_id": assistant, "stream": true, "tools": tools});
    let mut stream = api.stream(&runs, body).await;
    site.upstream.next_request().await;
    let _staying = site.process("worker").await;

    site.upstream.push(Reply::text("Nothing was found."));
    let probe = leaving.request(reqwest::Method::GET, "/models");
    let turn = async {
        // Once it accepts nothing any more, it begins no turn either.
        while probe.try_clone().unwrap().send().await.is_ok() {}
        gate.release(1);
    };
    let (left, ()) = tokio::join!(leaving.terminate(), turn);
    assert_eq!(left, Some(0));
    let whole = stream.end().await;
    assert!(whole.ends_with("data: [DONE]\n\n"), "{whole}");
    // The first turn was told by the one, to its end, and the second one by the other.
    let ended = whole.find("event: thread.run.step.completed");
    let (first, second) = (whole.find("id: 1."), whole.find("id: 2."));
    assert!(first.is_some() && first < second, "{whole}");
    assert!(second < ended, "{whole}");
    assert!(!whole.contains("event: thread.run.step.failed"), "{whole}");
    assert_eq!(api.said(&thread).await, ["Nothing was found."]);
    assert_eq!(site.upstream.count(), 2);
}

#[tokio::test]
async fn sqlite_is_for_one_process_that_does_it_all() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["api", "worker"] {
        let (code, text) = fail(
            folder.path(),
            &["serve", "--database", "sqlite", "--role", role],
        )
        .await;
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("only one can use SQLite"), "{text}");
        assert!(text.contains("docs/operations.md"), "{text}");
    }
}

/// A call of the key that may do four a day; whether it was admitted.
async fn limited_call(process: &Process) -> bool {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4o"});
    match process.limited_call("/chat/completions", &body).await {
        200 => true,
        429 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_rate_holds_for_all_processes_together() {
    let site = Site::new().await;
    site.upstream.always(Reply::text("Yes."));
    let (one, other) = (site.process("api").await, site.process("api").await);
    let mut admitted = Vec::new();
    for process in [&one, &one, &other, &other, &one, &other] {
        admitted.push(limited_call(process).await);
    }
    assert_eq!(admitted, [true, true, true, true, false, false]);
    // Nor does a new process forget it.
    let third = site.process("api").await;
    assert!(!limited_call(&third).await);
}
