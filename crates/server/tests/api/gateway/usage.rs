//! Usage is counted once: after retries, over restarts, and after a kill.

use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    runs::assistant,
    stage::{Stage, said},
};
use crate::{
    app::Answer,
    database,
    process::{Process, text},
};

/// The virtual key `counted`, to the first provider, and what more there is to say of it.
fn counted(more: &str) -> String {
    format!(
        "[virtual_keys.counted]\nprovider = 'openai'\nbase_url = '{{one}}'\n{more}\
         usage_limits = {{ type = 'tokens', credit_limit = 1000000 }}\n"
    )
}

fn by_counted(request: RequestBuilder) -> RequestBuilder {
    request.header("x-portkey-virtual-key", "counted")
}

/// Tokens that were counted in this process. An answer whose end has come is counted.
async fn used(stage: &Stage) -> u64 {
    let shown = stage.app.get("/v1/virtual-keys/counted").await.json();
    shown["usage"]["used"]
        .as_u64()
        .unwrap_or_else(|| panic!("{shown}"))
}

/// Tokens that are counted in a database, and how many runs are waited for.
async fn written(folder: &tempfile::TempDir, subject: &str) -> (u64, usize) {
    let store = database::open(folder.path(), "data");
    let counters = store.counters();
    let rows = counters.load(subject).await.unwrap();
    let tokens = rows.iter().filter(|row| row.meter == "budget:tokens");
    let tokens = tokens.map(|row| row.amount).sum();
    let open = counters.open_runs().await.unwrap().len();
    store.close().await;
    (tokens, open)
}

/// A provider that is busy, for a moment only.
fn busy() -> Reply {
    Reply::status(429, json!({"error": {}}), &[("retry-after-ms", "1")])
}

#[tokio::test]
async fn relayed_calls_and_turns_of_runs_are_counted_once_each() {
    let options = counted("");
    let stage = Stage::start_with(&options).await;
    let retry = json!({"attempts": 1, "on_status_codes": [429], "use_retry_after_header": true});
    let config = json!({"virtual_key": "counted", "retry": retry});
    // A retry: what failed is not counted, what succeeded once.
    stage.providers[0].push(busy());
    stage.providers[0].push(said("ok"));
    assert_eq!(stage.chat(&config).await.status, 200);
    assert_eq!(used(&stage).await, 12);

    // A run of two turns, the first of which failed once: 11 and 13 tokens.
    stage.providers[0].push(busy());
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    stage.providers[0].push(Reply::text("it is done"));
    let thread = json!({"messages": [{"role": "user", "content": "Hello?"}]});
    let body = json!({
        "assistant_id": assistant(&stage, "m").await, "thread": thread, "stream": true,
    });
    let answer = Answer::of(by_counted(stage.post("/v1/threads/runs", &body))).await;
    let run = last_run(&answer.text, "requires_action");
    assert_eq!(used(&stage).await, 12 + 11);
    let outputs = json!([{"tool_call_id": "call_1", "output": "ok"}]);
    let path = format!("{}/submit_tool_outputs", super::runs::path(&run));
    let submit = stage.post(&path, &json!({"tool_outputs": outputs, "stream": true}));
    let run = last_run(&Answer::of(submit).await.text, "completed");
    assert_eq!(run["usage"]["total_tokens"], 24);
    assert_eq!(used(&stage).await, 36);

    // What was counted is counted after a restart, and goes on from there.
    let subject = "vk:config/counted";
    let (folder, upstream, providers) = stage.end().await;
    assert_eq!(written(&folder, subject).await, (36, 0));
    let stage = Stage::again(folder, upstream, providers, &options).await;
    stage.providers[0].push(said("ok"));
    assert_eq!(stage.chat(&config).await.status, 200);
    assert_eq!(used(&stage).await, 48);
    assert_eq!(written(&stage.stop().await, subject).await, (48, 0));
}

/// The run in the last event of a stream that shows one.
#[track_caller]
fn last_run(events: &str, status: &str) -> Value {
    let event = format!("event: thread.run.{status}\ndata: ");
    let (_, data) = events.rsplit_once(&event).expect(events);
    serde_json::from_str(data.lines().next().unwrap()).unwrap()
}

#[tokio::test]
async fn a_stream_is_counted_and_one_without_counts_is_estimated() {
    let stage = Stage::start_with(&counted("")).await;
    let call = |words: &str| {
        let message = json!({"role": "user", "content": words});
        let body = json!({"model": "m", "stream": true, "messages": [message]});
        Answer::of(by_counted(stage.post("/v1/chat/completions", &body)))
    };
    stage.providers[0].push(Reply::text("one two three"));
    assert_eq!(call("?").await.status, 200);
    assert_eq!(used(&stage).await, 13);
    // Cut off before its counts: four bytes are taken for a token.
    stage.providers[0].push(Reply::text("one two three").reset_after(2));
    assert_eq!(call(&"x".repeat(4000)).await.status, 200);
    assert!(used(&stage).await >= 13 + 1000);
    stage.stop().await;
}

