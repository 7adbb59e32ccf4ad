//! A database of the first release: what migrations have to do with, and what they leave.

use anyhow::Context as _;

use super::place::Place;
use crate::database::{Database, Records};

const SQLITE: [&str; 2] = [
    include_str!("../../../crates/store/migrations/sqlite/0001_initial.sql"),
    include_str!("../../../crates/store/migrations/sqlite/logs/0001_initial.sql"),
];
const POSTGRES: [&str; 2] = [
    include_str!("../../../crates/store/migrations/postgres/0001_initial.sql"),
    include_str!("../../../crates/store/migrations/postgres/logs/0001_initial.sql"),
];

/// The tables of the first release that are as they were.
const TABLES: [&str; 5] = ["workspaces", "assistants", "threads", "messages", "steps"];
/// The columns that runs had.
const RUN: &str = "seq, workspace_id, id, thread_id, assistant_id, created_at, status, expires_at, \
    version, fence, attempt, lease_owner, lease_until, state, usage, metadata, settings";
/// API keys as they were, in SQLite alone.
const KEYS: &str = "INSERT INTO api_keys (id, workspace_id, name, hash, hint, default_virtual_key, \
    created_at, revoked_at) SELECT 'key_1', id, 'first', 'hash-1', 'lg-made', NULL, 1700000000, NULL \
    FROM workspaces LIMIT 1; \
    INSERT INTO api_keys (id, workspace_id, name, hash, hint, default_virtual_key, created_at, \
    revoked_at) SELECT 'key_2', id, 'second', 'hash-2', 'lg-made', 'main', 1700000000, 1700000005 \
    FROM workspaces LIMIT 1;";
/// Marks the files.
const SQLITE_IDS: [&str; 2] = [
    "PRAGMA application_id = 0x4c6f6f6d;",
    "PRAGMA application_id = 0x4c6f6f6c;",
];

/// What takes the rows of a database of today over.
fn rows_of_today() -> String {
    let tables = TABLES.map(|table| format!("INSERT INTO {table} SELECT * FROM now.{table};"));
    let runs = format!("INSERT INTO runs ({RUN}) SELECT {RUN} FROM now.runs;");
    // Runs go before their steps.
    let [workspaces, assistants, threads, messages, steps] = tables;
    [workspaces, assistants, threads, messages, runs, steps].concat()
}

/// Turns the database of today into one of the first release.
pub(super) async fn make(place: &Place) -> anyhow::Result<()> {
    match &place.records {
        Records::Sqlite(_) => make_sqlite(place),
        records @ Records::Postgres(_) => {
            let database = Database::open(records).await?;
            let [store, logs] = POSTGRES;
            let rows = rows_of_today();
            let sql = format!(
                "ALTER SCHEMA public RENAME TO now; CREATE SCHEMA public; {store}; {logs}; {rows} \
                 CREATE TABLE schema_version (version BIGINT PRIMARY KEY); \
                 INSERT INTO schema_version VALUES (1); \
                 CREATE TABLE logs_schema_version (version BIGINT PRIMARY KEY); \
                 INSERT INTO logs_schema_version VALUES (1); DROP SCHEMA now CASCADE;"
            );
            database.rows(&sql).await?;
            Ok(())
        }
    }
}

fn make_sqlite(place: &Place) -> anyhow::Result<()> {
    let data = place.data();
    let now = data.join("now.db");
    {
        // Folds its log into the file.
        let today = rusqlite::Connection::open(data.join("loomgate.db"))?;
        today.execute("VACUUM INTO $1", [now.to_str().context("a path")?])?;
    }
    let [store_id, logs_id] = SQLITE_IDS;
    for (name, (sql, id)) in ["loomgate", "logs"]
        .into_iter()
        .zip(SQLITE.into_iter().zip([store_id, logs_id]))
    {
        for suffix in ["", "-wal", "-shm"] {
            let file = data.join(format!("{name}.db{suffix}"));
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        let old = rusqlite::Connection::open(data.join(format!("{name}.db")))?;
        old.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE schema_version (version BIGINT PRIMARY KEY); \
             INSERT INTO schema_version VALUES (1);",
        )?;
        old.execute_batch(id)?;
        old.execute_batch(sql)?;
        if name == "loomgate" {
            old.execute("ATTACH $1 AS now", [now.to_str().context("a path")?])?;
            old.execute_batch(&rows_of_today())?;
            old.execute_batch(KEYS)?;
        }
    }
    Ok(std::fs::remove_file(now)?)
}

/// All tables and all rows, as texts.
pub(super) async fn dump(records: &Records) -> anyhow::Result<Vec<String>> {
    let database = Database::open(records).await?;
    let mut lines = Vec::new();
    let (things, tables) = match records {
        Records::Sqlite(data) => {
            let attach = format!("ATTACH '{}' AS logs", data.join("logs.db").display());
            database.rows(&attach).await?;
            (
                "SELECT type, name, sql FROM main.sqlite_schema UNION ALL \
                 SELECT type, name, sql FROM logs.sqlite_schema",
                "SELECT 'main.' || name FROM main.sqlite_schema WHERE type = 'table' UNION ALL \
                 SELECT 'logs.' || name FROM logs.sqlite_schema WHERE type = 'table'",
            )
        }
        Records::Postgres(_) => (
            "SELECT table_name, column_name, data_type, is_nullable, column_default \
             FROM information_schema.columns WHERE table_schema = 'public' UNION ALL \
             SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes \
             WHERE schemaname = 'public'",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' \
             AND table_type = 'BASE TABLE'",
        ),
    };
    for thing in database.rows(things).await? {
        lines.push(format!("{thing:?}"));
    }
    for table in database.rows(tables).await?.into_iter().flatten().flatten() {
        for row in database.rows(&format!("SELECT * FROM {table}")).await? {
            lines.push(format!("{table}: {row:?}"));
        }
    }
    lines.sort();
    Ok(lines)
}
