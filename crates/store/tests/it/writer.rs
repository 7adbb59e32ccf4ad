//! Group commit: many jobs, few transactions, and no job harms another.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use loomgate_domain::Assistant;
use loomgate_store::{Error, Options, Store};
use tokio::task::JoinSet;

use crate::fixtures::{assistant, id, store, ws};

/// Keeps the writer busy until the gate is opened, so that jobs queue up behind it.
async fn hold_writer(store: &Store, jobs: &mut JoinSet<Result<(), Error>>) -> mpsc::Sender<()> {
    store
        .assistants()
        .insert(&ws(), assistant(0))
        .await
        .unwrap();
    let (gate, opened) = mpsc::channel::<()>();
    let (busy, mut is_busy) = tokio::sync::mpsc::channel(1);
    let store = store.clone();
    jobs.spawn(async move {
        let wait = move |it: Assistant| {
            busy.try_send(()).unwrap();
            opened.recv().unwrap();
            it
        };
        let updated = store.assistants().update(&ws(), &id(0), wait).await;
        updated.map(|_| ())
    });
    is_busy.recv().await.unwrap();
    gate
}

/// Sends one insert per number, and returns once all are in the queue.
async fn enqueue(
    store: &Store,
    jobs: &mut JoinSet<Result<(), Error>>,
    numbers: impl IntoIterator<Item = u32>,
) {
    let sent = Arc::new(AtomicUsize::new(0));
    let before = jobs.len();
    for n in numbers {
        let (store, sent) = (store.clone(), Arc::clone(&sent));
        jobs.spawn(async move {
            // On one thread, the next await does not yield before the job is in the queue.
            sent.fetch_add(1, Ordering::Relaxed);
            store.assistants().insert(&ws(), assistant(n)).await
        });
    }
    while sent.load(Ordering::Relaxed) < jobs.len() - before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn jobs_that_wait_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::file(folder.path().join("test.db"))).unwrap();
    let mut jobs = JoinSet::new();
    let gate = hold_writer(&store, &mut jobs).await;
    let before = store.stats();
    enqueue(&store, &mut jobs, 1..=64).await;
    gate.send(()).unwrap();
    for result in jobs.join_all().await {
        result.unwrap();
    }
    let after = store.stats();
    assert_eq!(after.jobs - before.jobs, 65);
    // That of the job in front, and one for all who waited.
    assert_eq!(after.commits - before.commits, 2);
    for n in 1..=64 {
        let found = store.assistants().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found, Some(assistant(n)));
    }
    store.close().await;
}

#[tokio::test]
async fn a_batch_has_a_limit() {
    let options = Options {
        batch: 10,
        ..Options::memory()
    };
    let store = Store::open(options).unwrap();
    let mut jobs = JoinSet::new();
    let gate = hold_writer(&store, &mut jobs).await;
    let before = store.stats();
    enqueue(&store, &mut jobs, 1..=30).await;
    gate.send(()).unwrap();
    jobs.join_all().await;
    assert_eq!(store.stats().commits - before.commits, 4);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait() {
    let options = Options {
        queue: 2,
        ..Options::memory()
    };
    let store = Store::open(options).unwrap();
    let mut jobs = JoinSet::new();
    let gate = hold_writer(&store, &mut jobs).await;
    enqueue(&store, &mut jobs, 1..=20).await;
    gate.send(()).unwrap();
    for result in jobs.join_all().await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_failing_job_is_rolled_back_alone() {
    let store = store();
    let mut jobs = JoinSet::new();
    let gate = hold_writer(&store, &mut jobs).await;
    let before = store.stats();
    // 3 comes twice; one of the two has to fail, between neighbours of the same transaction.
    enqueue(&store, &mut jobs, [1, 2, 3, 3, 4]).await;
    gate.send(()).unwrap();
    let results = jobs.join_all().await;
    assert_eq!(store.stats().commits - before.commits, 2);
    let failed: Vec<_> = results.iter().filter(|result| result.is_err()).collect();
    assert!(matches!(failed[..], [Err(Error::Duplicate)]), "{results:?}");
    for n in 1..=4 {
        let found = store.assistants().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found, Some(assistant(n)));
    }
}

#[tokio::test]
async fn a_panic_in_a_job_is_its_callers_error_and_nobody_elses() {
    let store = store();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    let update = store
        .assistants()
        .update(&ws(), &id(1), |_| panic!("made up"))
        .await;
    let Err(Error::Driver(cause)) = update else {
        panic!("a panic was taken for an answer")
    };
    assert!(cause.to_string().contains("made up"), "{cause}");
    let found = store.assistants().get(&ws(), &id(1)).await.unwrap();
    assert_eq!(found, Some(assistant(1)));
    store
        .assistants()
        .insert(&ws(), assistant(2))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_answered_write_is_seen_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        reader_threads: 4,
        ..Options::file(folder.path().join("test.db"))
    };
    let store = Store::open(options).unwrap();
    for n in 1..=50 {
        store
            .assistants()
            .insert(&ws(), assistant(n))
            .await
            .unwrap();
        let mut reads = JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            reads.spawn(async move { store.assistants().get(&ws(), &id(n)).await });
        }
        for found in reads.join_all().await {
            assert_eq!(found.unwrap(), Some(assistant(n)));
        }
    }
    store.close().await;
}

/// Threads of this process that read.
fn readers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "store-reader").count()
}

#[tokio::test]
async fn readers_are_started_once_jobs_wait_and_end_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        reader_threads: 3,
        ..Options::file(folder.path().join("test.db"))
    };
    let store = Store::open(options).unwrap();
    for n in 1..=20 {
        let found = store.assistants().get(&ws(), &id(n)).await;
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(readers(), 1, "one job at a time needs no further one");
    let mut reads = JoinSet::new();
    for n in 1..=500 {
        let store = store.clone();
        reads.spawn(async move { store.assistants().get(&ws(), &id(n)).await });
    }
    assert_eq!(reads.join_all().await.len(), 500);
    assert!((2..=3).contains(&readers()), "{} readers", readers());
    store.close().await;
    assert_eq!(readers(), 0);
}
