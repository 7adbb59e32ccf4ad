//! Usage is counted once: after retries, over restarts, and after a kill.

use loomgate_server::App;
use loomgate_store::Store;
use loomgate_testkit::upstream::{FakeUpstream, Reply};
use serde_json::json;

use super::{
    runs::{assistant, begin, path, settled},
    stage::{Stage, refused, said},
};
use crate::{
    app::Answer,
    database,
    process::{Process, text},
};

const BUDGET: &str = "usage_limits = { type = 'tokens', credit_limit = 1000000 }\n";

/// Tokens that were counted in the database.
async fn written(store: &Store, subject: &str) -> u64 {
    let rows = store.counters().load(subject).await.unwrap();
    let tokens = rows.iter().filter(|row| row.meter == "budget:tokens");
    tokens.map(|row| row.amount).sum()
}

/// Waits until as many tokens were written; more fail the test.
async fn expect(app: &App, subject: &str, tokens: u64) {
    loop {
        let now = written(&app.store, subject).await;
        assert!(now <= tokens, "{now} instead of {tokens}");
        if now == tokens {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn relayed_calls_and_turns_of_runs_are_counted_once_each() {
    let options =
        format!("[virtual_keys.counted]\nprovider = 'openai'\nbase_url = '{{one}}'\n{BUDGET}");
    let stage = Stage::start_with(&options).await;
    let config = json!({"virtual_key": "counted", "retry": {"attempts": 1}});
    // A retry: what failed is not counted, what succeeded once.
    stage.providers[0].push(refused(503));
    stage.providers[0].push(said("ok"));
    assert_eq!(stage.chat(&config).await.status, 200);
    let subject = "vk:config/counted";
    expect(&stage.app.behind, subject, 12).await;

    // A run of two turns, the first of which failed once: 11 and 13 tokens.
    stage.providers[0].push(refused(503));
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    stage.providers[0].push(Reply::text("it is done"));
    let assistant = assistant(&stage, "m").await;
    let counted =
        |request: reqwest::RequestBuilder| request.header("x-portkey-virtual-key", "counted");
    let run = begin(&stage, &assistant, counted).await;
    settled(&stage, &run, "requires_action").await;
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
    assert_eq!(Answer::of(submit).await.status, 200);
    let run = settled(&stage, &run, "completed").await;
    assert_eq!(run["usage"]["total_tokens"], 24);
    expect(&stage.app.behind, subject, 36).await;

    // What was counted is counted after a restart, and goes on from there.
    let (folder, upstream, providers) = stage.end().await;
    let stage = Stage::again(folder, upstream, providers, &options).await;
    stage.providers[0].push(said("ok"));
    assert_eq!(stage.chat(&config).await.status, 200);
    expect(&stage.app.behind, subject, 48).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_stream_is_counted_and_one_without_counts_is_estimated() {
    let options =
        format!("[virtual_keys.counted]\nprovider = 'openai'\nbase_url = '{{one}}'\n{BUDGET}");
    let stage = Stage::start_with(&options).await;
    let stream = |words: &str| json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": words}]});
    let call = |body: &serde_json::Value| {
        let request = stage.post("/v1/chat/completions", body);
        request.header("x-portkey-virtual-key", "counted")
    };
    stage.providers[0].push(Reply::text("one two three"));
    assert_eq!(Answer::of(call(&stream("?"))).await.status, 200);
    expect(&stage.app.behind, "vk:config/counted", 13).await;
    // Cut off before its counts: four bytes are taken for a token.
    stage.providers[0].push(Reply::text("one two three").reset_after(2));
    assert_eq!(
        Answer::of(call(&stream(&"x".repeat(4000)))).await.status,
        200
    );
    let store = &stage.app.behind.store;
    while written(store, "vk:config/counted").await < 13 + 1000 {
        tokio::task::yield_now().await;
    }
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
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    let path = format!("{runs}/{}", text(&run, "id"));
    server.settled(&path, "requires_action").await;
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

    upstream.push(Reply::text("it is done"));
    let server = Process::start(folder.path(), &upstream, budget).await;
    let run = server.settled(&path, "completed").await;
    assert_eq!(run["usage"]["total_tokens"], 24);
    server.kill().await;
    let store = database::open(folder.path(), "data");
    assert_eq!(written(&store, "vk:config/scripted").await, 24);
    drop(store);

    // And the next run is told, by a process that has counted nothing itself.
    let server = Process::start(folder.path(), &upstream, budget).await;
    let run = server.post(&runs, json!({"assistant_id": assistant})).await;
    let run = server
        .settled(&format!("{runs}/{}", text(&run, "id")), "failed")
        .await;
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    assert_eq!(upstream.count(), 3);
}
