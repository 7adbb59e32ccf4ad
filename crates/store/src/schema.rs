//! What is in each database: numbered steps, forward only.

use rusqlite::{Batch, Connection, fallible_iterator::FallibleIterator as _};

use crate::{Error, failpoint, postgres::Steps, statistics};

/// What keeps the assistants, the runs, and everything else that must not be lost: "Loom".
pub(crate) static RECORDS: Schema = Schema {
    name: "store",
    application_id: 0x4c6f_6f6d,
    version_table: "schema_version",
    durability: Durability::EachCommit,
    sqlite: &[
        include_str!("../migrations/sqlite/0001_initial.sql"),
        include_str!("../migrations/sqlite/0002_gateway.sql"),
        include_str!("../migrations/sqlite/0003_open_runs.sql"),
        include_str!("../migrations/sqlite/0004_run_events.sql"),
        include_str!("../migrations/sqlite/0005_receipts.sql"),
        include_str!("../migrations/sqlite/0006_waiting.sql"),
        include_str!("../migrations/sqlite/0007_marks.sql"),
        include_str!("../migrations/sqlite/0008_files.sql"),
        include_str!("../migrations/sqlite/0009_vector_stores.sql"),
        include_str!("../migrations/sqlite/0010_chunks.sql"),
        include_str!("../migrations/sqlite/0011_embeddings.sql"),
        include_str!("../migrations/sqlite/0012_postings.sql"),
        include_str!("../migrations/sqlite/0013_turns.sql"),
    ],
    postgres: &[
        include_str!("../migrations/postgres/0001_initial.sql"),
        include_str!("../migrations/postgres/0002_gateway.sql"),
        include_str!("../migrations/postgres/0003_open_runs.sql"),
        include_str!("../migrations/postgres/0004_run_events.sql"),
        include_str!("../migrations/postgres/0005_receipts.sql"),
        include_str!("../migrations/postgres/0006_waiting.sql"),
        include_str!("../migrations/postgres/0007_marks.sql"),
        include_str!("../migrations/postgres/0008_files.sql"),
        include_str!("../migrations/postgres/0009_vector_stores.sql"),
        include_str!("../migrations/postgres/0010_chunks.sql"),
        include_str!("../migrations/postgres/0011_embeddings.sql"),
        include_str!("../migrations/postgres/0012_postings.sql"),
        include_str!("../migrations/postgres/0013_turns.sql"),
    ],
    // Those before do not move the versions of vector stores.
    beside: 11,
};

/// What keeps the logs, apart from the records, so that a flood of logs delays no run: "Lool".
pub(crate) static LOGS: Schema = Schema {
    name: "logs",
    application_id: 0x4c6f_6f6c,
    version_table: "logs_schema_version",
    durability: Durability::Checkpoints,
    sqlite: &[
        include_str!("../migrations/sqlite/logs/0001_initial.sql"),
        include_str!("../migrations/sqlite/logs/0002_exports.sql"),
        include_str!("../migrations/sqlite/logs/0003_one_row.sql"),
        include_str!("../migrations/sqlite/logs/0004_receipts.sql"),
    ],
    postgres: &[
        include_str!("../migrations/postgres/logs/0001_initial.sql"),
        include_str!("../migrations/postgres/logs/0002_exports.sql"),
        include_str!("../migrations/postgres/logs/0003_one_row.sql"),
        include_str!("../migrations/postgres/logs/0004_receipts.sql"),
    ],
    // Those before read and write a table that is gone.
    beside: 3,
};

/// One of the databases; in PostgreSQL, its tables among the others.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What its threads are called.
    pub(crate) name: &'static str,
    /// Marks its file, for `file(1)` and so that no other file is taken for it.
    pub(crate) application_id: i64,
    /// The table of its version, where it shares a database with the other.
    version_table: &'static str,
    /// What outlives a loss of power.
    pub(crate) durability: Durability,
    /// Step `n` of this list, counted from 1, leads to version `n`.
    sqlite: &'static [&'static str],
    /// The same steps in the other language.
    postgres: &'static [&'static str],
    /// The oldest version whose releases may go on while others use the newest: nothing that they read
    /// or write is gone or means something else, and nothing is expected of them that they do not know.
    beside: i64,
}

/// What became of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// `store` or `logs`
    pub name: &'static str,
    /// The version that it had; 0: it was empty.
    pub from: i64,
    /// The version that it has.
    pub to: i64,
}

/// What outlives a loss of power. A crash of the process loses nothing either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Every answered write: it waits for the disk.
    EachCommit,
    /// Everything up to a checkpoint, some seconds old at most under load.
    Checkpoints,
}

impl Schema {
    /// Brings a database to the newest version, in one transaction; refuses one that is newer.
    pub(crate) fn migrate(
        &self,
        connection: &mut Connection,
        purpose: Purpose,
    ) -> Result<Migrated, Error> {
        let from = apply(connection, (self.name, self.sqlite), purpose)?;
        Ok(Migrated {
            name: self.name,
            from,
            to: newest(self.sqlite),
        })
    }

