//! Copying everything from one database to another, between the engines or not.
//!
//! Rows go over some at a time, in the order of their keys; how far a table has come is written with
//! them, in the target, so that a copy that was ended anywhere goes on from there. Until it is
//! finished, the target is marked as one that nobody can use. At the end both sides are read again
//! and compared, by their counts and by a sum over hashes of all rows, which is the same on both
//! engines.

mod digest;
mod tables;

use std::ops::ControlFlow;

use crate::{
    Error, Options, Sharing, Store,
    pool::Pool,
    schema::{COPYING, Purpose},
    tx::{Dialect, Tx, Value, statements, to_json, values},
};

pub use digest::Digest;

use digest::digest;
use tables::{LOGS, Part, RECORDS, Table};

/// The most rows in one transaction, and the size at which one is full.
const ROWS: i64 = 500;
const BYTES: usize = 8 << 20;

statements! {
    IS_MARKED = "SELECT 1 FROM schema_version WHERE version = $1";
    MARK = "INSERT INTO schema_version (version) VALUES ($1)";
    UNMARK = "DELETE FROM schema_version WHERE version = $1";
}

/// Statements about a table that is there only while a copy is made.
const MAKE_STATE: &str = "CREATE TABLE copy_state (name TEXT PRIMARY KEY, source TEXT NOT NULL, \
    place TEXT NOT NULL)";
const DROP_STATE: &str = "DROP TABLE copy_state";
const ADD_STATE: &str = "INSERT INTO copy_state (name, source, place) VALUES ($1, $2, $3) \
    ON CONFLICT DO NOTHING";
const ANY_STATE: &str = "SELECT source FROM copy_state LIMIT 1";
const STATE: &str = "SELECT source, place FROM copy_state WHERE name = $1";
const MOVE_STATE: &str = "UPDATE copy_state SET place = $1 WHERE name = $2";

/// The name that stands in the state once everything was compared.
const VERIFIED: &str = "(verified)";

/// A copy that was not made, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases.
    #[error(transparent)]
    Store(#[from] Error),
    /// The target has rows of its own.
    #[error("the target is not empty: there are rows in {0}")]
    NotEmpty(&'static str),
    /// The target holds a copy of something else that is not finished.
    #[error("the target holds an unfinished copy of {0}")]
    OtherCopy(String),
    /// The two are not the same in the end.
    #[error(
        "{table} differs: {} rows in the source, {} in the target{}",
        source_digest.rows,
        target_digest.rows,
        if source_digest.rows == target_digest.rows { ", with another checksum" } else { "" }
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// What the source holds.
        source_digest: Digest,
        /// What the target holds.
        target_digest: Digest,
    },
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done with the table.
    pub stage: Stage,
    /// The table.
    pub table: &'static str,
    /// Rows of it that are done.
    pub rows: u64,
    /// Rows that it has.
    pub of: u64,
}

/// What is done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its rows go over.
    Copy,
    /// They are compared.
    Verify,
}

/// Copies everything, or goes on with a copy of the same source. Both databases are used alone; the
/// source is not changed. Returns what each table holds on both sides.
///
/// `source` names the source in the target, for a copy that goes on; it holds no password. `words_of`
/// makes the words that a text is found by, which are not copied. `report` is told of each step.
///
/// Errors: [`CopyError`]; of [`Error`] also [`Error::OlderSchema`], when the source has to be
/// migrated first.
pub async fn copy(
    (from, source): (Options, String),
    (to, words_of): (Options, fn(&str) -> String),
    report: impl FnMut(Progress),
) -> Result<Vec<(&'static str, Digest)>, CopyError> {
    let alone = |options| Options {
        sharing: Sharing::Alone,
        ..options
    };
    let from = Store::open_for(&alone(from), Purpose::Source)?;
    let copied = match Store::open_for(&alone(to), Purpose::Target) {
        Ok(to) => {
            let copied = between(&from, (&to, words_of), &source, report).await;
            to.close().await;
            copied
        }
        Err(error) => Err(error.into()),
    };
    // Also of a copy that failed: both can be used again once this has returned.
    from.close().await;
    copied
}

