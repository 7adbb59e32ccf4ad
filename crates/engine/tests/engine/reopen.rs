//! Streams that are opened again: what was told first is told again, from any event on.

use std::time::Duration;

use loomgate_domain::{
    Limits,
    run::{EventId, RunStatus},
};
use loomgate_engine::{Error, Settings};
use loomgate_store::Options;
use loomgate_wire::chat::FinishReason;

use crate::harness::{Bench, Reply, Seen, calls, end, names, next, output, rest, until, word};

pub(crate) fn id(text: &str) -> EventId {
    text.parse().unwrap()
}

/// The ids of a leg, which have no gap.
fn ids(seen: &[Seen]) -> Vec<String> {
    let ids: Vec<_> = seen.iter().map(|event| event.id.unwrap()).collect();
    for pair in ids.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?}");
        assert_eq!(pair[0].number + 1, pair[1].number, "{pair:?}");
    }
    ids.iter().map(EventId::to_string).collect()
}

#[tokio::test]
async fn a_run_that_has_ended_is_told_again_from_every_event() {
    let bench = Bench::new().await;
    bench.model.says(&["Hello", " big", " world"]);
    let (run, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    let ids = ids(&seen);
    assert_eq!(ids[..3], ["0.1", "0.2", "1.3"]);
    assert_eq!(ids.last().unwrap(), "1.14");
    assert_eq!(seen.last().unwrap().name, "done");
    assert_eq!(bench.reopened(&run.id, None).await, seen);
    bench.replays(&run.id, &seen).await;
}

#[tokio::test]
async fn each_leg_is_told_to_its_end_and_the_newest_one_by_default() {
    let bench = Bench::new().await;
    let turn = [word("Let me"), word(" see.")].into_iter();
    let turn = turn
        .chain(calls(&[("call_1", "f", &["{\"a\"", ":1}"])]))
        .collect();
    bench.model.then(Reply::Events(turn));
    let (run, mut events) = bench.stream("go").await;
    let first = rest(&mut events).await;
    assert_eq!(bench.reopened(&run.id, None).await, first);

    bench.model.says(&["Done", "."]);
    let outputs = vec![output("call_1", "ok")];
    let engine = &bench.engine;
    let submitted = engine.submit_tool_outputs(&bench.ws, &bench.thread, &run.id, outputs, true);
    let second = rest(&mut submitted.await.unwrap().1.unwrap()).await;
    assert_eq!(second[0].name, "thread.run.step.completed");
    let both: Vec<_> = first.iter().chain(&second).cloned().collect();
    ids(&both);
    bench.replays(&run.id, &first).await;
    bench.replays(&run.id, &second).await;
    assert_eq!(bench.reopened(&run.id, None).await, second);

    // A client that repeats its request, because it lost the answer, has the leg from its beginning.
    let again = vec![output("call_1", "ok")];
    let submitted = engine.submit_tool_outputs(&bench.ws, &bench.thread, &run.id, again, true);
    let (known, events) = submitted.await.unwrap();
    assert_eq!(known.state.status(), RunStatus::Completed);
    assert_eq!(rest(&mut events.unwrap()).await, second);
    let other = vec![output("call_1", "other")];
    let refused = engine.submit_tool_outputs(&bench.ws, &bench.thread, &run.id, other, true);
    assert!(matches!(refused.await, Err(Error::WrongStatus { .. })));
}

#[tokio::test]
async fn a_stream_that_is_opened_midway_catches_up_and_follows() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    let mut seen = Vec::new();
    for n in 0..20 {
        model.send(word(&format!(" {n}"))).unwrap();
        while seen.last().is_none_or(|it: &Seen| {
            it.data["delta"]["content"][0]["text"]["value"] != format!(" {n}")
        }) {
            seen.push(next(&mut events).await.unwrap());
        }
    }
    // From the beginning, from every event, and from where the first one is: memory has let go of
    // what that has read, and the rest of it may not be stored yet.
    let places = seen.iter().map(|event| event.id).chain([None]);
    let mut readers = Vec::new();
    for after in places {
        let opened = bench
            .engine
            .reopen(&bench.ws, &bench.thread, &run.id, after)
            .await
            .unwrap();
        readers.push((after, opened));
    }
    for event in end(FinishReason::Stop, 20) {
        model.send(event).unwrap();
    }
    drop(model);
    seen.extend(rest(&mut events).await);
    ids(&seen);
    for (after, mut reader) in readers {
        let expected: Vec<_> = seen
            .iter()
            .filter(|event| event.id > after)
            .cloned()
            .collect();
        assert_eq!(rest(&mut reader).await, expected, "after {after:?}");
    }
}

