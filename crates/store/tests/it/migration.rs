//! A database of the first release opens, with everything in it.

use loomgate_domain::{
    Scope, Scopes, Timestamp,
    key::{ApiKey, KeySettings},
};
use loomgate_store::{Error, Options, Store};

use crate::{
    fixtures::{NOW, NOW_MS, claim, id, queued, run_ids, running, ws},
    home::Home,
    logs,
};

on_both_engines! {
    a_new_store_has_both_databases,
    log_records_of_two_rows_become_one,
}

/// Takes the logs back to when a record was two rows.
const TWO_ROWS: &str = "
CREATE TABLE log_details AS
    SELECT logs.workspace_id, logs.id, details, request_body, response_body FROM logs
    LEFT JOIN log_bodies ON log_bodies.workspace_id = logs.workspace_id AND log_bodies.id = logs.id;
ALTER TABLE logs DROP COLUMN details;
DROP TABLE log_bodies;
DROP TABLE log_receipts;
";

/// What the first release left behind.
const OLD: &str = r#"
CREATE TABLE schema_version (version BIGINT PRIMARY KEY);
INSERT INTO schema_version VALUES (1);
PRAGMA application_id = 0x4c6f6f6d;
INSERT INTO workspaces (id, name) VALUES ('ws_1', 'default');
INSERT INTO api_keys (id, workspace_id, name, hash, hint, default_virtual_key, created_at, revoked_at)
VALUES ('key_1', 'ws_1', 'first', 'hash-1', 'lg-made', NULL, 1700000000, NULL),
    ('key_2', 'ws_1', 'a "quoted" name', 'hash-2', 'lg-made', 'ma"in', 1700000000, 1700000005),
    ('key_3', 'ws_1', 'first', 'hash-3', 'lg-made', NULL, 1700000000, NULL);
"#;

/// Takes the rows of a thread's tables over from a database of today.
const ROWS: &str = "
INSERT INTO threads SELECT * FROM now.threads;
INSERT INTO messages SELECT * FROM now.messages;
INSERT INTO runs SELECT seq, workspace_id, id, thread_id, assistant_id, created_at, status,
    expires_at, version, fence, attempt, lease_owner, lease_until, state, usage, metadata, settings
    FROM now.runs;
";

#[tokio::test]
async fn an_old_database_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (now, old) = (folder.path().join("now.db"), folder.path().join("old.db"));
    let today = Store::open(Options::file(&now)).unwrap();
    let leased = running(&today, 1).await;
    let queued = queued(&today, 2).await;
    today.close().await;

    let connection = rusqlite::Connection::open(&old).unwrap();
    let first = include_str!("../../migrations/sqlite/0001_initial.sql");
    connection.execute_batch(first).unwrap();
    connection.execute_batch(OLD).unwrap();
    connection
        .execute("ATTACH $1 AS now", [now.to_str().unwrap()])
        .unwrap();
    connection.execute_batch(ROWS).unwrap();
    drop(connection);

    let store = Store::open(Options::file(&old)).unwrap();
    let found = store.runs().get(&ws(), &queued.thread_id, &queued.id).await;
    assert_eq!(found.unwrap(), Some(queued.clone()));
    let found = store
        .runs()
        .get(&ws(), &leased.run.thread_id, &leased.run.id)
        .await;
    assert_eq!(found.unwrap(), Some(leased.run.clone()));
    assert_eq!(store.runs().sealed(&ws(), &queued.id).await.unwrap(), None);
    store.runs().recover(NOW_MS).await.unwrap();
    let claims = claim(&store, "w", NOW_MS, 10).await;
    assert_eq!(run_ids(&claims), [leased.run.id, queued.id]);

    let keys = store.keys().list(Some(&ws())).await.unwrap();
    let old_key = |n: u32, name: &str, scopes: Scopes| ApiKey {
        id: id(n),
        workspace: ws(),
        name: name.into(),
        hash: format!("hash-{n}"),
        hint: "lg-made".into(),
        previous: None,
        settings: KeySettings {
            scopes,
            usage_since: NOW,
            ..KeySettings::default()
        },
        created_at: NOW,
        updated_at: NOW,
        revoked_at: None,
    };
    let mut second = old_key(2, "a \"quoted\" name", Scopes::usual());
    second.settings.default_virtual_key = Some("ma\"in".into());
    second.revoked_at = Some(Timestamp(NOW.0 + 5));
    second.updated_at = Timestamp(NOW.0 + 5);
    let expected = [
        old_key(1, "first", Scopes::new([Scope::Admin])),
        second,
        old_key(3, "first", Scopes::usual()),
    ];
    assert_eq!(keys, expected);
    store.close().await;
}

async fn a_new_store_has_both_databases(home: Home) {
    let store = home.open();
    assert_eq!(store.log_stats().jobs, 0);
    assert_eq!(store.logs().insert(Vec::new(), None).await.unwrap(), 0);
    assert_eq!((store.log_stats().jobs, store.stats().jobs), (1, 0));
}

async fn log_records_of_two_rows_become_one(home: Home) {
    let home = home.kept();
    let store = home.open();
    let kept = [logs::full(1), logs::record(&ws(), 2)];
    store.logs().insert(kept.to_vec(), None).await.unwrap();
    store.close().await;
    let back = |versions: &str| format!("{TWO_ROWS} DELETE FROM {versions} WHERE version > 2;");
    if let Home::Postgres(database) = &home {
        database.execute(&back("logs_schema_version"));
    } else {
        let file = home.file().unwrap().with_file_name("logs.db");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch(&back("schema_version")).unwrap();
    }

    let store = home.open();
    for record in kept {
        let found = store.logs().get(&ws(), &record.id).await.unwrap();
        assert_eq!(found, Some(record));
    }
}

/// Some steps leave nothing behind that a server of the release before could go on with.
#[tokio::test]
async fn servers_go_on_beside_a_new_release_or_keep_it_from_new_tables() {
    let home = Home::postgres();
    let before = home.open();
    // As if it had been of the release before: the last step only replaced an index.
    home.execute("DELETE FROM schema_version WHERE version > 12");
    home.open().close().await;

    home.execute(&format!(
        "{TWO_ROWS} DELETE FROM logs_schema_version WHERE version > 2"
    ));
    let refused = Store::open(home.options());
    assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    assert_eq!(home.count("log_details"), 0, "nothing was changed");
    before.close().await;
    let store = home.open();
    assert_eq!(store.migrated()[1].from, 2);
    store.close().await;
}
