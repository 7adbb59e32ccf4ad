//! The file of an embedded database whose server is gone.

use std::path::Path;

use rusqlite::{Connection, config::DbConfig, types::ValueRef};

use super::Row;

/// Looking at it leaves it as it is: the server that comes next finds the log of changes (WAL) that
/// the last one left.
pub(crate) struct File(Connection);

impl File {
    pub(super) fn open(data: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(data.join("loomgate.db"))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(Self(connection))
    }

    pub(super) fn rows(&self, sql: &str) -> anyhow::Result<Vec<Row>> {
        let mut statement = self.0.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let texts = (0..columns).map(|column| Ok(text(row.get_ref(column)?)));
            texts.collect()
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What SQLite finds wrong with the file, and rows without their owner.
    pub(super) fn faults(&self) -> anyhow::Result<Vec<String>> {
        let found = self.rows("PRAGMA integrity_check")?.into_iter().flatten();
        let found = found.flatten().filter(|line| line != "ok");
        let dangling = self.rows("SELECT \"table\" FROM pragma_foreign_key_check")?;
        let dangling = dangling.into_iter().flatten().flatten();
        let dangling = dangling.map(|table| format!("{table}: a row without its owner"));
        Ok(found.chain(dangling).collect())
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
