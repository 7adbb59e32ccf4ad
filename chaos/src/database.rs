//! What the server has written, read while it is down and without its code.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, config::DbConfig};

/// An embedded database whose server is gone. Looking at it leaves it as it is: the server that
/// comes next finds the log of changes (WAL) that the last one left.
pub(crate) struct Database(Connection);

/// A run that has not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active {
    /// Of its question.
    pub(crate) number: u32,
    pub(crate) status: String,
    /// A worker had it before.
    pub(crate) was_begun: bool,
    /// Its stream is kept.
    pub(crate) is_streamed: bool,
}

impl Database {
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(data.join("loomgate.db"))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(Self(connection))
    }

    /// What SQLite finds wrong with the file.
    pub(crate) fn faults(&self) -> anyhow::Result<Vec<String>> {
        let found = self.texts("PRAGMA integrity_check")?;
        let dangling = self.texts("SELECT \"table\" FROM pragma_foreign_key_check")?;
        let dangling = dangling
            .into_iter()
            .map(|table| format!("{table}: a row without its owner"));
        Ok(found
            .into_iter()
            .filter(|line| line != "ok")
            .chain(dangling)
            .collect())
    }

    /// Threads with more than one active run.
    pub(crate) fn locked_twice(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT thread_id FROM runs WHERE status IN ('queued', 'in_progress', \
             'requires_action', 'cancelling') GROUP BY thread_id HAVING COUNT(*) > 1",
        )
    }

    /// Runs whose status and whose lock say different things.
    pub(crate) fn locked_wrongly(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT id FROM runs WHERE (expires_at IS NOT NULL) <> (status IN ('queued', \
             'in_progress', 'requires_action', 'cancelling'))",
        )
    }

    /// The runs that have not ended.
    pub(crate) fn active(&self) -> anyhow::Result<Vec<Active>> {
        let mut statement = self.0.prepare(
            "SELECT json_extract(metadata, '$.name'), status, attempt, journal IS NOT NULL \
             FROM runs WHERE expires_at IS NOT NULL",
        )?;
        let rows = statement.query_map([], |row| {
            let name: Option<String> = row.get(0)?;
            let name = name.unwrap_or_default();
            let number = name.split('-').next().unwrap_or_default();
            Ok(Active {
                number: number.parse().unwrap_or(0),
                status: row.get(1)?,
                was_begun: row.get::<_, i64>(2)? > 0,
                is_streamed: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The tokens that each API key of the configuration has used, by its name.
    pub(crate) fn used(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut statement = self.0.prepare(
            "SELECT replace(subject, 'key:key_config_', ''), SUM(amount) FROM counters \
             WHERE meter = 'budget:tokens' AND subject LIKE 'key:%' GROUP BY 1",
        )?;
        let rows = statement.query_map([], |row| {
            let amount: i64 = row.get(1)?;
            Ok((row.get(0)?, amount.unsigned_abs()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn texts(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
