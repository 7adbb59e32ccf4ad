//! Where a test keeps its store: each of them runs on both engines.

use std::{path::PathBuf, time::Duration};

use loomgate_store::{Options, Postgres, PostgresUrl, Store};
use loomgate_testkit::postgres::Database;
use tempfile::TempDir;

/// A place of a test's own.
pub(crate) enum Home {
    /// SQLite, in memory: every store begins empty.
    Memory,
    /// SQLite, in a file of this folder.
    Folder(TempDir),
    /// PostgreSQL.
    Postgres(Database),
}

impl Home {
    pub(crate) fn postgres() -> Self {
        Self::Postgres(Database::new())
    }

    /// One that keeps what is written, for tests that open several stores on it.
    pub(crate) fn kept(self) -> Self {
        match self {
            Self::Memory => Self::Folder(tempfile::tempdir().unwrap()),
            kept => kept,
        }
    }

    /// An empty one on the same engine.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Folder(_) => Self::Folder(tempfile::tempdir().unwrap()),
            Self::Postgres(_) => Self::postgres(),
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.options()).unwrap()
    }

    /// The file of the records.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.path().join("test.db")),
            Self::Memory | Self::Postgres(_) => None,
        }
    }

    /// Runs a statement past the store.
    pub(crate) fn execute(&self, sql: &str) {
        match (self, self.file()) {
            (Self::Postgres(database), _) => database.execute(sql),
            (_, Some(file)) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                let wait = connection.busy_timeout(Duration::from_secs(20));
                wait.and_then(|()| connection.execute_batch(sql)).unwrap();
            }
            (_, None) => panic!("nobody else reaches a database in memory"),
        }
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}");
        let count = match (self, self.file()) {
            (Self::Postgres(database), _) => database.texts(&sql).remove(0),
            (_, Some(file)) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                let count = connection.query_row(&sql, [], |row| row.get(0));
                count.unwrap()
            }
            (_, None) => panic!("nobody else reaches a database in memory"),
        };
        count.parse().unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        match self {
            Self::Memory | Self::Folder(_) => {
                self.file().map_or_else(Options::memory, Options::file)
            }
            Self::Postgres(database) => Options::postgres(postgres(database.url())),
        }
    }
}

/// Few connections, so that a test that is in a hurry still uses all of them.
pub(crate) fn postgres(url: &str) -> Postgres {
    Postgres {
        connections: 4,
        wait: Duration::from_secs(20),
        ..Postgres::at(PostgresUrl::parse(url).unwrap())
    }
}

/// Makes two tests of each function that takes a [`Home`].
macro_rules! on_both_engines {
    (multi_thread: $($name:ident,)+) => {
        on_both_engines! { @ tokio::test(flavor = "multi_thread", worker_threads = 2); $($name,)+ }
    };
    ($($name:ident,)+) => {
        on_both_engines! { @ tokio::test; $($name,)+ }
    };
    (@ $test:meta; $($name:ident,)+) => {
        $(mod $name {
            use crate::home::Home;

            #[$test]
            async fn sqlite() {
                super::$name(Home::Memory).await;
            }

            #[$test]
            async fn postgres() {
                super::$name(Home::postgres()).await;
            }
        })+
    };
}