#[tokio::test]
async fn a_reader_that_lags_reads_the_table_and_misses_nothing() {
    let bench = Bench::new().await;
    let large = "x".repeat(1024 * 1024);
    let words: Vec<_> = (0..10).map(|_| &*large).collect();
    bench.model.says(&words);
    let (run, mut events) = bench.stream("hi").await;
    bench.settled(&run.id).await;
    let seen = rest(&mut events).await;
    assert!(names(&seen).contains(&"thread.message.delta x10".to_owned()));
    ids(&seen);
    assert_eq!(seen.last().unwrap().name, "done");
    assert_eq!(bench.reopened(&run.id, None).await, seen);
}

#[tokio::test]
async fn ends_of_every_kind_are_told_again() {
    let mut bench = Bench::new().await;
    // Cancelled while the model writes.
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half an")).unwrap();
    let mut seen = vec![until(&mut events, "thread.message.delta").await];
    bench
        .engine
        .cancel(&bench.ws, &bench.thread, &run.id)
        .await
        .unwrap();
    seen.extend(rest(&mut events).await);
    assert_eq!(
        names(&seen)[1..],
        [
            "thread.run.cancelling",
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
            "done"
        ]
    );
    ids(&seen);
    bench.replays(&run.id, &seen).await;

    // Cancelled while it waits for its client: a leg of its own.
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let (run, mut events) = bench.stream("go").await;
    let first = rest(&mut events).await;
    bench
        .engine
        .cancel(&bench.ws, &bench.thread, &run.id)
        .await
        .unwrap();
    bench.settled(&run.id).await;
    let last = bench.reopened(&run.id, None).await;
    assert_eq!(
        names(&last),
        [
            "thread.run.cancelling",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
            "done"
        ]
    );
    let both: Vec<_> = first.iter().chain(&last).cloned().collect();
    // The worker that stopped it had a lease of its own.
    assert_eq!(both.last().unwrap().id.unwrap().attempt, 2);
    ids(&both);
    bench.replays(&run.id, &first).await;
    bench.replays(&run.id, &last).await;

    // A defect midway: what was told stays told, and the failure has an attempt of its own.
    let words = vec![word("Half"), word(" an")];
    bench.model.then(Reply::PanicAfter(words));
    let (run, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen)[7..],
        [
            "thread.message.delta x2",
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.failed",
            "done"
        ]
    );
    assert_eq!(seen.last().unwrap().id.unwrap().attempt, 2);
    assert_eq!(
        seen[9].data["content"][0]["text"]["value"], "Half an",
        "what ends holds every part that was told"
    );
    ids(&seen);
    bench.replays(&run.id, &seen).await;

    // Let go of midway, and carried on by the next process: nothing that was told is lost.
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half an")).unwrap();
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|it: &Seen| it.name != "thread.message.delta")
    {
        seen.push(next(&mut events).await.unwrap());
    }
    bench.engine.drain(Duration::ZERO).await.unwrap();
    assert!(rest(&mut events).await.is_empty());
    bench.model.says(&["A whole answer."]);
    bench.restart().await;
    let last = seen.last().unwrap().id;
    seen.extend(bench.reopened(&run.id, last).await);
    let incomplete = seen
        .iter()
        .find(|it| it.name == "thread.message.incomplete")
        .unwrap();
    assert_eq!(incomplete.data["content"][0]["text"]["value"], "Half an");
    ids(&seen);
    bench.replays(&run.id, &seen).await;
}

#[tokio::test]
async fn a_run_that_expires_while_nobody_has_it_is_told_so() {
    let bench = Bench::with(Limits {
        run_expiry_s: 1,
        ..Limits::default()
    })
    .await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let (run, mut events) = bench.stream("go").await;
    let first = rest(&mut events).await;
    while bench.get(&run.id).await.state.status() != RunStatus::Expired {
        tokio::task::yield_now().await;
    }
    let last = bench.reopened(&run.id, None).await;
    assert_eq!(
        names(&last),
        ["thread.run.step.expired", "thread.run.expired", "done"]
    );
    bench.replays(&run.id, &first).await;
    bench.replays(&run.id, &last).await;
}

#[tokio::test]
async fn a_run_that_nobody_streamed_is_told_by_its_states() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let run = bench.run("hi").await;
    bench.model.asked(1).await;
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, None)
        .await;
    let mut events = opened.unwrap();
    let mut seen = vec![next(&mut events).await.unwrap()];
    for event in [word("Hello")]
        .into_iter()
        .chain(end(FinishReason::Stop, 1))
    {
        model.send(event).unwrap();
    }
    drop(model);
    seen.extend(rest(&mut events).await);
    assert_eq!(
        names(&seen),
        ["thread.run.in_progress", "thread.run.completed", "done"]
    );
    assert!(seen.iter().all(|event| event.id.is_none()));
    assert_eq!(seen[1].data["usage"]["total_tokens"], 11);
    // Now it is over; an id that nobody can check makes no difference.
    for after in [None, Some(id("1.5"))] {
        let seen = bench.reopened(&run.id, after).await;
        assert_eq!(names(&seen), ["thread.run.completed", "done"]);
    }
}

