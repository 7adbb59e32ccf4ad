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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_applied_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE a (x BIGINT)";
        let two = "ALTER TABLE a ADD COLUMN y BIGINT";
        apply(&mut connection, &[one]).unwrap();
        apply(&mut connection, &[one, two]).unwrap();
        apply(&mut connection, &[one, two]).unwrap();
        connection
            .execute("INSERT INTO a VALUES (1, 2)", [])
            .unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE a (x BIGINT)";
        apply(&mut connection, &[one, "CREATE TABLE b (x BIGINT)"]).unwrap();
        let refused = apply(&mut connection, &[one]);
        assert!(matches!(
            refused,
            Err(Error::NewerSchema { found: 2, known: 1 })
        ));
    }

    #[test]
    fn a_failing_step_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        let bad = "CREATE TABLE b (x BIGINT); CREATE TABLE b (x BIGINT);";
        assert!(apply(&mut connection, &["CREATE TABLE a (x BIGINT)", bad]).is_err());
        let count = "SELECT COUNT(*) FROM sqlite_schema";
        let tables: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }
}