async fn between(
    from: &Store,
    (to, words_of): (&Store, fn(&str) -> String),
    source: &str,
    mut report: impl FnMut(Progress),
) -> Result<Vec<(&'static str, Digest)>, CopyError> {
    let sides = sides(from, to);
    let mut is_verified = false;
    for side in &sides {
        if !is_verified {
            is_verified = side.begin(source).await?;
        }
    }
    let mut digests = Vec::new();
    for side in &sides {
        for (from, table) in &side.tables {
            if !is_verified {
                side.copy(from, table, words_of, &mut report).await?;
            }
        }
    }
    for side in &sides {
        for (from, table) in &side.tables {
            let digest = side.verify(from, table, &mut report).await?;
            digests.push((table.name, digest));
        }
    }
    if let Some(first) = sides.first() {
        first.remember_verified(source).await?;
    }
    // Should this be ended in between, then the first side still says that all is done.
    for side in sides.iter().rev() {
        side.finish().await?;
    }
    Ok(digests)
}

/// One database of the target, and the tables that go into it, with where they come from.
struct Side<'s> {
    to: &'s Pool,
    tables: Vec<(&'s Pool, &'static Table)>,
}

/// SQLite has two databases; the first is that of the records.
fn sides<'s>(from: &'s Store, to: &'s Store) -> Vec<Side<'s>> {
    let records = RECORDS.iter().map(|table| (from.records(), table));
    let logs = LOGS.iter().map(|table| (from.log_records(), table));
    let side = |to, tables| Side { to, tables };
    if to.is_shared() {
        vec![side(to.records(), records.chain(logs).collect())]
    } else {
        vec![
            side(to.records(), records.collect()),
            side(to.log_records(), logs.collect()),
        ]
    }
}

