//! What streams are told: contract section 10.

use loomgate_domain::{Limits, run::RunStatus};
use loomgate_store::Options;
use loomgate_wire::chat::{ChatEvent, FinishReason};

use crate::harness::{Bench, Reply, calls, end, names, output, rest, until, word};

const TEXT_RUN: [&str; 12] = [
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta x3",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
    "done",
];

#[tokio::test]
async fn a_text_run_is_told_in_order() {
    let bench = Bench::new().await;
    bench.model.says(&["Hello", " big", " world"]);
    let (run, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert_eq!(names(&seen), TEXT_RUN);
    assert_eq!(
        seen[7].data["delta"]["content"][0]["text"]["annotations"],
        serde_json::json!([])
    );
    assert!(
        seen[8].data["delta"]["content"][0]["text"]
            .get("annotations")
            .is_none()
    );
    assert_eq!(
        seen[10].data["content"][0]["text"]["value"],
        "Hello big world"
    );
    let step = &seen[11].data;
    assert_eq!(step["usage"]["total_tokens"], 13);
    assert!(step["expires_at"].is_i64());
    let completed = &seen[12].data;
    assert_eq!(completed["usage"]["total_tokens"], 13);
    assert!(completed["expires_at"].is_null());
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::Completed
    );
    assert_eq!(bench.said().await, ["Hello big world"]);
}

#[tokio::test]
async fn function_calls_are_told_in_two_legs() {
    let bench = Bench::new().await;
    bench.model.then(Reply::Events(calls(&[
        ("call_1", "f", &["{\"a\"", ":1}"]),
        ("call_2", "g", &[]),
    ])));
    let (run, mut events) = bench.stream("go").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen),
        [
            "thread.run.created",
            "thread.run.queued",
            "thread.run.in_progress",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.run.step.delta x5",
            "thread.run.requires_action",
            "done",
        ]
    );
    assert_eq!(
        seen[3].data["step_details"]["tool_calls"],
        serde_json::json!([])
    );
    let action = &seen[10].data;
    assert!(action["usage"].is_null());
    let pending = &action["required_action"]["submit_tool_outputs"]["tool_calls"];
    assert_eq!(pending[0]["function"]["arguments"], "{\"a\":1}");
    assert_eq!(pending[1]["function"]["arguments"], "{}");

    bench.model.says(&["Done."]);
    let outputs = vec![output("call_2", "two"), output("call_1", "one")];
    let submitted =
        bench
            .engine
            .submit_tool_outputs(&bench.ws, &bench.thread, &run.id, outputs, true);
    let (queued, events) = submitted.await.unwrap();
    assert_eq!(queued.state.status(), RunStatus::Queued);
    let seen = rest(&mut events.unwrap()).await;
    assert_eq!(
        names(&seen)[..4],
        [
            "thread.run.step.completed",
            "thread.run.queued",
            "thread.run.in_progress",
            "thread.run.step.created",
        ]
    );
    let step = &seen[0].data;
    assert_eq!(step["usage"]["completion_tokens"], 7);
    assert_eq!(
        step["step_details"]["tool_calls"][0]["function"]["output"],
        "one"
    );
    let ended = bench.get(&run.id).await;
    assert_eq!(ended.usage.total_tokens(), 17 + 11);
    let steps = bench.steps(&run.id).await;
    let sum = steps
        .iter()
        .map(|step| step.usage.unwrap().total_tokens())
        .sum::<u64>();
    assert_eq!(sum, ended.usage.total_tokens());
}

#[tokio::test]
async fn words_before_calls_are_a_message_of_their_own() {
    let bench = Bench::new().await;
    let turn = [word("Let me"), word(" see.")].into_iter();
    let turn = turn.chain(calls(&[("call_1", "f", &["{}"])])).collect();
    bench.model.then(Reply::Events(turn));
    let (run, mut events) = bench.stream("go").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen)[7..],
        [
            "thread.message.delta x2",
            "thread.message.completed",
            "thread.run.step.completed",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.run.step.delta x2",
            "thread.run.requires_action",
            "done",
        ]
    );
    assert_eq!(bench.said().await, ["Let me see."]);

    // The next turn sees words and calls as one message of the model.
    bench.model.says(&["Done."]);
    bench.submit(&run.id, vec![output("call_1", "ok")]).await;
    bench.settled(&run.id).await;
    let request = bench.model.requests().pop().unwrap();
    let sent = serde_json::to_value(&request.messages).unwrap();
    assert_eq!(
        sent,
        serde_json::json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
        ])
    );
    assert_eq!(request.temperature, Some(0.5));
    assert_eq!(request.top_p, None);
}

#[tokio::test]
async fn a_polled_run_costs_two_commits() {
    // In a file, as in production: in memory, reads go through the writer, and count.
    let folder = tempfile::tempdir().unwrap();
    let options = Options::file(folder.path().join("loomgate.db"));
    let bench = Bench::on(options, Limits::default()).await;
    let before = bench.store.stats().commits;
    for _ in 0..20 {
        bench.model.says(&["Hello"]);
        let run = bench.run("hi").await;
        bench.settled(&run.id).await;
    }
    // Create and finish; the worker's looks at an empty queue around the first one, and what it
    // sweeps at its start.
    let commits = bench.store.stats().commits - before;
    assert!((40..=46).contains(&commits), "{commits} commits");
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Hello")).unwrap();
    until(&mut events, "thread.message.delta").await;
    drop(events);
    model.send(word(" world")).unwrap();
    for event in end(FinishReason::Stop, 2) {
        model.send(event).unwrap();
    }
    drop(model);
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Completed
    );
    assert_eq!(bench.said().await, ["Hello world"]);
}

#[tokio::test]
async fn the_lock_is_gone_before_completed_is_told() {
    let bench = Bench::new().await;
    bench.model.says(&["One"]);
    let (_, mut events) = bench.stream("hi").await;
    until(&mut events, "thread.run.completed").await;
    bench.model.says(&["Two"]);
    let second = bench.run("and now").await;
    bench.settled(&second.id).await;
    assert_eq!(bench.said().await, ["One", "Two"]);
}

#[tokio::test]
async fn an_empty_answer_and_a_refusal_are_messages() {
    let bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(end(FinishReason::Stop, 0).to_vec()));
    let (_, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert!(names(&seen).contains(&"thread.message.delta x1".to_owned()));
    assert_eq!(bench.said().await, [""]);

    let refusal = [Ok(ChatEvent::Refusal("No.".to_owned()))].into_iter();
    let turn = refusal.chain(end(FinishReason::Stop, 1)).collect();
    bench.model.then(Reply::Events(turn));
    let (_, mut events) = bench.stream("do evil").await;
    let seen = rest(&mut events).await;
    let message = seen
        .iter()
        .find(|event| event.name == "thread.message.completed");
    assert_eq!(message.unwrap().data["content"][0]["refusal"], "No.");
}

#[tokio::test]
async fn calls_of_one_turn_and_ids_used_before_are_made_unique() {
    let bench = Bench::new().await;
    let twice: &[&str] = &["{}"];
    bench.model.then(Reply::Events(calls(&[
        ("0", "f", twice),
        ("0", "g", twice),
    ])));
    let run = bench.run("go").await;
    bench.settled(&run.id).await;
    let steps = serde_json::to_value(&bench.steps(&run.id).await[0].details).unwrap();
    let id = |n: usize| steps["tool_calls"][n]["id"].as_str().unwrap().to_owned();
    assert_eq!(id(0), "0");
    assert!(id(1).starts_with("call_"));
}
