//! Bringing a database up to date: numbered steps, forward only, one process at a time.

use std::sync::Arc;

use tokio_postgres::{Client, error::SqlState};

use super::{
    Session, Target, fault,
    listener::{PRESENCE, taken},
};
use crate::{
    Error, failpoint,
    schema::{COPYING, Migrated, Purpose, Schema, check, newest},
};

/// One row that is locked by whoever migrates. A row does the same on every database that speaks
/// PostgreSQL's language, and is let go of with the transaction.
const LOCK_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_lock (id BIGINT PRIMARY KEY)";
const LOCK_ROW: &str = "INSERT INTO schema_lock (id) VALUES (1) ON CONFLICT DO NOTHING";
pub(super) const LOCK: &str = "SELECT id FROM schema_lock WHERE id = 1 FOR UPDATE";

/// How often the table of the lock is made again: two who make it at once may both fail.
const ATTEMPTS: u32 = 5;

/// Brings the tables of all schemas up to date. One that is newer than this release is refused, and
/// nothing is changed then.
///
/// A database that is up to date is only read, so that a server's user needs no right to change
/// tables where `loomgate migrate` was run by one who has it.
pub(crate) fn migrate(
    target: &Arc<Target>,
    schemas: &[&Schema],
    purpose: Purpose,
) -> Result<Vec<Migrated>, Error> {
    let target = Arc::clone(target);
    let schemas: Vec<_> = schemas.iter().map(|schema| schema.steps()).collect();
    // Not on this thread, which may belong to a runtime.
    let work = std::thread::Builder::new().name("store-migrate".to_owned());
    let work = work.spawn(move || {
        let session = Session::open(&target, SETUP, Some(target.patience()))?;
        let found = session.run(async |client| look(client, &schemas, purpose).await);
        session.close();
        let found = found?;
        if found.iter().all(|schema| schema.from == schema.to) {
            return Ok(found);
        }
        // A migration takes the time that it needs.
        let session = Session::open(&target, SETUP, None)?;
        let migrated = session.run(async |client| run(client, &schemas, purpose).await);
        session.close();
        migrated
    })?;
    let ended = work.join();
    ended.unwrap_or(Err(Error::Unavailable("the migration ended in a panic")))
}

pub(super) const SETUP: &str = "SET default_transaction_isolation = 'read committed'";

/// A schema as it is migrated to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Whose it is.
    pub(crate) name: &'static str,
    /// The table of its version.
    pub(crate) version_table: &'static str,
    /// Step `n`, counted from 1, leads to version `n`.
    pub(crate) migrations: &'static [&'static str],
    /// The oldest version whose servers may go on beside the newest.
    pub(crate) beside: i64,
}

impl Steps {
    /// The version, and whether a copy is filling the tables. `None`: there are no such tables.
    async fn found(&self, client: &Client) -> Result<Option<(i64, bool)>, Error> {
        let sql = format!(
            "SELECT COALESCE(MAX(CASE WHEN version <> {COPYING} THEN version END), 0), \
             COUNT(CASE WHEN version = {COPYING} THEN 1 END) FROM {}",
            self.version_table
        );
        let read = |row: tokio_postgres::Row| {
            let marks: i64 = row.try_get(1)?;
            Ok::<_, tokio_postgres::Error>((row.try_get(0)?, marks > 0))
        };
        match client.query_one(&sql, &[]).await.and_then(read) {
            Ok(versions) => Ok(Some(versions)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
            Err(error) => Err(fault::error(&error)),
        }
    }

    fn outcome(&self, versions: (i64, bool), purpose: Purpose) -> Result<Migrated, Error> {
        let known = newest(self.migrations);
        check(versions, known, purpose)?;
        Ok(Migrated {
            name: self.name,
            from: versions.0,
            to: known,
        })
    }
}

/// What there is, without changing it.
async fn look(
    client: &Client,
    schemas: &[Steps],
    purpose: Purpose,
) -> Result<Vec<Migrated>, Error> {
    expect_release(client).await?;
    expect_utf8(client).await?;
    let mut found = Vec::new();
    for schema in schemas {
        let from = schema.found(client).await?;
        found.push(schema.outcome(from.unwrap_or_default(), purpose)?);
    }
    Ok(found)
}

async fn run(client: &Client, schemas: &[Steps], purpose: Purpose) -> Result<Vec<Migrated>, Error> {
    make_lock(client).await?;
    failpoint::point(format_args!("migration with its lock made"));
    told(client, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let migrated = migrate_locked(client, schemas, purpose).await;
    let end = if migrated.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    failpoint::point(format_args!("migration before its commit"));
    let ended = told(client, end).await;
    failpoint::point(format_args!("migration after its commit"));
    migrated.and_then(|migrated| ended.map(|()| migrated))
}

async fn migrate_locked(
    client: &Client,
    schemas: &[Steps],
    purpose: Purpose,
) -> Result<Vec<Migrated>, Error> {
    told(client, LOCK).await?;
    let mut migrated = Vec::new();
    for schema in schemas {
        let table = schema.version_table;
        let create = format!("CREATE TABLE IF NOT EXISTS {table} (version BIGINT PRIMARY KEY)");
        told(client, &create).await?;
        let versions = schema.found(client).await?.unwrap_or_default();
        migrated.push(schema.outcome(versions, purpose)?);
        let (from, _) = versions;
        if (1..schema.beside).contains(&from) {
            expect_alone(client).await?;
        }
        for (sql, version) in schema.migrations.iter().zip(1_i64..) {
            if version > from {
                told(client, sql).await?;
                failpoint::point(format_args!("migration of {} {version}", schema.name));
                let insert = format!("INSERT INTO {table} (version) VALUES ({version})");
                told(client, &insert).await?;
            }
        }
    }
    Ok(migrated)
}

/// No server uses the tables: one of the release before could not go on with what they become. None
/// starts until the transaction ends.
async fn expect_alone(client: &Client) -> Result<(), Error> {
    const OLDER: &str = "servers of a release before use it, which could not go on with new tables";
    told(client, "SAVEPOINT alone").await?;
    let lock = format!("SELECT pg_try_advisory_xact_lock({PRESENCE})");
    match taken(client, &lock).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::InUse(OLDER)),
        // Databases that only resemble PostgreSQL have no such locks.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => {
            told(client, "ROLLBACK TO SAVEPOINT alone").await
        }
        Err(error) => Err(fault::error(&error)),
    }
}

