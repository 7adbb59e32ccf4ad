//! A process that ends between two turns of a run, by itself or not: what was finished is not done again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use loomgate_domain::{Clock as _, Limits, Run, RunId, WorkspaceId, run::RunStatus};
use loomgate_engine::{
    EmbedError, Embedder, ModelError, Purpose, RunRequest, Settings, ThreadTarget,
};
use loomgate_store::{ClaimRequest, Options, RunChange};
use loomgate_wire::{
    chat::{ChatEvent, FinishReason},
    request::CreateThread,
};
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc},
};

use crate::{
    harness::{Bench, Seen, calls, end, next, options, rest, user, word},
    searches::{create, index, search_of, searches, searching, waiting},
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

/// Counts searches. The first one never ends.
#[derive(Debug, Default)]
struct Counted {
    searches: AtomicUsize,
    asked: Notify,
}

impl Embedder for Counted {
    fn identity(&self) -> &'static str {
        "counted"
    }

    fn embed<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        texts: &'a [&'a str],
        _purpose: Purpose,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        let is_first = self.searches.fetch_add(1, Ordering::SeqCst) == 0;
        self.asked.notify_one();
        async move {
            if is_first {
                return std::future::pending().await;
            }
            Ok(texts.iter().map(|_| vec![1.0; 8]).collect())
        }
        .boxed()
    }
}

/// A process is a runtime here: it ends between two steps of its tasks, and they with it.
fn process() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

async fn kill(process: Runtime) {
    let ended = move || process.shutdown_timeout(LONG);
    tokio::task::spawn_blocking(ended).await.unwrap();
}

#[tokio::test]
async fn neither_a_turn_nor_a_search_that_was_finished_is_repeated_after_a_crash() {
    let embedder = Arc::new(Counted::default());
    let settings = Settings {
        embedder: Some(Arc::clone(&embedder) as Arc<dyn Embedder>),
        ..Bench::settings(Limits::default())
    };
    let mut bench = Bench::idle(Options::memory(), settings).await;
    let first = process();
    searches(&bench);
    let run: Run = {
        let _process = first.enter();
        bench.engine.start().await.unwrap();
        create(&bench, searching(&bench)).await
    };
    // It dies in the midst of the search: the turn before it stands, the search is carried out again.
    embedder.asked.notified().await;
    assert_eq!(search_of(&bench, &run).await, None);
    kill(first).await;

    let second = process();
    let model = bench.model.live();
    {
        let _process = second.enter();
        bench.restart().await;
    }
    bench.model.asked(2).await;
    assert_eq!(embedder.searches.load(Ordering::SeqCst), 2);
    // It dies in the midst of the next turn, which alone is asked for again.
    kill(second).await;
    drop(model);
    bench.model.says(&["I do not know."]);
    bench.restart().await;
    let ended = bench.settled(&run.id).await;
    assert_eq!(ended.state.status(), RunStatus::Completed);
    assert_eq!(embedder.searches.load(Ordering::SeqCst), 2);
    let requests = bench.model.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1], requests[2]);
    assert_eq!(search_of(&bench, &run).await, Some(Vec::new()));
}
