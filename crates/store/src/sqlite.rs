//! The SQLite engine: connections, their settings, and transactions on them.

use std::{path::Path, sync::atomic::Ordering, time::Duration};

use rusqlite::{
    CachedStatement, Connection, OpenFlags,
    config::DbConfig,
    functions::{Aggregate, Context, FunctionFlags},
    types::ValueRef,
};

use crate::{
    Error, failpoint,
    schema::{Durability, Schema},
    tx::{Dialect, Row, Tx, Value, Visit},
    writer::Tally,
};

/// How long a statement waits for a tool that looks into the file, a backup for example.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pages that a reader keeps, in KiB: those of an index that a search goes through.
const READER_CACHE: i64 = 16 << 10;

/// More than the store has statements, so that none is ever prepared twice.
pub(crate) const STATEMENT_CACHE: usize = 288;

/// The connection that writes. Creates the file.
pub(crate) fn writer(path: Option<&Path>, schema: &Schema) -> Result<Connection, Error> {
    let connection = match path {
        Some(path) => {
            make_private(path)?;
            failpoint::point(format_args!("file of {} made", schema.name));
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)?
        }
        None => Connection::open_in_memory()?,
    };
    prepare(&connection, schema)?;
    failpoint::point(format_args!("file of {} claimed", schema.name));
    if path.is_some() {
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Error::corrupt(format!(
                "the file system does not allow write-ahead logging (journal mode {mode})"
            )));
        }
        failpoint::point(format_args!("file of {} in its journal mode", schema.name));
    }
    match schema.durability {
        Durability::EachCommit => {
            connection.pragma_update(None, "synchronous", "FULL")?;
            // On the disk, not in its cache, on systems where that is a difference.
            connection.pragma_update(None, "fullfsync", true)?;
        }
        Durability::Checkpoints => connection.pragma_update(None, "synchronous", "NORMAL")?,
    }
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // Pages that are written again and again go into the file once in 16 MB of log, not once in 4.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    Ok(connection)
}

/// Keeps what savepoints can take back in memory: the 64 KB behind which SQLite writes it to a file are
/// used up in every busy batch. Not while migrations are sorting whole tables.
pub(crate) fn settle_savepoints(connection: &Connection) -> Result<(), Error> {
    Ok(connection.pragma_update(None, "temp_store", "MEMORY")?)
}

/// A connection to a database in memory that others of this process share under the same name. It
/// is gone with the last of them. While one writes, no other reads.
pub(crate) fn shared(name: &str, schema: &Schema) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:/{name}?vfs=memdb"), flags)?;
    prepare(&connection, schema)?;
    Ok(connection)
}

/// What a connection needs that writes.
fn prepare(connection: &Connection, schema: &Schema) -> Result<(), Error> {
    settle(connection)?;
    claim_file(connection, schema.application_id)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// A connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settle(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE)?;
    Ok(connection)
}

/// A connection to a database that others may use, which is only read, and copied.
pub(crate) fn source(path: &Path, schema: &Schema) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settle(&connection)?;
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != schema.application_id {
        return Err(Error::corrupt("the file is another database"));
    }
    Ok(connection)
}

/// What every connection needs.
pub(crate) fn settle(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Plans do not look at values, or else a statement is prepared anew for each. They are the plans
    // that tests look at, too.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Damage is found where it is, and a file from elsewhere can not bring code along.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_aggregate_function("packed", 1, flags, Packed)?;
    Ok(())
}

/// `packed(integer)`: all of them in one value, eight bytes each, little-endian. Long lists are read several
/// times as fast as row by row.
struct Packed;

impl Aggregate<Vec<u8>, Vec<u8>> for Packed {
    fn init(&self, _context: &mut Context<'_>) -> rusqlite::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, packed: &mut Vec<u8>) -> rusqlite::Result<()> {
        let number = context.get_raw(0).as_i64()?;
        packed.extend_from_slice(&number.to_le_bytes());
        Ok(())
    }

    fn finalize(
        &self,
        _context: &mut Context<'_>,
        packed: Option<Vec<u8>>,
    ) -> rusqlite::Result<Vec<u8>> {
        Ok(packed.unwrap_or_default())
    }
}

