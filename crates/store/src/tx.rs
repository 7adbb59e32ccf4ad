//! The seam between the store's methods and a database engine.
//!
//! A method is a closure over [`Tx`]; each engine implements `Tx` and [`Row`]. SQL is `const`
//! text with `$1` placeholders, which appear in the order of their numbers. A closure may be run
//! again, when the engine had to give a transaction up: it changes nothing but through its `Tx`.

use std::{borrow::Cow, ops::ControlFlow};

use loomgate_domain::{Id, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// What looks at the rows of a statement, until it breaks.
pub(crate) type Visit<'v> = dyn FnMut(&dyn Row) -> Result<ControlFlow<()>, Error> + 'v;

/// Whose SQL is spoken: for the few statements that have two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// An open transaction.
pub(crate) trait Tx {
    /// Whose SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// Whether vectors are kept a second time, in the table that is for PostgreSQL's extension.
    fn uses_pgvector(&self) -> bool;

    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Error>;

    /// Runs a statement once for each row of values, in their order, and returns how many rows each
    /// time changed. Where the database is at the other end of a line, all are sent at once.
    fn execute_all(
        &mut self,
        sql: &'static str,
        rows: &[Vec<Value<'_>>],
    ) -> Result<Vec<usize>, Error>;

    /// Runs a statement and shows its rows, until `visit` breaks.
    fn visit(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error>;

    /// The same of a plain `SELECT`, whose rows nobody else changes or locks until the transaction
    /// ends. Locks are taken in one order everywhere, so that no two transactions wait for each
    /// other: the thread, its run, then messages, steps and counters.
    fn visit_locked(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        visit: &mut Visit<'_>,
    ) -> Result<(), Error>;

    /// Tells the workers, once this is committed, that a run waits for one.
    fn announce_work(&mut self) -> Result<(), Error>;
}

impl dyn Tx + '_ {
    /// All rows of a statement.
    pub(crate) fn rows<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.visit(sql, values, &mut |row| {
            rows.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }

    /// The row of a statement that has at most one.
    pub(crate) fn row<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(sql, values, read)?.pop())
    }

    /// The same of a `SELECT` whose row is to be written by what it says: nobody else changes it
    /// meanwhile.
    pub(crate) fn lock<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        self.visit_locked(sql, values, &mut |row| {
            found = Some(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Whether a statement has a row.
    pub(crate) fn exists(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<bool, Error> {
        Ok(self.row(sql, values, |_| Ok(()))?.is_some())
    }
}

/// A row, while the statement stands on it. Columns count from 0.
pub(crate) trait Row {
    /// A text column.
    fn optional_text(&self, column: usize) -> Result<Option<&str>, Error>;
    /// An integer column.
    fn optional_integer(&self, column: usize) -> Result<Option<i64>, Error>;
    /// A column of bytes.
    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, Error>;
    /// A column of any kind.
    fn value(&self, column: usize) -> Result<Value<'_>, Error>;
}

impl dyn Row + '_ {
    /// A text column that is never null.
    pub(crate) fn text(&self, column: usize) -> Result<&str, Error> {
        self.optional_text(column)?
            .ok_or_else(|| Error::corrupt(format!("column {column} is null")))
    }

    /// An integer column that is never null.
    pub(crate) fn integer(&self, column: usize) -> Result<i64, Error> {
        self.optional_integer(column)?
            .ok_or_else(|| Error::corrupt(format!("column {column} is null")))
    }

    /// A column of bytes that is never null.
    pub(crate) fn bytes(&self, column: usize) -> Result<&[u8], Error> {
        self.optional_bytes(column)?
            .ok_or_else(|| Error::corrupt(format!("column {column} is null")))
    }

    /// A time.
    pub(crate) fn time(&self, column: usize) -> Result<Timestamp, Error> {
        self.integer(column).map(Timestamp)
    }

    /// An id.
    pub(crate) fn id<K: loomgate_domain::IdKind>(&self, column: usize) -> Result<Id<K>, Error> {
        self.text(column).map(Id::trusted)
    }

    /// An id, or null.
    pub(crate) fn optional_id<K: loomgate_domain::IdKind>(
        &self,
        column: usize,
    ) -> Result<Option<Id<K>>, Error> {
        Ok(self.optional_text(column)?.map(Id::trusted))
    }

    /// A JSON column.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T, Error> {
        from_json(self.text(column)?)
    }
}

/// JSON text for a column.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::driver)
}

/// The value in a JSON column.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::corrupt(format!("{} as JSON: {error}", std::any::type_name::<T>())))
}

/// A value for a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// About how much room it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}

/// Values for the placeholders, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::tx::Value::from($value)),*] };
}
pub(crate) use values;

/// Names SQL constants and lists them, so that one test can ask the engine for all their plans.
macro_rules! statements {
    ($($name:ident = $sql:expr;)*) => {
        $(const $name: &str = $sql;)*
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use statements;

/// The same for the second texts that only SQLite reads.
macro_rules! sqlite_statements {
    ($($name:ident = $sql:expr;)*) => {
        $(const $name: &str = $sql;)*
        #[cfg(test)]
        pub(crate) const SQLITE_STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use sqlite_statements;

/// The same for those that only PostgreSQL reads.
macro_rules! postgres_statements {
    ($($name:ident = $sql:expr;)*) => {
        $(const $name: &str = $sql;)*
        #[cfg(test)]
        pub(crate) const POSTGRES_STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use postgres_statements;

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Integer(value.0)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::from(value.as_str())
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

impl<'a, K: loomgate_domain::IdKind> From<&'a Id<K>> for Value<'a> {
    fn from(value: &'a Id<K>) -> Self {
        Self::from(value.as_str())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
