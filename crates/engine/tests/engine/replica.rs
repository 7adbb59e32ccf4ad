//! Streams of runs that another process carries out: two engines on one store, which know nothing
//! of each other.

use std::time::Duration;

use loomgate_domain::{Limits, run::EventId};
use loomgate_engine::{Engine, Settings};
use loomgate_store::{ClaimRequest, Options, RunChange};
use loomgate_wire::chat::FinishReason;

use crate::harness::{
    Bench, Reply, Seen, calls, end, names, next, options, output, rest, until, word,
};

/// How often one looks for what the other did: nothing wakes it.
const LOOK: Duration = Duration::from_millis(2);

fn settings(workers: bool) -> Settings {
    Settings {
        workers,
        poll: LOOK,
        follow: LOOK,
        ..Bench::settings(Limits::default())
    }
}

/// A worker, and a process that only serves the API.
async fn pair() -> (Bench, Engine) {
    let bench = Bench::idle(Options::memory(), settings(true)).await;
    bench.engine.start().await.unwrap();
    let api = bench.another(&settings(false));
    api.start().await.unwrap();
    (bench, api)
}

#[tokio::test]
async fn a_stream_follows_a_run_of_another_process() {
    let (bench, api) = pair().await;
    let model = bench.model.live();
    let request = bench.request("hi", options(true));
    let created = api.create_run(&bench.ws, request).await.unwrap();
    let mut events = created.events.unwrap();
    model.send(word("Hello")).unwrap();
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|it: &Seen| it.name != "thread.message.delta")
    {
        // It is told while the model still writes.
        seen.push(next(&mut events).await.unwrap());
    }
    // One that joins midway, and one at the worker's own process.
    let run = created.run.id;
    let mut joined = api
        .reopen(&bench.ws, &bench.thread, &run, None)
        .await
        .unwrap();
    let mut beside = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run, None)
        .await
        .unwrap();
    model.send(word(" world")).unwrap();
    for event in end(FinishReason::Stop, 2) {
        model.send(event).unwrap();
    }
    drop(model);
    seen.extend(rest(&mut events).await);
    assert_eq!(seen.len(), 13);
    assert_eq!(rest(&mut joined).await, seen);
    assert_eq!(rest(&mut beside).await, seen);
    for (at, event) in seen.iter().enumerate() {
        let again = bench.reopened_at(&api, &run, event.id).await;
        assert_eq!(again, seen[at + 1..]);
    }
}

#[tokio::test]
async fn legs_and_cancellations_reach_the_other_process() {
    let (bench, api) = pair().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let request = bench.request("go", options(true));
    let created = api.create_run(&bench.ws, request).await.unwrap();
    let run = created.run.id;
    let first = rest(&mut created.events.unwrap()).await;
    assert_eq!(first[first.len() - 2].name, "thread.run.requires_action");

    let model = bench.model.live();
    let outputs = vec![output("call_1", "ok")];
    let submitted = api.submit_tool_outputs(&bench.ws, &bench.thread, &run, outputs, true);
    let mut events = submitted.await.unwrap().1.unwrap();
    model.send(word("Half an")).unwrap();
    until(&mut events, "thread.message.delta").await;
    api.cancel(&bench.ws, &bench.thread, &run).await.unwrap();
    // The worker learns of it when it has something to commit.
    for event in end(FinishReason::Stop, 1) {
        model.send(event).unwrap();
    }
    drop(model);
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen),
        [
            "thread.run.cancelling",
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
            "done"
        ]
    );
    bench.replays(&run, &seen).await;
    bench.replays(&run, &first).await;
}

