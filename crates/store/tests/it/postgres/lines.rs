//! A line that breaks, at the worst moments: what was answered stands, what could not be written
//! says so, and what nobody can know is told to be so.

use std::time::Duration;

use loomgate_store::{Error, Options, Postgres, Store};
use loomgate_testkit::postgres::{Cut, Database, Line};

use crate::{
    fixtures::{assistant, id, message, thread, ws},
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
        Self::waiting(Duration::from_secs(20))
    }

    fn waiting(wait: Duration) -> Self {
        let (line, database) = (Line::new(), Database::new());
        let options = Postgres {
            connections: 1,
            log_connections: 1,
            wait,
            ..postgres(&line.to(&database))
        };
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
