//! What survives: a drain, another process, Modify Run beside the executor.

use std::time::Duration;

use loomgate_domain::{Metadata, run::RunStatus};
use loomgate_wire::chat::FinishReason;

use crate::harness::{Bench, Reply, calls, end, output, rest, until, word};

#[tokio::test]
async fn a_run_that_is_let_go_of_midway_is_carried_on_by_the_next_process() {
    let mut bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half an")).unwrap();
    until(&mut events, "thread.message.delta").await;
    let left = bench.engine.drain(Duration::ZERO).await.unwrap();
    assert_eq!(left, 1);
    assert!(
        rest(&mut events).await.is_empty(),
        "hung up without a last event"
    );
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::InProgress
    );

    bench.model.says(&["A whole answer."]);
    bench.restart().await;
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Completed
    );
    assert_eq!(bench.said().await, ["A whole answer."]);
    let requests = bench.model.requests();
    assert_eq!(requests[0], requests[1]);
}

#[tokio::test]
async fn a_drain_waits_for_runs_that_are_nearly_done() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let run = bench.run("hi").await;
    bench.model.asked(1).await;
    let engine = bench.engine.clone();
    let drain = async { engine.drain(Duration::from_mins(1)).await.unwrap() };
    let finish = async {
        model.send(word("Done.")).unwrap();
        for event in end(FinishReason::Stop, 1) {
            model.send(event).unwrap();
        }
        drop(model);
    };
    let (left, ()) = tokio::join!(drain, finish);
    assert_eq!(left, 0);
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::Completed
    );
}

#[tokio::test]
async fn a_finished_turn_is_not_asked_for_again() {
    let mut bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let run = bench.run("go").await;
    bench.settled(&run.id).await;
    bench.engine.drain(Duration::ZERO).await.unwrap();
    bench.restart().await;
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::RequiresAction
    );
    bench.model.says(&["Done."]);
    bench.submit(&run.id, vec![output("call_1", "ok")]).await;
    bench.settled(&run.id).await;
    assert_eq!(bench.model.requests().len(), 2);
    assert_eq!(bench.said().await, ["Done."]);
}

#[tokio::test]
async fn modify_run_beside_the_executor_is_kept_and_told() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Hello")).unwrap();
    until(&mut events, "thread.message.delta").await;
    let metadata = Metadata::new([("k".to_owned(), "v".to_owned())]).unwrap();
    let runs = bench.store.runs();
    let modified = runs.set_metadata(&bench.ws, &bench.thread, &run.id, metadata.clone());
    assert_eq!(modified.await.unwrap().unwrap().metadata, metadata);
    for event in end(FinishReason::Stop, 1) {
        model.send(event).unwrap();
    }
    drop(model);
    let completed = until(&mut events, "thread.run.completed").await;
    assert_eq!(completed.data["metadata"], serde_json::json!({"k": "v"}));
    let run = bench.get(&run.id).await;
    assert_eq!(run.state.status(), RunStatus::Completed);
    assert_eq!(run.metadata, metadata);
}
