//! The schema: numbered steps, forward only.

use rusqlite::Connection;

use crate::Error;

/// Step `n` of this list, counted from 1, leads to schema `n`.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/0001_initial.sql")];

/// Brings the database to the newest schema, in one transaction; refuses one that is newer.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    apply(connection, MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")?;
    let found: i64 = transaction.query_row(
        "SELECT COALESCE(MAX(version), 0) FROM schema_version",
        [],
        |row| row.get(0),
    )?;
    for (sql, version) in migrations.iter().zip(1_i64..) {
        if version > found {
            transaction.execute_batch(sql)?;
            transaction.execute("INSERT INTO schema_version VALUES ($1)", [version])?;
        }
    }
    let known: i64 = migrations
        .iter()
        .zip(1..)
        .map(|(_, version)| version)
        .max()
        .unwrap_or(0);
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    transaction.commit()?;
    Ok(())
}