    /// What PostgreSQL is brought to the newest version by.
    pub(crate) fn steps(&self) -> Steps {
        Steps {
            name: self.name,
            version_table: self.version_table,
            migrations: self.postgres,
            beside: self.beside,
        }
    }
}

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be used.
    Use,
    /// To be copied: nothing is changed.
    Source,
    /// To be filled by a copy, which may have begun before.
    Target,
}

/// The version that marks a database which a copy is filling: newer than any, so that no release
/// takes it for its own.
pub(crate) const COPYING: i64 = 1 << 40;

/// Whether a database of these versions will do; how many steps it has behind it.
pub(crate) fn check(
    (found, is_copying): (i64, bool),
    known: i64,
    purpose: Purpose,
) -> Result<(), Error> {
    match purpose {
        _ if found > known => Err(Error::NewerSchema { found, known }),
        Purpose::Use | Purpose::Source if is_copying => Err(Error::Unfinished),
        Purpose::Source if found < known => Err(Error::OlderSchema { found, known }),
        _ => Ok(()),
    }
}

/// The version that the last step leads to.
pub(crate) fn newest(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

/// Returns the version that was found.
fn apply(
    connection: &mut Connection,
    (name, migrations): (&str, &[&str]),
    purpose: Purpose,
) -> Result<i64, Error> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")?;
    let found: i64 = transaction.query_row(
        "SELECT COALESCE(MAX(version), 0) FROM schema_version WHERE version <> $1",
        [COPYING],
        |row| row.get(0),
    )?;
    let marks: i64 = transaction.query_row(
        "SELECT COUNT(*) FROM schema_version WHERE version = $1",
        [COPYING],
        |row| row.get(0),
    )?;
    let known = newest(migrations);
    check((found, marks > 0), known, purpose)?;
    for (sql, version) in migrations.iter().zip(1_i64..) {
        if version > found {
            let mut statements = Batch::new(&transaction, sql);
            let mut number = 0;
            while let Some(mut statement) = statements.next()? {
                statement.execute([])?;
                number += 1;
                failpoint::point(format_args!("migration of {name} {version}.{number}"));
            }
            transaction.execute("INSERT INTO schema_version VALUES ($1)", [version])?;
        }
    }
    if purpose != Purpose::Source {
        statistics::settle(&transaction)?;
    }
    failpoint::point(format_args!("migration of {name} before its commit"));
    transaction.commit()?;
    failpoint::point(format_args!("migration of {name} after its commit"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_twin() {
        for schema in [&RECORDS, &LOGS] {
            assert_eq!(
                schema.sqlite.len(),
                schema.postgres.len(),
                "{}",
                schema.name
            );
        }
    }

    #[test]
    fn steps_are_applied_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE a (x BIGINT)";
        let two = "ALTER TABLE a ADD COLUMN y BIGINT";
        apply(&mut connection, ("test", &[one]), Purpose::Use).unwrap();
        apply(&mut connection, ("test", &[one, two]), Purpose::Use).unwrap();
        apply(&mut connection, ("test", &[one, two]), Purpose::Use).unwrap();
        connection
            .execute("INSERT INTO a VALUES (1, 2)", [])
            .unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE a (x BIGINT)";
        apply(
            &mut connection,
            ("test", &[one, "CREATE TABLE b (x BIGINT)"]),
            Purpose::Use,
        )
        .unwrap();
        let refused = apply(&mut connection, ("test", &[one]), Purpose::Use);
        assert!(matches!(
            refused,
            Err(Error::NewerSchema { found: 2, known: 1 })
        ));
    }

    #[test]
    fn a_failing_step_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        let bad = "CREATE TABLE b (x BIGINT); CREATE TABLE b (x BIGINT);";
        assert!(
            apply(
                &mut connection,
                ("test", &["CREATE TABLE a (x BIGINT)", bad]),
                Purpose::Use
            )
            .is_err()
        );
        let count = "SELECT COUNT(*) FROM sqlite_schema";
        let tables: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn words_of_before_are_asked_for_where_there_are_any() {
        for chunks in 0..=1 {
            let mut connection = Connection::open_in_memory().unwrap();
            let steps = |count: usize| ("test", &RECORDS.sqlite[..count]);
            apply(&mut connection, steps(11), Purpose::Use).unwrap();
            for seq in 0..chunks {
                connection
                    .execute(
                        "INSERT INTO chunks VALUES ($1, 'ws_1', 1, 1, 0, 0, 1, 'a')",
                        [seq],
                    )
                    .unwrap();
            }
            apply(&mut connection, steps(12), Purpose::Use).unwrap();
            let asked = "SELECT COUNT(*) FROM marks WHERE name = 'words_from' AND mark = '0'";
            let asked: i64 = connection.query_row(asked, [], |row| row.get(0)).unwrap();
            assert_eq!(asked, chunks);
        }
    }
}