impl Side<'_> {
    /// Makes sure that the database is empty, and marks it; or that it holds the beginning of the
    /// same copy. Returns whether that was compared already.
    async fn begin(&self, source: &str) -> Result<bool, CopyError> {
        let tables: Vec<_> = self.tables.iter().map(|(_, table)| *table).collect();
        let is_marked = |tx: &mut dyn Tx| tx.exists(IS_MARKED, values![COPYING]);
        if self.to.read_one(is_marked).await? {
            let state = |tx: &mut dyn Tx| {
                let first = tx.row(ANY_STATE, &[], |row| Ok(row.text(0)?.to_owned()))?;
                Ok((first, tx.exists(STATE, values![VERIFIED])?))
            };
            return match self.to.read(state).await? {
                (Some(known), _) if known != source => Err(CopyError::OtherCopy(known)),
                (_, is_verified) => Ok(is_verified),
            };
        }
        for table in &tables {
            let sql = table.any();
            if self.to.read_one(move |tx| tx.exists(sql, &[])).await? {
                return Err(CopyError::NotEmpty(table.name));
            }
        }
        let source = source.to_owned();
        let begun = move |tx: &mut dyn Tx| {
            tx.execute(MAKE_STATE, &[])?;
            for table in &tables {
                let values = values![table.name, &source, to_json(&table.start())?];
                tx.execute(ADD_STATE, values)?;
            }
            tx.execute(MARK, values![COPYING])
        };
        self.to.write(begun).await?;
        Ok(false)
    }

    /// Copies what of a table is not there yet.
    async fn copy(
        &self,
        from: &Pool,
        table: &'static Table,
        words_of: fn(&str) -> String,
        report: &mut impl FnMut(Progress),
    ) -> Result<(), CopyError> {
        let name = table.name;
        let of = rows_of(from, table).await?;
        let mut rows = rows_of(self.to, table).await?;
        let (read, write) = (table.read(), table.write());
        loop {
            let step = |rows| Progress {
                stage: Stage::Copy,
                table: name,
                rows,
                of,
            };
            report(step(rows));
            let place = move |tx: &mut dyn Tx| tx.row(STATE, values![name], |row| row.json(1));
            let place: Option<Vec<Part>> = self.to.read_one(place).await?;
            let place = place.ok_or_else(|| Error::corrupt(format!("no state of {name}")))?;
            let chunk = chunk(from, table, read, place).await?;
            let Some(last) = chunk.last() else {
                return Ok(());
            };
            let reached = to_json(&table.place(last))?;
            let written = chunk.len() as u64;
            let write = move |tx: &mut dyn Tx| {
                tx.execute_all(write, &chunk)?;
                if let Some(derive) = table.derive {
                    derive(tx, &chunk, words_of)?;
                }
                tx.execute(MOVE_STATE, values![&reached, name])
            };
            match self.to.write(write).await {
                Ok(_) => rows += written,
                // The state knows whether it was written.
                Err(Error::Interrupted) => rows = rows_of(self.to, table).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Compares a table, and lets what numbers its rows go on behind them.
    async fn verify(
        &self,
        from: &Pool,
        table: &'static Table,
        report: &mut impl FnMut(Progress),
    ) -> Result<Digest, CopyError> {
        let of = rows_of(from, table).await?;
        let mut step = |rows| {
            report(Progress {
                stage: Stage::Verify,
                table: table.name,
                rows,
                of,
            });
        };
        let source_digest = digest(from, table, &mut step).await?;
        let target_digest = digest(self.to, table, &mut step).await?;
        if source_digest != target_digest {
            return Err(CopyError::Differs {
                table: table.name,
                source_digest,
                target_digest,
            });
        }
        if let Some(sql) = table.renumber() {
            let renumber = move |tx: &mut dyn Tx| match tx.dialect() {
                // Does so by itself.
                Dialect::Sqlite => Ok(()),
                Dialect::Postgres => tx.exists(sql, &[]).map(|_| ()),
            };
            self.to.write(renumber).await?;
        }
        Ok(source_digest)
    }

    async fn remember_verified(&self, source: &str) -> Result<(), CopyError> {
        let source = source.to_owned();
        let write = move |tx: &mut dyn Tx| tx.execute(ADD_STATE, values![VERIFIED, &source, ""]);
        self.to.write(write).await?;
        Ok(())
    }

    /// Lets the database be used.
    async fn finish(&self) -> Result<(), CopyError> {
        let finish = |tx: &mut dyn Tx| {
            if tx.execute(UNMARK, values![COPYING])? > 0 {
                tx.execute(DROP_STATE, &[])?;
            }
            Ok(())
        };
        Ok(self.to.write(finish).await?)
    }
}

async fn rows_of(pool: &Pool, table: &Table) -> Result<u64, Error> {
    let count = table.count();
    let count = pool.read_one(move |tx| tx.row(count, &[], |row| row.integer(0)));
    Ok(count.await?.map_or(0, i64::unsigned_abs))
}

/// The next rows behind a place, in the order of their keys.
async fn chunk(
    from: &Pool,
    table: &'static Table,
    sql: &'static str,
    place: Vec<Part>,
) -> Result<Vec<Vec<Value<'static>>>, Error> {
    let read = move |tx: &mut dyn Tx| {
        let mut parameters: Vec<Value<'_>> = place.iter().map(Part::value).collect();
        parameters.push(ROWS.into());
        let (mut rows, mut bytes) = (Vec::new(), 0);
        tx.visit(sql, &parameters, &mut |row| {
            let values = (0..table.columns.len()).map(|column| row.value(column));
            let values: Vec<_> = values.collect::<Result<_, _>>()?;
            bytes += values.iter().map(Value::bytes).sum::<usize>();
            rows.push(values.into_iter().map(Value::into_owned).collect());
            Ok(if bytes < BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(rows)
    };
    from.read_one(read).await
}