/// Refuses a file that belongs to another program, or is the other of our databases.
fn claim_file(connection: &Connection, ours: i64) -> Result<(), Error> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let id = number("PRAGMA application_id")?;
    let tables = number("SELECT COUNT(*) FROM sqlite_schema")?;
    match (id, tables) {
        _ if id == ours => Ok(()),
        (0, 0) => Ok(connection.pragma_update(None, "application_id", ours)?),
        _ => Err(Error::corrupt("the file is another database")),
    }
}

/// Creates the file readable for its owner only; SQLite's side files take its mode over. A file
/// that exists is not even opened: closing it would end this process's locks on it.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// A transaction that is open on a connection. Whoever opened it ends it.
pub(crate) struct Open<'c> {
    connection: &'c Connection,
    /// Whether workers have to be told, once it is committed.
    pub(crate) has_work: bool,
    tally: &'c Tally,
    statements: u64,
}

impl<'c> Open<'c> {
    pub(crate) fn new(connection: &'c Connection, tally: &'c Tally) -> Self {
        Self {
            connection,
            has_work: false,
            tally,
            statements: 0,
        }
    }

    fn statement(&mut self, sql: &'static str) -> Result<CachedStatement<'c>, Error> {
        self.statements += 1;
        Ok(self.connection.prepare_cached(sql)?)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let statements = &self.tally.statements;
        statements.fetch_add(self.statements, Ordering::Relaxed);
    }
}

impl Tx for Open<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn uses_pgvector(&self) -> bool {
        false
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Error> {
        let mut execute = || {
            let mut statement = self.statement(sql)?;
            bind(&mut statement, values)?;
            Ok(statement.raw_execute()?)
        };
        execute().map_err(|error: Error| error.met_by(sql))
    }

    fn execute_all(
        &mut self,
        sql: &'static str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<Vec<usize>, Error> {
        let mut statement = self.statement(sql)?;
        self.statements += (rows.len() as u64).saturating_sub(1);
        let changed = rows.iter().map(|values| {
            bind(&mut statement, values)?;
            Ok(statement.raw_execute()?)
        });
        changed.collect()
    }

    fn visit(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let mut visit_all = || {
            let mut statement = self.statement(sql)?;
            bind(&mut statement, values)?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                if visit(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        visit_all().map_err(|error: Error| error.met_by(sql))
    }

    /// Whoever writes is alone anyway.
    fn visit_locked(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.visit(sql, values, visit)
    }

    fn announce_work(&mut self) -> Result<(), Error> {
        self.has_work = true;
        Ok(())
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> Result<(), Error> {
    for (index, value) in values.iter().enumerate() {
        match value {
            Value::Null => statement.raw_bind_parameter(index + 1, rusqlite::types::Null)?,
            Value::Integer(value) => statement.raw_bind_parameter(index + 1, value)?,
            Value::Text(text) => statement.raw_bind_parameter(index + 1, &**text)?,
            Value::Bytes(bytes) => statement.raw_bind_parameter(index + 1, &**bytes)?,
        }
    }
    Ok(())
}

impl Row for rusqlite::Row<'_> {
    fn optional_text(&self, column: usize) -> Result<Option<&str>, Error> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map(Some)
                .map_err(|_| Error::corrupt(format!("column {column} is not UTF-8"))),
            other => Err(Error::corrupt(format!(
                "column {column} is {}, not text",
                other.data_type()
            ))),
        }
    }

    fn optional_integer(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            other => Err(Error::corrupt(format!(
                "column {column} is {}, not an integer",
                other.data_type()
            ))),
        }
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, Error> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            other => Err(Error::corrupt(format!(
                "column {column} is {}, not bytes",
                other.data_type()
            ))),
        }
    }

    fn value(&self, column: usize) -> Result<Value<'_>, Error> {
        match self.get_ref(column)? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(value) => Ok(value.into()),
            ValueRef::Blob(bytes) => Ok(bytes.into()),
            _ => Ok(self.optional_text(column)?.into()),
        }
    }
}
