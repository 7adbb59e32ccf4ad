//! A line that breaks, at the worst moments: what was answered stands, what could not be written
//! says so, and what nobody can know is told to be so.

use std::time::Duration;

use loomgate_store::{Error, Lease, Options, Postgres, RunChange, Store};
use loomgate_testkit::postgres::{Cut, Database, Line};

use crate::{
    fixtures::{NOW_MS, assistant, claim, completed, id, message, queued, thread, ws},
    home::postgres,
};

/// A store at the end of a line, with one connection, and one without a line.
struct Ends {
    line: Line,
    store: Store,
    aside: Store,
}

impl Ends {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn waiting(wait: Duration) -> Self {
        Self::with(|options| options.wait = wait)
    }

    fn with(set: impl FnOnce(&mut Postgres)) -> Self {
        let (line, database) = (Line::new(), Database::new());
        let mut options = Postgres {
            connections: 1,
            log_connections: 1,
            wait: Duration::from_secs(20),
            ..postgres(&line.to(&database))
        };
        set(&mut options);
        Self {
            store: Store::open(Options::postgres(options)).unwrap(),
            aside: Store::open(Options::postgres(postgres(database.url()))).unwrap(),
            line,
        }
    }

    async fn insert(&self, n: u32) -> Result<(), Error> {
        self.store.assistants().insert(&ws(), assistant(n)).await
    }