#[tokio::test]
async fn states_and_deletions_reach_the_other_process() {
    let (bench, api) = pair().await;
    let model = bench.model.live();
    let request = bench.request("hi", options(false));
    let run = api.create_run(&bench.ws, request).await.unwrap().run.id;
    bench.model.asked(1).await;
    let mut events = api
        .reopen(&bench.ws, &bench.thread, &run, None)
        .await
        .unwrap();
    assert_eq!(
        next(&mut events).await.unwrap().name,
        "thread.run.in_progress"
    );
    for event in [word("Hello")]
        .into_iter()
        .chain(end(FinishReason::Stop, 1))
    {
        model.send(event).unwrap();
    }
    drop(model);
    assert_eq!(
        names(&rest(&mut events).await),
        ["thread.run.completed", "done"]
    );

    let _model = bench.model.live();
    let request = bench.request("again", options(true));
    let created = api.create_run(&bench.ws, request).await.unwrap();
    let mut events = created.events.unwrap();
    until(&mut events, "thread.run.in_progress").await;
    let deleted = bench.engine.delete_thread(&bench.ws, &bench.thread).await;
    assert!(deleted.unwrap());
    assert_eq!(names(&rest(&mut events).await), ["error", "done"]);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_tells_nothing_any_more() {
    let bench = Bench::idle(Options::memory(), settings(true)).await;
    bench.engine.start().await.unwrap();
    let lost = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    lost.send(word("Half")).unwrap();
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|it: &Seen| it.name != "thread.message.delta")
    {
        seen.push(next(&mut events).await.unwrap());
    }
    let told = seen.last().unwrap().id.unwrap();
    // It is stored, so that it is the last event before the others.
    let stored = async |at: EventId| {
        let events = bench.store.events();
        let followed = events.follow(&bench.ws, &run.id, at, 1).await;
        followed.unwrap().unwrap().rows.len() == 1
    };
    while !stored(EventId {
        number: told.number - 1,
        ..told
    })
    .await
    {
        tokio::task::yield_now().await;
    }

    bench.model.says(&["A whole answer."]);
    let other = bench.another(&settings(true));
    other.start().await.unwrap();
    bench.settled(&run.id).await;
    // The first one notices when it has something to store.
    lost.send(word(" an answer")).unwrap();
    lost.closed().await;
    seen.extend(rest(&mut events).await);
    let again = bench.reopened(&run.id, None).await;
    let attempts: Vec<_> = again.iter().map(|it| it.id.unwrap().attempt).collect();
    assert!(attempts.is_sorted(), "{attempts:?}");
    let of_first: Vec<_> = again
        .iter()
        .filter(|it| it.id.unwrap().attempt < 2)
        .collect();
    assert_eq!(of_first.last().unwrap().id.unwrap(), told);
    let of_second: Vec<_> = again
        .iter()
        .filter(|it| it.id.unwrap().attempt == 2)
        .cloned()
        .collect();
    assert_eq!(of_second[0].name, "thread.message.incomplete");
    assert_eq!(of_second[0].data["content"][0]["text"]["value"], "Half");
    assert_eq!(of_second[0].id.unwrap().number, told.number + 1);
    // The first stream was told all of it, in the same order, and a word that was not stored.
    let seen: Vec<_> = seen.into_iter().filter(|it| again.contains(it)).collect();
    assert_eq!(seen, again);
    assert_eq!(bench.said().await, ["A whole answer."]);
}

#[tokio::test]
async fn what_a_lost_worker_told_is_known_before_the_next_one_tells_anything() {
    let hour = Duration::from_hours(1);
    let idle = Settings {
        flush_every: hour,
        ..settings(true)
    };
    let bench = Bench::idle(Options::memory(), idle).await;
    bench.engine.start().await.unwrap();
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half")).unwrap();
    let told = until(&mut events, "thread.message.delta").await.id.unwrap();

    // Another process takes the run, and has not come to its first event.
    let request = ClaimRequest {
        worker: "next".to_owned(),
        now_ms: i64::MAX / 4,
        lease_ms: 1_000,
        max: 1,
    };
    let runs = bench.store.runs();
    let claims = runs.claim(request, |row| RunChange::to(row.run.state.clone()));
    assert_eq!(claims.await.unwrap().len(), 1);
    let api = bench.another(&settings(false));
    let opened = api.reopen(&bench.ws, &bench.thread, &run.id, Some(told));
    assert!(opened.await.is_ok());
}
