//! The same rows on both engines, and what is found in them.

use loomgate_testkit::postgres;

use super::*;

/// As much of the tables as is looked at.
const TABLES: &str = "
    CREATE TABLE runs (workspace_id TEXT, id TEXT, thread_id TEXT, status TEXT, expires_at BIGINT,
        attempt BIGINT, lease_owner TEXT, lease_until BIGINT, metadata TEXT, journal TEXT, state TEXT);
    CREATE TABLE waiting (workspace_id TEXT, id TEXT, thread_id TEXT);
    CREATE TABLE counters (subject TEXT, meter TEXT, amount BIGINT);
    INSERT INTO runs VALUES
        ('w', 'r1', 't1', 'in_progress', 9, 1, 'w1', 5, '{\"name\":\"7-2\"}', '{}', ''),
        ('w', 'r2', 't1', 'queued', 9, 0, 'w1', 0, '{\"name\":\"8-1-beside\"}', NULL, ''),
        ('w', 'r3', 't2', 'completed', 9, 1, NULL, NULL, '{}', NULL, ''),
        ('w', 'r4', 't3', 'completed', NULL, 1, NULL, NULL, '{}', NULL, ''),
        ('w', 'r5', 't3', 'cancelling', NULL, 1, NULL, NULL, '{}', NULL, '{\"started_at\":5}'),
        ('w', 'r6', 't3', 'cancelling', NULL, 1, 'w2', NULL, '{}', NULL, '{\"started_at\":null}'),
        ('w', 'r7', 't1', 'queued', NULL, 0, NULL, NULL, '{}', NULL, ''),
        ('w', 'r8', 't4', 'queued', NULL, 0, NULL, NULL, '{}', NULL, '');
    INSERT INTO waiting VALUES ('w', 'r7', 't1'), ('w', 'm1', 't1'), ('w', 'm2', 't3');
    INSERT INTO counters VALUES ('key:key_config_a', 'budget:tokens', 3),
        ('key:key_config_a', 'budget:tokens', 4), ('key:key_config_a', 'budget:cents', 9),
        ('workspace:x', 'budget:tokens', 7);";

async fn look(records: &Records) {
    let database = Database::open(records).await.unwrap();
    assert_eq!(database.locked_twice().await.unwrap(), ["t1"]);
    let mut wrong = database.locked_wrongly().await.unwrap();
    wrong.sort();
    assert_eq!(wrong, ["m2", "r3", "r5", "r8"]);
    let mut active = database.active().await.unwrap();
    active.sort_by_key(|run| run.number);
    let [odd, begun, queued] = &active[..] else {
        panic!("{active:?}")
    };
    assert_eq!(odd.number, 0);
    assert_eq!((begun.number, &*begun.status), (7, "in_progress"));
    assert_eq!(begun.owner.as_deref(), Some("w1"));
    assert!(begun.was_begun && begun.is_streamed);
    assert_eq!((queued.number, queued.owner.as_deref()), (8, None));
    assert!(!queued.was_begun && !queued.is_streamed);
    let used = database.used().await.unwrap();
    assert_eq!(used, BTreeMap::from([("a".to_owned(), 7)]));
    let nothing = database.rows("SELECT NULL, 1").await.unwrap();
    assert_eq!(nothing, [vec![None, Some("1".to_owned())]]);
    assert!(database.rows("SELECT nothing").await.is_err());
}

#[tokio::test]
async fn an_embedded_database_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("loomgate.db")).unwrap();
    file.execute_batch(TABLES).unwrap();
    drop(file);
    look(&Records::Sqlite(folder.path().to_owned())).await;
}

#[tokio::test]
async fn a_postgres_is_read() {
    let database = postgres::Database::new();
    database.execute(TABLES);
    // A parameter that is not PostgreSQL's own.
    let url = database.url().to_owned();
    look(&Records::Postgres(url)).await;
}

#[tokio::test]
async fn a_row_without_its_owner_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("loomgate.db")).unwrap();
    let tables = "PRAGMA foreign_keys = OFF; CREATE TABLE a (id TEXT PRIMARY KEY); \
        CREATE TABLE b (a TEXT REFERENCES a (id)); INSERT INTO b VALUES ('gone');";
    file.execute_batch(tables).unwrap();
    drop(file);
    let records = Records::Sqlite(folder.path().to_owned());
    let database = Database::open(&records).await.unwrap();
    let faults = database.faults().await.unwrap();
    assert_eq!(faults, ["b: a row without its owner"]);
}