async fn make_lock(client: &Client) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        match client.batch_execute(LOCK_TABLE).await {
            Ok(()) => break,
            Err(error)
                if attempt < ATTEMPTS
                    && [
                        Some(&SqlState::UNIQUE_VIOLATION),
                        Some(&SqlState::DUPLICATE_TABLE),
                        // Of the type that comes with a table.
                        Some(&SqlState::DUPLICATE_OBJECT),
                    ]
                    .contains(&error.code()) =>
            {
                attempt += 1;
            }
            Err(error) => return Err(fault::error(&error)),
        }
    }
    failpoint::point(format_args!("migration with its table of locks made"));
    told(client, LOCK_ROW).await
}

/// The oldest PostgreSQL that will do, as it numbers itself.
const OLDEST: u32 = 15;
const NUMBERS_OF_A_RELEASE: u32 = 10_000;

/// It is new enough. Databases that only resemble PostgreSQL number themselves as they like.
async fn expect_release(client: &Client) -> Result<(), Error> {
    let sql = "SELECT current_setting('server_version_num'), version()";
    let read = |row: tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let told = client.query_one(sql, &[]).await.and_then(read);
    let (number, text): (String, String) = told.map_err(|error| fault::error(&error))?;
    check_release(&number, &text)
}

fn check_release(number: &str, text: &str) -> Result<(), Error> {
    let release = number.parse::<u32>().map(|it| it / NUMBERS_OF_A_RELEASE);
    let is_postgres = text.starts_with("PostgreSQL ") && !text.contains("-YB-");
    match release {
        Ok(release) if release < OLDEST && is_postgres => Err(Error::OldServer {
            found: release,
            oldest: OLDEST,
        }),
        _ => Ok(()),
    }
}

/// Texts of any language are kept.
async fn expect_utf8(client: &Client) -> Result<(), Error> {
    let row = client.query_one("SHOW server_encoding", &[]).await;
    let row = row.map_err(|error| fault::error(&error))?;
    let encoding: String = row.try_get(0).map_err(|error| fault::error(&error))?;
    if encoding.eq_ignore_ascii_case("UTF8") {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "its encoding is {encoding}; Loomgate needs one that was created with ENCODING 'UTF8'"
    )))
}

async fn told(client: &Client, sql: &str) -> Result<(), Error> {
    match client.batch_execute(sql).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_TABLE) => {
            let said = fault::error(&error);
            let said = std::error::Error::source(&said).map(ToString::to_string);
            Err(Error::corrupt(format!(
                "it has tables of another program: {}",
                said.unwrap_or_default()
            )))
        }
        Err(error) => Err(fault::error(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_too_old_is_refused() {
        for (number, text, is_taken) in [
            ("90624", "PostgreSQL 9.6.24 on x86_64-pc-linux-gnu", false),
            ("140009", "PostgreSQL 14.9 (Debian 14.9-1) on x86_64", false),
            ("150000", "PostgreSQL 15.0 on x86_64-pc-linux-gnu", true),
            ("170002", "PostgreSQL 17.2 on aarch64", true),
            ("130000", "CockroachDB CCL v24.1.0 (x86_64-linux)", true),
            ("110002", "PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64", true),
        ] {
            let checked = check_release(number, text);
            assert_eq!(checked.is_ok(), is_taken, "{text}: {checked:?}");
        }
        let refused = check_release("140009", "PostgreSQL 14.9").unwrap_err();
        let told = "the database is a PostgreSQL 14; 15 or newer is needed";
        assert_eq!(refused.to_string(), told);
    }
}
