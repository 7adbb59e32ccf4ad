//! Transactions that the server gives up, and statements that it ends.

use std::time::Duration;

use loomgate_store::{Error, Options, Postgres, Store};
use loomgate_testkit::postgres::Database;

use crate::{
    fixtures::{assistant, id, message, thread, ws},
    home::postgres,
};

/// A store whose inserts of messages, or assistants, fail with this code so many times.
fn failing(table: &str, code: &str, times: u32) -> Store {
    failing_at("TRIGGER fail BEFORE INSERT", table, code, times)
}

/// The same of the commits of such inserts.
fn failing_at_commit(table: &str, code: &str, times: u32) -> Store {
    failing_at("CONSTRAINT TRIGGER fail AFTER INSERT", table, code, times)
}

fn failing_at(trigger: &str, table: &str, code: &str, times: u32) -> Store {
    let deferred = if trigger.starts_with("CONSTRAINT") {
        "DEFERRABLE INITIALLY DEFERRED"
    } else {
        ""
    };
    let database = Database::new();
    let store = Store::open(Options::postgres(postgres(database.url()))).unwrap();
    // What a sequence gives out is not taken back with the transaction.
    database.execute(&format!(
        "CREATE SEQUENCE failures;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('failures') <= {times} THEN
                 RAISE EXCEPTION 'made up' USING ERRCODE = '{code}';
             END IF;
             RETURN NEW;
         END $$;
         CREATE {trigger} ON {table} {deferred} FOR EACH ROW EXECUTE FUNCTION fail();
         ALTER FUNCTION fail() SET search_path = {}",
        database.name()
    ));
    store
}

#[tokio::test]
async fn a_transaction_that_was_given_up_for_another_is_run_again() {
    for code in ["40001", "40P01"] {
        let store = failing("messages", code, 3);
        let first = vec![message(&id(1), 1)];
        let inserted = store.threads().insert(&ws(), thread(1), first).await;
        inserted.unwrap();
        let found = store.messages().get(&ws(), &id(1), &id(1)).await.unwrap();
        assert_eq!(found, Some(message(&id(1), 1)), "{code}");
        let store = failing("assistants", code, 3);
        let inserted = store.assistants().insert(&ws(), assistant(1)).await;
        inserted.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_always_given_up_fails_in_the_end() {
    let store = failing("messages", "40001", 1000);
    let first = vec![message(&id(1), 1)];
    let refused = store.threads().insert(&ws(), thread(1), first).await;
    let Err(Error::Driver(cause)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(cause.to_string(), "made up (SQLSTATE 40001)");
    assert_eq!(store.threads().get(&ws(), &id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn one_whose_commit_is_given_up_is_run_again_and_never_said_to_stand() {
    let insert = async |store: &Store| {
        let first = vec![message(&id(1), 1)];
        store.threads().insert(&ws(), thread(1), first).await
    };
    let store = failing_at_commit("messages", "40001", 3);
    insert(&store).await.unwrap();
    let found = store.messages().get(&ws(), &id(1), &id(1)).await.unwrap();
    assert_eq!(found, Some(message(&id(1), 1)));
    let store = failing_at_commit("messages", "40001", 1000);
    let refused = insert(&store).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(store.threads().get(&ws(), &id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn other_failures_are_the_jobs_own() {
    let store = failing("messages", "P0001", 1);
    let insert = async || {
        let first = vec![message(&id(1), 1)];
        store.threads().insert(&ws(), thread(1), first).await
    };
    let refused = insert().await;
    assert!(matches!(refused, Err(Error::Driver(_))), "{refused:?}");
    assert_eq!(store.threads().get(&ws(), &id(1)).await.unwrap(), None);
    insert().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let database = Database::new();
    let options = Postgres {
        connections: 1,
        statement_timeout: Duration::from_millis(50),
        ..postgres(database.url())
    };
    let store = Store::open(Options::postgres(options)).unwrap();
    database.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let first = vec![message(&id(1), 1)];
    let ended = store.threads().insert(&ws(), thread(1), first).await;
    // Nothing was written, and it may be tried again.
    assert!(matches!(ended, Err(Error::Unavailable(_))), "{ended:?}");
    let inserted = store.threads().insert(&ws(), thread(1), Vec::new()).await;
    inserted.unwrap();
}

#[tokio::test]
async fn a_failure_does_not_quote_what_was_to_be_written() {
    let database = Database::new();
    let store = Store::open(Options::postgres(postgres(database.url()))).unwrap();
    database.execute("ALTER TABLE assistants ADD CHECK (record = '')");
    let refused = store.assistants().insert(&ws(), assistant(1)).await;
    let Err(Error::Driver(cause)) = refused else {
        panic!("{refused:?}")
    };
    let (shown, debug) = (cause.to_string(), format!("{cause:?}"));
    assert!(shown.contains("(SQLSTATE 23514)"), "{shown}");
    for text in [shown, debug] {
        assert!(!text.contains("Be brief"), "{text}");
    }
}

#[tokio::test]
async fn a_text_with_a_zero_in_it_is_kept_as_well_as_can_be() {
    let database = Database::new();
    let store = Store::open(Options::postgres(postgres(database.url()))).unwrap();
    let pair = |object: &str| vec![(object.to_owned(), "tar\0get".to_owned())];
    store.affinity().put(&ws(), pair("a\0b")).await.unwrap();
    let found = store.affinity().get(&ws(), &["a\0b".to_owned()]).await;
    let expected = [("a\0b".to_owned(), "tar\u{fffd}get".to_owned())];
    assert_eq!(found.unwrap(), expected);
}

#[tokio::test]
async fn a_disk_without_room_is_told_and_nothing_of_the_job_stays() {
    for store in [
        failing("messages", "53100", 1),
        failing_at_commit("messages", "53100", 1),
    ] {
        let insert = async || {
            let first = vec![message(&id(1), 1)];
            store.threads().insert(&ws(), thread(1), first).await
        };
        let refused = insert().await;
        assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
        let left = store.threads().get(&ws(), &id(1)).await.unwrap();
        assert_eq!(left, None);
        insert().await.unwrap();
    }
}
