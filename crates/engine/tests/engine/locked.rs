//! Threads that a run locks, and what is done about it.

use std::time::Duration;

use loomgate_domain::{RunId, WhenLocked, run::RunStatus};
use loomgate_engine::{Created, Error, RunRequest};
use loomgate_wire::chat::FinishReason;

use crate::harness::{Bench, Reply, calls, end, names, options, rest, word, words};

fn request(bench: &Bench, text: &str, when: &str, stream: bool) -> RunRequest {
    RunRequest {
        when_locked: when.parse().unwrap(),
        ..bench.request(text, options(stream))
    }
}

async fn create(bench: &Bench, request: RunRequest) -> Result<Created, Error> {
    bench.engine.create_run(&bench.ws, request).await
}

async fn add(bench: &Bench, text: &str, when: WhenLocked) -> Result<(), Error> {
    let message = bench.message(text);
    let engine = &bench.engine;
    engine.add_message(&bench.ws, message, when, None).await
}

/// All that stands in the thread.
async fn said(bench: &Bench) -> Vec<String> {
    let messages = bench.messages().await;
    messages.iter().map(|it| words(&it.content)).collect()
}

async fn status(bench: &Bench, run: &RunId) -> RunStatus {
    bench.get(run).await.state.status()
}

#[tokio::test]
async fn enqueued_messages_and_runs_have_their_turn() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let first = bench.run("one").await;
    bench.model.says(&["Second."]);
    bench.model.says(&["Third."]);
    let second = create(&bench, request(&bench, "two", "enqueue", true)).await;
    let second = second.unwrap();
    add(&bench, "and more", WhenLocked::Enqueue).await.unwrap();
    let third = create(&bench, request(&bench, "three", "enqueue", false)).await;
    let third = third.unwrap().run;
    assert_eq!(second.run.state.status(), RunStatus::Queued);
    assert_eq!(said(&bench).await, ["one"]);

    model.send(word("First.")).unwrap();
    for event in end(FinishReason::Stop, 1) {
        model.send(event).unwrap();
    }
    drop(model);
    // Its stream was open all the while.
    let seen = rest(&mut second.events.unwrap()).await;
    let seen = names(&seen);
    assert_eq!(seen[..2], ["thread.run.created", "thread.run.queued"]);
    assert_eq!(seen[seen.len() - 2..], ["thread.run.completed", "done"]);
    bench.settled(&third.id).await;
    assert_eq!(
        said(&bench).await,
        [
            "one", "First.", "two", "Second.", "and more", "three", "Third."
        ]
    );
    // What came later is not known to those before.
    let asked: Vec<_> = bench.model.requests();
    let asked: Vec<_> = asked.iter().map(|it| it.messages.len()).collect();
    assert_eq!(asked, [2, 4, 7]);
    assert_eq!(status(&bench, &first.id).await, RunStatus::Completed);
}

#[tokio::test]
async fn a_waiting_run_can_be_cancelled() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let first = bench.run("one").await;
    bench.model.asked(1).await;
    let second = create(&bench, request(&bench, "two", "enqueue", true)).await;
    let second = second.unwrap();
    let engine = &bench.engine;
    let cancelled = engine.cancel(&bench.ws, &bench.thread, &second.run.id);
    cancelled.await.unwrap();
    let seen = rest(&mut second.events.unwrap()).await;
    let seen = names(&seen);
    assert!(
        seen.iter().any(|it| it == "thread.run.cancelled"),
        "{seen:?}"
    );
    assert_eq!(status(&bench, &first.id).await, RunStatus::InProgress);
    for event in end(FinishReason::Stop, 1) {
        model.send(event).unwrap();
    }
    drop(model);
    bench.settled(&first.id).await;
    // Its message had its turn all the same.
    assert!(said(&bench).await.contains(&"two".to_owned()));
    assert_eq!(status(&bench, &second.run.id).await, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_stream_of_a_waiting_run_ends_with_its_thread() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    bench.run("one").await;
    bench.model.asked(1).await;
    let second = create(&bench, request(&bench, "two", "enqueue", true)).await;
    let mut events = second.unwrap().events.unwrap();
    let engine = &bench.engine;
    assert!(
        engine
            .delete_thread(&bench.ws, &bench.thread)
            .await
            .unwrap()
    );
    model.closed().await;
    let seen = names(&rest(&mut events).await);
    assert_eq!(seen[seen.len() - 2..], ["error", "done"]);
}

#[tokio::test]
async fn whoever_waits_goes_on_when_the_run_has_ended() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let first = bench.run("one").await;
    bench.model.asked(1).await;
    let waiting = create(&bench, request(&bench, "two", "wait", false));
    let adding = async {
        let refused = add(&bench, "no", WhenLocked::Fail).await;
        assert!(matches!(refused, Err(Error::ThreadLocked { .. })));
        bench.model.says(&["Second."]);
        for event in end(FinishReason::Stop, 1) {
            model.send(event).unwrap();
        }
        drop(model);
    };
    let (second, ()) = tokio::join!(waiting, adding);
    let second = second.unwrap().run;
    assert!(!status(&bench, &first.id).await.is_active());
    bench.settled(&second.id).await;
    add(&bench, "three", "wait=1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(said(&bench).await.last().unwrap(), "three");
}

#[tokio::test]
async fn patience_has_an_end() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let first = bench.run("one").await;
    let refused = create(&bench, request(&bench, "two", "wait=1", false)).await;
    let Err(Error::ThreadLocked { run, .. }) = refused else {
        panic!("not refused");
    };
    assert_eq!(run, first.id);
    assert_eq!(said(&bench).await, ["one"], "nothing was appended");
    drop(model);
}

#[tokio::test]
async fn whoever_waits_is_sent_away_when_the_process_stops() {
    let bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let first = bench.run("one").await;
    bench.settled(&first.id).await;
    let waiting = create(&bench, request(&bench, "two", "wait", false));
    let (refused, drained) = tokio::join!(waiting, bench.engine.drain(Duration::ZERO));
    drained.unwrap();
    assert!(matches!(refused, Err(Error::Stopping)));
}

#[tokio::test]
async fn the_run_before_is_cancelled() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let first = bench.run("one").await;
    bench.model.asked(1).await;
    bench.model.says(&["Second."]);
    let when = "cancel_previous";
    let second = create(&bench, request(&bench, "two", when, false)).await;
    let second = second.unwrap().run;
    model.closed().await;
    assert_eq!(status(&bench, &first.id).await, RunStatus::Cancelled);
    bench.settled(&second.id).await;
    assert_eq!(said(&bench).await, ["one", "two", "Second."]);

    // One that waits for outputs, too; and for a message.
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let third = bench.run("three").await;
    bench.settled(&third.id).await;
    add(&bench, "four", when.parse().unwrap()).await.unwrap();
    assert_eq!(status(&bench, &third.id).await, RunStatus::Cancelled);
    assert_eq!(said(&bench).await.last().unwrap(), "four");
}
