//! Runs that are taken up by the transaction that makes them free.

use std::time::Duration;

use loomgate_domain::{Limits, PageRequest, RunId, Thread, ThreadId, run::RunStatus};
use loomgate_engine::{RunRequest, Settings, ThreadTarget};
use loomgate_store::Options;

use crate::harness::{Bench, Reply, calls, options, output, text, thread, user};

/// A request for a run on a thread of its own, which is made here.
async fn on_its_own(bench: &Bench, n: usize) -> (ThreadId, RunRequest) {
    let id = ThreadId::trusted(format!("thread_{n}"));
    let made = Thread {
        id: id.clone(),
        ..thread()
    };
    let threads = bench.store.threads();
    threads.insert(&bench.ws, made, Vec::new()).await.unwrap();
    let request = RunRequest {
        thread: ThreadTarget::Existing(id.clone(), vec![user("hi")]),
        ..bench.request("", options(false))
    };
    (id, request)
}

async fn status(bench: &Bench, thread: &ThreadId, run: &RunId) -> RunStatus {
    let runs = bench.store.runs();
    let found = runs.get(&bench.ws, thread, run).await.unwrap();
    found.unwrap().state.status()
}

/// Until the worker has looked into the queue, which is empty.
async fn at_rest(bench: &Bench) {
    bench.model.says(&["Hello"]);
    let run = bench.run("hi").await;
    bench.settled(&run.id).await;
}

#[tokio::test]
async fn a_run_costs_two_commits_a_leg() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::file(folder.path().join("loomgate.db"));
    let bench = Bench::on(options, Limits::default()).await;
    at_rest(&bench).await;
    let before = bench.store.stats().jobs;
    for _ in 0..10 {
        let call = [("call_1", "f", &["{}"][..])];
        bench.model.then(Reply::Events(calls(&call)));
        let run = bench.run("go").await;
        assert_eq!(
            run.state.status(),
            RunStatus::Queued,
            "what it was when it was asked for"
        );
        bench.settled(&run.id).await;
        bench.model.says(&["Done."]);
        let run = bench.submit(&run.id, vec![output("call_1", "1")]).await;
        assert_eq!(run.state.status(), RunStatus::Queued);
        let run = bench.settled(&run.id).await;
        assert_eq!(run.state.status(), RunStatus::Completed);
    }
    // Create, call; submit, finish. A sweep may come between.
    let jobs = bench.store.stats().jobs - before;
    assert!((40..=46).contains(&jobs), "{jobs} transactions");
}

#[tokio::test]
async fn without_a_place_a_run_waits_and_those_that_come_later_wait_behind_it() {
    let settings = Settings {
        concurrency: 2,
        ..Bench::settings(Limits::default())
    };
    let bench = Bench::idle(Bench::database(), settings).await;
    bench.engine.start().await.unwrap();
    at_rest(&bench).await;
    let models: Vec<_> = (0..6).map(|_| bench.model.live()).collect();
    // All at once: no more are taken up than there are places.
    let mut made = Vec::new();
    for n in 0..6 {
        let (thread, request) = on_its_own(&bench, n).await;
        made.push((thread, request));
    }
    let create = |request: &RunRequest| bench.engine.create_run(&bench.ws, request.clone());
    let runs = futures::future::join_all(made.iter().map(|(_, request)| create(request))).await;
    let runs: Vec<_> = runs.into_iter().map(|made| made.unwrap().run).collect();
    bench.model.asked(1 + 2).await;
    assert_eq!(bench.engine.running(), 2);
    let mut waiting = 0;
    for run in &runs {
        let status = status(&bench, &run.thread_id, &run.id).await;
        waiting += usize::from(status == RunStatus::Queued);
    }
    assert_eq!(waiting, 4);
    for model in models {
        for event in text(&["Hello"]) {
            model.send(event).unwrap();
        }
    }
    for run in &runs {
        while status(&bench, &run.thread_id, &run.id).await != RunStatus::Completed {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_at_any_moment_leaves_no_run_that_stands_still() {
    let bench = Bench::new().await;
    at_rest(&bench).await;
    let mut threads = Vec::new();
    for jobs in 0..6 {
        let (thread, request) = on_its_own(&bench, jobs).await;
        bench.model.then(Reply::Events(text(&["Hello"])));
        let (engine, ws) = (bench.engine.clone(), bench.ws.clone());
        let due = bench.store.stats().jobs + jobs as u64;
        #[expect(clippy::disallowed_methods, reason = "the test ends it")]
        let client = tokio::spawn(async move { engine.create_run(&ws, request).await });
        // Until the store has done so much; whoever asked for it does not know yet.
        while bench.store.stats().jobs < due && !client.is_finished() {
            tokio::task::yield_now().await;
        }
        client.abort();
        threads.push(thread);
    }
    // Everything that has begun comes to its end; nothing is given back.
    let left = bench.engine.drain(Duration::from_mins(1)).await.unwrap();
    assert_eq!(left, 0);
    let mut completed = 0;
    for thread in &threads {
        let runs = bench.store.runs();
        let page = runs.list(&bench.ws, thread, PageRequest::default()).await;
        for run in page.unwrap().unwrap().items {
            match run.state.status() {
                RunStatus::Completed => completed += 1,
                // Made while the process went away already.
                RunStatus::Queued => {}
                other => panic!("{thread}: {other:?}"),
            }
        }
    }
    assert!(completed > 0, "all of them went away too early");
}
