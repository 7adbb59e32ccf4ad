//! Bringing a database up to date, and refusing what is none of ours.

use loomgate_store::{Error, Migrated, Options, Store};
use loomgate_testkit::postgres::Database;

use crate::{
    fixtures::{assistant, id, ws},
    home::postgres,
};

fn open(database: &Database) -> Result<Store, Error> {
    Store::open(Options::postgres(postgres(database.url())))
}

#[test]
fn processes_that_start_together_migrate_once() {
    let database = Database::new();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let database = database.clone();
            std::thread::spawn(move || open(&database).unwrap().migrated().to_vec())
        })
        .collect();
    let found = starts.into_iter().map(|start| start.join().unwrap());
    let moved = found.flatten().filter(|it: &Migrated| it.from < it.to);
    let mut moved: Vec<_> = moved.map(|it| (it.name, it.from)).collect();
    // One may have made the first and another the second.
    moved.sort_unstable();
    assert_eq!(moved, [("logs", 0), ("store", 0)]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let database = Database::new();
    open(&database).unwrap().close().await;
    database.execute("INSERT INTO logs_schema_version VALUES (4711)");
    let refused = open(&database);
    assert!(
        matches!(refused, Err(Error::NewerSchema { found: 4711, .. })),
        "{refused:?}"
    );
    // Also before anything is changed in the other one.
    database.execute("DROP TABLE schema_version");
    let refused = open(&database);
    assert!(matches!(refused, Err(Error::NewerSchema { .. })));
    let left = "SELECT to_regclass('schema_version') IS NULL";
    assert_eq!(database.texts(left), ["t"]);
}

#[test]
fn tables_of_another_program_are_refused_and_left_alone() {
    let database = Database::new();
    database.execute("CREATE TABLE threads (theirs TEXT)");
    let refused = open(&database);
    let Err(Error::Corrupt { what }) = refused else {
        panic!("{refused:?}")
    };
    assert!(what.contains("\"threads\" already exists"), "{what}");
    let left = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema";
    assert_eq!(database.texts(left), ["2"], "theirs, and that of the lock");
}

#[tokio::test]
async fn a_server_needs_no_right_to_change_tables_once_they_are_there() {
    let database = Database::new();
    let name = database.name();
    let user = format!("user_{name}");
    loomgate_testkit::postgres::admin(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {name} TO {user}"
    ));
    let url = database.url();
    let (_, rest) = url.split_once('@').unwrap();
    let url = format!("postgres://{user}:p@{rest}");
    let options = || Options::postgres(postgres(&url));
    let refused = Store::open(options());
    assert!(matches!(refused, Err(Error::Driver(_))), "{refused:?}");

    open(&database).unwrap().close().await;
    database.execute(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {user}"
    ));
    let store = Store::open(options()).unwrap();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    let found = store.assistants().get(&ws(), &id(1)).await.unwrap();
    assert_eq!(found, Some(assistant(1)));
    store.close().await;
}