#[tokio::test]
async fn a_leg_that_was_not_asked_for_as_a_stream_is_not_recorded() {
    let bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let (run, mut events) = bench.stream("go").await;
    let first = rest(&mut events).await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_2", "f", &["{}"])])));
    bench.submit(&run.id, vec![output("call_1", "ok")]).await;
    bench.settled(&run.id).await;
    let states = bench.reopened(&run.id, None).await;
    assert_eq!(names(&states), ["thread.run.requires_action", "done"]);
    assert_eq!(states[0].id, None);
    bench.replays(&run.id, &first).await;

    bench.model.says(&["Done."]);
    let outputs = vec![output("call_2", "ok")];
    let engine = &bench.engine;
    let submitted = engine.submit_tool_outputs(&bench.ws, &bench.thread, &run.id, outputs, true);
    let third = rest(&mut submitted.await.unwrap().1.unwrap()).await;
    assert!(first.last().unwrap().id < third[0].id);
    ids(&third);
    bench.replays(&run.id, &first).await;
    bench.replays(&run.id, &third).await;
}

#[tokio::test]
async fn an_event_that_was_never_told_is_refused() {
    let bench = Bench::new().await;
    bench.model.says(&["Hello"]);
    let (run, mut events) = bench.stream("hi").await;
    let last = rest(&mut events).await.pop().unwrap().id.unwrap();
    let refused = async |text: &str| {
        let opened = bench
            .engine
            .reopen(&bench.ws, &bench.thread, &run.id, Some(id(text)));
        matches!(opened.await, Err(Error::NoEvent(at)) if at == id(text))
    };
    for text in ["0.0", "0.3", "1.2", "1.0", "2.1", "9.9"] {
        assert!(refused(text).await, "{text}");
    }
    assert!(refused(&last.later(1).to_string()).await);

    // Nor is one that the worker has not come to yet.
    let model = bench.model.live();
    let (run, mut events) = bench.stream("again").await;
    model.send(word("Hello")).unwrap();
    let at = until(&mut events, "thread.message.delta").await.id.unwrap();
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, Some(at.later(1)));
    assert!(matches!(opened.await, Err(Error::NoEvent(_))));
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, Some(at));
    assert!(opened.await.is_ok());
}

#[tokio::test]
async fn a_journal_is_kept_for_a_while() {
    let settings = Settings {
        stream_retention: Duration::ZERO,
        ..Bench::settings(Limits::default())
    };
    let mut bench = Bench::idle(Options::memory(), settings).await;
    bench.engine.start().await.unwrap();
    let model = bench.model.live();
    let (active, mut events) = bench.stream("hi").await;
    model.send(word("Hello")).unwrap();
    until(&mut events, "thread.message.delta").await;
    assert_eq!(bench.store.events().sweep(i64::MAX, 100).await.unwrap(), 0);
    for event in end(FinishReason::Stop, 1) {
        model.send(event).unwrap();
    }
    drop(model);
    let seen = rest(&mut events).await;
    let last = seen[seen.len() - 3].id;
    let mut halfway = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &active.id, Some(id("0.1")))
        .await
        .unwrap();

    // The next process looks for journals whose time is over as soon as it starts.
    bench.restart().await;
    while bench.reopened(&active.id, last).await[0].id.is_some() {
        tokio::task::yield_now().await;
    }
    for after in [None, last] {
        let states = bench.reopened(&active.id, after).await;
        assert_eq!(names(&states), ["thread.run.completed", "done"]);
    }
    let seen = rest(&mut halfway).await;
    assert_eq!(names(&seen), ["thread.run.completed", "done"]);
}

#[tokio::test]
async fn the_first_stream_reads_no_table() {
    let settings = Settings {
        // What is pending goes with the commits.
        flush_every: Duration::from_hours(1),
        ..Bench::settings(Limits::default())
    };
    let bench = Bench::idle(Options::memory(), settings).await;
    bench.engine.start().await.unwrap();
    let words = vec!["word "; 200];
    bench.model.says(&words);
    let before = bench.store.stats().jobs;
    let (_, mut events) = bench.stream("hi").await;
    assert_eq!(rest(&mut events).await.len(), 211);
    // Assistant, create, claim, context, begin, finish; the worker's looks at an empty queue, and what
    // it sweeps at its start.
    let jobs = bench.store.stats().jobs - before;
    assert!((6..=10).contains(&jobs), "{jobs} jobs");
}

#[tokio::test]
async fn streams_of_a_deleted_thread_say_so() {
    let bench = Bench::new().await;
    let _model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    until(&mut events, "thread.run.in_progress").await;
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, None)
        .await;
    let mut second = opened.unwrap();
    bench
        .engine
        .delete_thread(&bench.ws, &bench.thread)
        .await
        .unwrap();
    for events in [&mut events, &mut second] {
        let seen = rest(events).await;
        assert_eq!(names(&seen), ["error", "done"]);
        assert!(seen.iter().all(|event| event.id.is_none()));
    }
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, None)
        .await;
    assert!(matches!(opened, Err(Error::NoRun(_))));
}
