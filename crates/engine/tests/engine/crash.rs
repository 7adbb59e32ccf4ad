//! A process that ends at any moment, between any two flushes: what it stored is told again, what
//! it only told is never contradicted, and its successor goes on.

use std::time::Duration;

use loomgate_domain::{Limits, run::EventId};
use loomgate_engine::Settings;
use loomgate_store::Options;

use crate::harness::{Bench, Seen, names, next, word};

/// Deltas of one flush.
const FLUSHED: usize = 3;
const WORD: &str = "word ";

/// How many deltas the table has.
async fn stored(bench: &Bench, run: &loomgate_domain::RunId) -> (usize, EventId) {
    let events = bench.store.events();
    let followed = events.follow(&bench.ws, run, EventId::START, 1000).await;
    let rows = followed.unwrap().unwrap().rows;
    let deltas = rows
        .iter()
        .map(|stored| stored.row.body.matches(WORD).count());
    (deltas.sum(), rows.last().unwrap().row.last)
}

/// Ends a process after it has told `told` deltas, and lets another one go on.
async fn crash_after(told: usize) {
    let settings = Settings {
        flush_every: Duration::from_hours(1),
        flush_bytes: FLUSHED * WORD.len(),
        ..Bench::settings(Limits::default())
    };
    let mut bench = Bench::idle(Options::memory(), settings).await;
    // A process is a runtime here: it ends between two steps of its tasks, and they with it.
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let engine = bench.engine.clone();
    process
        .spawn(async move { engine.start().await })
        .await
        .unwrap()
        .unwrap();
    let model = bench.model.live();
    let (run, mut events) = {
        // It is asked there, too.
        let _process = process.enter();
        bench.stream("hi").await
    };
    let mut seen: Vec<Seen> = Vec::new();
    for n in 1..=told {
        model.send(word(WORD)).unwrap();
        while seen
            .iter()
            .filter(|it| it.name == "thread.message.delta")
            .count()
            < n
        {
            seen.push(next(&mut events).await.unwrap());
        }
        // The first delta goes with the commit that begins the message.
        let flushed = 1 + (n - 1) / FLUSHED * FLUSHED;
        while stored(&bench, &run.id).await.0 < flushed {
            tokio::task::yield_now().await;
        }
    }
    let ended = move || process.shutdown_timeout(Duration::from_mins(1));
    tokio::task::spawn_blocking(ended).await.unwrap();
    drop(model);
    let (kept, last) = stored(&bench, &run.id).await;
    assert_eq!(kept, 1 + (told - 1) / FLUSHED * FLUSHED);

    // A client that comes back before anybody took the run up waits for that.
    let from = seen.last().unwrap().id;
    bench.engine = bench.another(&Bench::settings(Limits::default()));
    let opened = bench
        .engine
        .reopen(&bench.ws, &bench.thread, &run.id, from)
        .await;
    let mut waiting = opened.unwrap();
    bench.model.says(&["A whole", " answer."]);
    bench.engine.start().await.unwrap();
    let resumed = crate::harness::rest(&mut waiting).await;
    assert_eq!(
        names(&resumed),
        [
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.message.created",
            "thread.message.in_progress",
            "thread.message.delta x2",
            "thread.message.completed",
            "thread.run.step.completed",
            "thread.run.completed",
            "done",
        ],
        "told {told}"
    );
    // What ends holds every part that was told.
    let content = &resumed[0].data["content"][0]["text"]["value"];
    assert_eq!(content, &WORD.repeat(kept));
    assert_eq!(
        resumed[0].id.unwrap(),
        EventId {
            attempt: 2,
            number: last.number + 1
        }
    );

    let before: Vec<_> = seen
        .iter()
        .filter(|it| it.id.unwrap() <= last)
        .cloned()
        .collect();
    let whole: Vec<_> = before.iter().chain(&resumed).cloned().collect();
    assert_eq!(bench.reopened(&run.id, None).await, whole, "told {told}");
    bench.replays(&run.id, &whole).await;
    // Whoever had been told more goes on with the next attempt.
    for event in seen.iter().filter(|it| it.id.unwrap() > last) {
        assert_eq!(
            bench.reopened(&run.id, event.id).await,
            resumed,
            "after {:?}",
            event.id
        );
    }
    assert_eq!(bench.said().await, ["A whole answer."]);
}

#[tokio::test]
async fn a_crash_between_any_two_flushes_loses_only_what_was_not_stored() {
    for told in 1..=2 * FLUSHED + 1 {
        crash_after(told).await;
    }
}