/// A run as a provider shows it.
fn shown(id: &str, status: &str) -> Value {
    let has_ended = status == "completed";
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12});
    json!({
        "id": id, "object": "thread.run", "thread_id": "thread_1", "status": status,
        "expires_at": if has_ended { Value::Null } else { json!(i64::MAX) },
        "usage": if has_ended { usage } else { Value::Null },
    })
}

async fn ask(stage: &Stage, id: &str) {
    let run = shown(id, "completed");
    stage.providers[0].push(Reply::status(200, run, &[]));
    let path = format!("/v1/threads/thread_1/runs/{id}");
    let answer = Answer::of(by_counted(stage.request(Method::GET, &path))).await;
    assert_eq!(answer.json()["status"], "completed");
}

#[tokio::test]
async fn a_run_at_a_provider_is_counted_once_also_after_a_restart() {
    let options = counted("assistants = 'upstream'\n");
    let subject = "vk:config/counted";
    let stage = Stage::start_with(&options).await;
    let run = shown("run_1", "queued");
    stage.providers[0].push(Reply::status(200, run, &[]));
    let create = stage.post(
        "/v1/threads/thread_1/runs",
        &json!({"assistant_id": "asst_1"}),
    );
    assert_eq!(Answer::of(by_counted(create)).await.status, 200);
    // Of this one nobody has seen the beginning.
    ask(&stage, "run_2").await;
    assert_eq!(used(&stage).await, 0);

    let (folder, upstream, providers) = stage.end().await;
    assert_eq!(written(&folder, subject).await, (0, 1));
    let stage = Stage::again(folder, upstream, providers, &options).await;
    ask(&stage, "run_1").await;
    ask(&stage, "run_1").await;
    ask(&stage, "run_2").await;
    assert_eq!(used(&stage).await, 12);

    let (folder, upstream, providers) = stage.end().await;
    assert_eq!(written(&folder, subject).await, (12, 0));
    let stage = Stage::again(folder, upstream, providers, &options).await;
    ask(&stage, "run_1").await;
    assert_eq!(used(&stage).await, 12);
    assert_eq!(written(&stage.stop().await, subject).await, (12, 0));
}

#[tokio::test]
async fn a_streamed_run_at_a_provider_is_counted_by_whoever_sees_its_end_first() {
    let stage = Stage::start_with(&counted("assistants = 'upstream'\n")).await;
    let event = |status: &str| {
        let run = shown("run_1", status);
        format!("event: thread.run.{status}\ndata: {run}\n\n")
    };
    let gate = Gate::new();
    let last = event("completed") + "event: done\ndata: [DONE]\n\n";
    let pieces = [&*event("queued"), &*last];
    let reply = Reply::chunked(&[("content-type", "text/event-stream")], &pieces);
    stage.providers[0].push(reply.held_at_the_end(&gate));
    let body = json!({"assistant_id": "asst_1", "stream": true});
    let create = by_counted(stage.post("/v1/threads/thread_1/runs", &body));
    let mut stream = create.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    // While the stream is open, somebody asks.
    ask(&stage, "run_1").await;
    assert_eq!(used(&stage).await, 12);
    gate.release(1);
    assert!(stream.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    assert_eq!(used(&stage).await, 12);
    stage.stop().await;
}

#[tokio::test]
async fn a_turn_before_a_kill_is_counted_once_and_so_is_the_one_after() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let budget = "[virtual_keys.scripted.usage_limits]\ntype = 'tokens'\ncredit_limit = 24\n";
    upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    let server = Process::start(folder.path(), &upstream, budget).await;
    let (assistant, thread) = server.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": true});
    let mut stream = server.stream(&runs, body.clone()).await;
    stream.until("event: done").await;
    let run = last_run(&stream.text, "requires_action");
    let path = format!("{runs}/{}", text(&run, "id"));
    server.kill().await;

    // Killed again in the middle of a turn, which is carried out anew.
    upstream.push(Reply::hang());
    let server = Process::start(folder.path(), &upstream, budget).await;
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    server
        .post(&format!("{path}/submit_tool_outputs"), outputs)
        .await;
    while upstream.count() < 2 {
        upstream.next_request().await;
    }
    server.kill().await;

    // A stop waits for what is under way.
    let gate = Gate::new();
    upstream.push(Reply::gated("it is done", &gate));
    let server = Process::start(folder.path(), &upstream, budget).await;
    while upstream.count() < 3 {
        upstream.next_request().await;
    }
    gate.release(3);
    assert_eq!(server.terminate().await, Some(0));
    assert_eq!(written(&folder, "vk:config/scripted").await, (24, 0));

    // And the next run is told, by a process that has counted nothing itself.
    let server = Process::start(folder.path(), &upstream, budget).await;
    let run = server.get(&path).await;
    assert_eq!(
        (&run["status"], &run["usage"]["total_tokens"]),
        (&json!("completed"), &json!(24))
    );
    let mut stream = server.stream(&runs, body).await;
    stream.until("event: done").await;
    let run = last_run(&stream.text, "failed");
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    assert_eq!(upstream.count(), 3);
}
