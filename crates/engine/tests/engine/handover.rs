//! A process that is stopped while a run is between two turns.

use std::time::Duration;

use loomgate_domain::{Clock as _, RunId, run::RunStatus};
use loomgate_engine::{ModelError, RunRequest, ThreadTarget};
use loomgate_store::{ClaimRequest, RunChange};
use loomgate_wire::{
    chat::{ChatEvent, FinishReason},
    request::CreateThread,
};
use tokio::sync::mpsc;

use crate::{
    harness::{Bench, Seen, calls, end, next, options, rest, user, word},
    searches::{create, index, search_of, searching, waiting},
};

const LONG: Duration = Duration::from_mins(1);

/// The events of a turn that asks for a search.
fn search() -> Vec<Result<ChatEvent, ModelError>> {
    calls(&[("call_1", "file_search", &[r#"{"queries":["food"]}"#])])
}

/// Takes a run as another process does that shares the database, if one is free.
async fn claimed(bench: &Bench) -> Option<RunId> {
    let request = ClaimRequest {
        worker: "another".to_owned(),
        now_ms: bench.clock.now_ms(),
        lease_ms: 3_600_000,
        max: 1,
    };
    let runs = bench.store.runs();
    let claims = runs.claim(request, |row| RunChange::to(row.run.state.clone()));
    claims.await.unwrap().pop().map(|claim| claim.run.id)
}

#[tokio::test]
async fn a_run_is_let_go_of_between_two_turns() {
    let mut bench = Bench::new().await;
    let first = bench.model.live();
    let mut request = searching(&bench);
    request.options.stream = true;
    let created = bench.engine.create_run(&bench.ws, request).await.unwrap();
    let (run, mut events) = (created.run, created.events.unwrap());
    bench.model.asked(1).await;
    // Another run, whose only turn takes longer.
    let other = bench.model.live();
    let request = RunRequest {
        thread: ThreadTarget::New(CreateThread {
            messages: vec![user("Hi.")],
            ..CreateThread::default()
        }),
        ..bench.request("", options(false))
    };
    let other_run = create(&bench, request).await;
    bench.model.asked(2).await;
    assert_eq!(claimed(&bench).await, None);

    let draining = bench.engine.drain(LONG);
    let turns = async {
        for event in search() {
            first.send(event).unwrap();
        }
        drop(first);
        // It is free as soon as its turn is committed; the other one is not.
        let taken = loop {
            if let Some(taken) = claimed(&bench).await {
                break taken;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(taken, run.id);
        assert_eq!(claimed(&bench).await, None);
        // Its stream has been told of the turn, and stays as long as the process does.
        let mut seen = Vec::new();
        while seen
            .last()
            .is_none_or(|it: &Seen| it.name != "thread.run.step.delta")
        {
            seen.push(next(&mut events).await.unwrap());
        }
        finish(other);
        seen
    };
    let (left, mut seen) = tokio::join!(draining, turns);
    assert_eq!(left.unwrap(), 1);
    let runs = bench.store.runs();
    let ended = runs.get(&bench.ws, &other_run.thread_id, &other_run.id);
    let ended = ended.await.unwrap().unwrap();
    assert_eq!(ended.state.status(), RunStatus::Completed);
    // Nobody has begun anything in the meantime.
    assert_eq!(bench.model.requests().len(), 2);
    assert_eq!(search_of(&bench, &run).await, None);

    assert_eq!(rest(&mut events).await, []);
    runs.release_all("another").await.unwrap();
    bench.model.says(&["Pizza."]);
    bench.restart().await;
    let ended = bench.settled(&run.id).await;
    assert_eq!(ended.state.status(), RunStatus::Completed);
    assert_eq!(bench.model.requests().len(), 3);
    assert_eq!(bench.said().await, ["Pizza."]);
    let last = seen.last().unwrap().id;
    seen.extend(bench.reopened(&run.id, last).await);
    assert_eq!(bench.reopened(&run.id, None).await, seen);
    let created = seen.iter().filter(|it| it.name.ends_with("step.created"));
    assert_eq!(created.count(), 2, "{seen:?}");
}

/// The rest of an answer.
fn finish(model: mpsc::UnboundedSender<Result<ChatEvent, ModelError>>) {
    let last = end(FinishReason::Stop, 1);
    for event in [word("Done.")].into_iter().chain(last) {
        model.send(event).unwrap();
    }
    drop(model);
}

#[tokio::test]
async fn a_run_that_waits_for_files_is_let_go_of_at_once() {
    let (mut bench, run) = waiting().await;
    assert_eq!(bench.engine.drain(LONG).await.unwrap(), 1);
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::InProgress
    );
    assert_eq!(search_of(&bench, &run).await, None);

    index(&bench).await;
    bench.model.says(&["Pizza."]);
    bench.restart().await;
    bench.settled(&run.id).await;
    let found = search_of(&bench, &run).await;
    assert_eq!(found, Some(vec!["food.txt".to_owned()]));
    assert_eq!(bench.model.requests().len(), 2);
}