    async fn is_kept(&self, n: u32) -> bool {
        let found = self.aside.assistants().get(&ws(), &id(n)).await;
        found.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_connection_that_was_lost_is_replaced_before_the_next_job() {
    let ends = Ends::new();
    ends.insert(1).await.unwrap();
    ends.line.cut();
    ends.insert(2).await.unwrap();
    ends.line.cut();
    let first = vec![message(&id(1), 1)];
    let inserted = ends.store.threads().insert(&ws(), thread(1), first).await;
    inserted.unwrap();
    ends.line.cut();
    let found = ends.store.assistants().get(&ws(), &id(2)).await.unwrap();
    assert_eq!(found, Some(assistant(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_wait_for_the_line() {
    let ends = Ends::new();
    ends.insert(1).await.unwrap();
    ends.line.close();
    let store = ends.store.clone();
    let waiting = async move { store.assistants().insert(&ws(), assistant(2)).await };
    let mut waiting = tokio::task::JoinSet::from_iter([waiting]);
    let line = ends.line;
    let line = tokio::task::spawn_blocking(move || {
        line.refused();
        line
    });
    line.await.unwrap().open();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    let found = ends.aside.assistants().get(&ws(), &id(2)).await.unwrap();
    assert_eq!(found, Some(assistant(2)));
}

#[tokio::test]
async fn jobs_do_not_wait_for_ever_and_the_store_says_that_it_is_not_ready() {
    let ends = Ends::waiting(Duration::from_millis(200));
    ends.store.ping().await.unwrap();
    ends.line.close();
    for n in 1..=3 {
        let refused = ends.insert(n).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    let ping = ends.store.ping().await;
    assert!(matches!(ping, Err(Error::Unavailable(_))), "{ping:?}");
    let read = ends.store.assistants().get(&ws(), &id(1)).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    ends.line.open();
    while ends.store.ping().await.is_err() {
        tokio::task::yield_now().await;
    }
    ends.insert(4).await.unwrap();
    for n in 1..=3 {
        assert!(!ends.is_kept(n).await, "{n} was refused");
    }
}

#[tokio::test]
async fn a_job_that_nobody_begins_in_time_is_refused_and_never_done() {
    let ends = Ends::waiting(Duration::from_millis(500));
    ends.insert(1).await.unwrap();
    ends.line.cut_at("asst_2", Cut::Silence);
    let store = ends.store.clone();
    let busy = async move { store.assistants().insert(&ws(), assistant(2)).await };
    let mut busy = tokio::task::JoinSet::from_iter([busy]);
    while !ends.line.was_cut() {
        tokio::task::yield_now().await;
    }
    let refused = ends.insert(3).await.unwrap_err();
    assert!(refused.to_string().ends_with("free in time"), "{refused}");
    assert!(busy.try_join_next().is_none(), "it has the one connection");
    ends.line.cut();
    let told = busy.join_next().await.unwrap().unwrap();
    assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
    ends.insert(4).await.unwrap();
    assert!(!ends.is_kept(3).await);
}

#[tokio::test]
async fn a_transaction_that_is_cut_off_before_its_commit_is_run_again() {
    let ends = Ends::new();
    for at in ["BEGIN", "thread_1"] {
        ends.line.cut_at(at, Cut::Before);
        let first = vec![message(&id(1), 1)];
        let inserted = ends.store.threads().insert(&ws(), thread(1), first).await;
        inserted.unwrap();
        assert!(ends.line.was_cut(), "{at}");
        let deleted = ends.store.threads().delete(&ws(), &id(1)).await;
        assert!(deleted.unwrap().is_some(), "{at}");
    }
}

#[tokio::test]
async fn a_commit_that_was_cut_off_is_told_to_be_one() {
    let ends = Ends::new();
    for (n, cut, is_kept) in [(1, Cut::Before, false), (2, Cut::After, true)] {
        ends.line.cut_at("COMMIT\0", cut);
        let first = vec![message(&id(n), n)];
        let told = ends.store.threads().insert(&ws(), thread(n), first).await;
        assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
        let found = ends.aside.threads().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found.is_some(), is_kept, "{cut:?}");
    }
}

#[tokio::test]
async fn a_line_that_is_half_open_is_given_up() {
    let ends = Ends::with(|options| options.statement_timeout = Duration::from_millis(100));
    let insert = async |n: u32| {
        let first = vec![message(&id(n), n)];
        ends.store.threads().insert(&ws(), thread(n), first).await
    };
    // The transaction that nobody hears of any more is undone, and done again on another line.
    ends.line.cut_at("INSERT INTO threads", Cut::Silence);
    insert(1).await.unwrap();
    assert!(ends.line.was_cut());
    ends.line.cut_at("COMMIT\0", Cut::Silence);
    let told = insert(2).await;
    assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
    insert(3).await.unwrap();
}

#[tokio::test]
async fn whoever_falls_silent_in_a_transaction_keeps_its_rows_for_some_seconds_alone() {
    let Ends { line, store, aside } = Ends::new();
    queued(&aside, 1).await;
    let claimed = claim(&aside, "w", NOW_MS, 1).await.remove(0);
    let lease = Lease {
        ws: ws(),
        run: id(1),
        fence: claimed.fence,
    };
    line.cut_at("COMMIT\0", Cut::Silence);
    let mut silent = tokio::task::JoinSet::new();
    silent.spawn(async move { store.runs().heartbeat("w", vec![lease], NOW_MS).await });
    while !line.was_cut() {
        tokio::task::yield_now().await;
    }
    // Another process starts at once, whatever it could take.
    assert_eq!(aside.runs().recover(i64::MAX).await.unwrap(), 0);
    let decide = |_| Ok::<_, ()>(Some(RunChange::to(completed())));
    let runs = aside.runs();
    let commanded = runs.command(&ws(), &id(1), &id(1), decide, NOW_MS).await;
    assert!(commanded.unwrap().unwrap().unwrap().changed);
    line.cut();
    let told = silent.join_next().await.unwrap().unwrap();
    assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
}

#[tokio::test]
async fn a_start_over_a_line_that_is_half_open_fails() {
    let (line, database) = (Line::new(), Database::new());
    drop(Store::open(Options::postgres(postgres(database.url()))).unwrap());
    let options = || {
        Options::postgres(Postgres {
            statement_timeout: Duration::from_millis(100),
            ..postgres(&line.to(&database))
        })
    };
    for at in ["server_encoding", "pg_try_advisory_lock"] {
        line.cut_at(at, Cut::Silence);
        let opened = Store::open(options()).map(drop);
        assert!(matches!(opened, Err(Error::Unavailable(_))), "{opened:?}");
        assert!(line.was_cut(), "{at}");
    }
    drop(Store::open(options()).unwrap());
}

#[tokio::test]
async fn a_single_write_that_was_sent_is_not_sent_again() {
    let ends = Ends::new();
    for (n, cut, is_kept) in [(1, Cut::Before, false), (2, Cut::After, true)] {
        // The first of its kind is cut off while it is prepared: that changes nothing.
        ends.line.cut_at("INSERT INTO assistants", Cut::Before);
        ends.insert(10 + n).await.unwrap();
        assert!(ends.line.was_cut());
        ends.line.cut_at(&format!("asst_{n}"), cut);
        let told = ends.insert(n).await;
        assert!(matches!(told, Err(Error::Interrupted)), "{told:?}");
        assert_eq!(ends.is_kept(n).await, is_kept, "{cut:?}");
    }
}

#[tokio::test]
async fn reads_are_asked_again() {
    let ends = Ends::new();
    ends.insert(1).await.unwrap();
    for cut in [Cut::Before, Cut::After] {
        ends.line.cut_at("asst_1", cut);
        let found = ends.store.assistants().get(&ws(), &id(1)).await.unwrap();
        assert_eq!(found, Some(assistant(1)), "{cut:?}");
        assert!(ends.line.was_cut());
        ends.line.cut_at("asst_1", cut);
        let request = loomgate_domain::PageRequest {
            before: Some(id(1)),
            ..loomgate_domain::PageRequest::default()
        };
        let page = ends.store.assistants().list(&ws(), request).await.unwrap();
        assert!(page.items.is_empty(), "{cut:?}");
        assert!(ends.line.was_cut());
    }
}

#[tokio::test]
async fn a_session_that_an_operator_ends_is_replaced() {
    let (database, name) = (Database::new(), "ended_by_the_operator");
    let url = format!("{}&application_name={name}", database.url());
    let store = Store::open(Options::postgres(postgres(&url))).unwrap();
    for n in 1..=20 {
        let inserted = store.assistants().insert(&ws(), assistant(n)).await;
        inserted.unwrap();
        database.execute(&format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE application_name = '{name}' AND state = 'idle'"
        ));
    }
    let found = store.assistants().get(&ws(), &id(20)).await.unwrap();
    assert_eq!(found, Some(assistant(20)));
}

#[tokio::test]
async fn a_closed_store_does_what_is_queued_and_refuses_the_rest() {
    let database = Database::new();
    let store = Store::open(Options::postgres(postgres(database.url()))).unwrap();
    let clone = store.clone();
    let mut queued = tokio::task::JoinSet::new();
    for n in 1..=20 {
        let store = store.clone();
        queued.spawn(async move { store.assistants().insert(&ws(), assistant(n)).await });
    }
    // On one thread, all of them are in the queue after this.
    tokio::task::yield_now().await;
    store.close().await;
    for result in queued.join_all().await {
        result.unwrap();
    }
    let write = clone.assistants().insert(&ws(), assistant(21)).await;
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
    let ping = clone.ping().await;
    assert!(matches!(ping, Err(Error::Unavailable(_))), "{ping:?}");
    clone.close().await;
    assert_eq!(database.texts("SELECT COUNT(*) FROM assistants"), ["20"]);
}
