//! What can go wrong, named for what the caller can do about it.

use std::{path::PathBuf, sync::Arc};

use loomgate_domain::{RunId, VectorStoreId, upload::UploadStatus};

/// An outcome that is not an answer. "Not found" is no error: such methods return `None`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The thread is locked by an active run; nothing was written.
    #[error("the thread has an active run: {run}")]
    ActiveRun {
        /// The run that locks it.
        run: RunId,
    },
    /// As much waits for the thread as may ([`crate::WAITING_MAX`]); nothing was written.
    #[error("too much waits for the thread")]
    QueueFull,
    /// `after` or `before` names nothing in the list.
    #[error("no such cursor: {0}")]
    NoSuchCursor(String),
    /// The vector store's time is over; nothing was written.
    #[error("the vector store {0} has expired")]
    StoreExpired(VectorStoreId),
    /// The vector store would hold more files than it may; nothing was written.
    #[error("the vector store is full")]
    StoreFull,
    /// A row of this id (or an API key of this hash) is there already; nothing was written.
    #[error("a row of this key exists")]
    Duplicate,
    /// Something was created under this idempotency key already: there is a receipt. Nothing was
    /// written.
    #[error("the idempotency key was used before")]
    Repeated,
    /// There are no such files; nothing was written.
    #[error("no such files: {}", .0.join(", "))]
    NoSuchFiles(Vec<String>),
    /// A thread would have more files than its tool takes; nothing was written.
    #[error("more files than the tool takes")]
    TooManyFiles,
    /// What was written for so long that the sweeper took it for left behind; nothing was written.
    #[error("the bytes were swept before they were complete")]
    Swept,
    /// The upload takes nothing more; nothing was written.
    #[error("the upload is {}", .0.as_str())]
    UploadClosed(UploadStatus),
    /// The upload has no such parts; nothing was written.
    #[error("no such parts: {}", .0.join(", "))]
    NoSuchParts(Vec<String>),
    /// A part is named twice; nothing was written.
    #[error("the part {0} is named twice")]
    DuplicateParts(String),
    /// All parts of an upload would have more bytes than they may have; nothing was written.
    #[error("the parts would have more than {most} bytes")]
    PartsTooLarge {
        /// As many as there may be.
        most: u64,
    },
    /// The parts are not as long as the upload; nothing was written.
    #[error("{got} bytes where {expected} were announced")]
    UploadSize {
        /// As announced.
        expected: u64,
        /// Of the parts together.
        got: u64,
    },
    /// The store takes no work, because it is closing or has no connection. Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(&'static str),
    /// The connection to the database was lost while a change was being written: whether it stands
    /// is not known.
    #[error("the connection to the database was lost: whether the change stands is not known")]
    Interrupted,
    /// The disk of the database has no room. Nothing was written.
    #[error("the disk of the database is full")]
    Full,
    /// The file system or the database takes no writes. Nothing was written.
    #[error("the disk of the database takes no writes")]
    ReadOnly,
    /// There is no such database.
    #[error("there is no database {}", .0.display())]
    Missing(PathBuf),
    /// There is no way to the database.
    #[error("cannot connect to the database {to}: {reason}")]
    Connect {
        /// `user@host:port/database`
        to: String,
        /// What is in the way.
        reason: String,
    },
    /// The database is of a release that is too old to be used.
    #[error("the database is a PostgreSQL {found}; {oldest} or newer is needed")]
    OldServer {
        /// The release that it is of.
        found: u32,
        /// The oldest that will do.
        oldest: u32,
    },
    /// Others use the tables, and this is for whoever is alone with them; or somebody is.
    #[error("the database is in use: {0}")]
    InUse(&'static str),
    /// Another process uses the data folder.
    #[error("the data folder is in use{}: {}", pid.map(|pid| format!(" by process {pid}")).unwrap_or_default(), lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// The other process, when it wrote its number down.
        pid: Option<u32>,
    },
    /// The database was written by a newer release.
    #[error("the database has schema {found}; this release knows schemas up to {known}")]
    NewerSchema {
        /// The schema of the database.
        found: i64,
        /// The newest schema that this release knows.
        known: i64,
    },
    /// The database was written by an older release, and is not to be changed.
    #[error("the database has schema {found}; this release copies from schema {known}")]
    OlderSchema {
        /// The schema of the database; 0: there is none.
        found: i64,
        /// The schema of this release.
        known: i64,
    },
    /// A copy into the database was not finished.
    #[error("the database holds a part of a copy only")]
    Unfinished,
    /// What is stored can not be read.
    #[error("the database holds something unreadable: {what}")]
    Corrupt {
        /// Where, and what is wrong with it.
        what: String,
    },
    /// The database, the file system or a job failed. Whether a write took place is not known
    /// only if this came from the commit itself.
    #[error("the database failed")]
    Driver(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// A job panicked. Its transaction was rolled back.
#[derive(Debug, thiserror::Error)]
#[error("a store job panicked: {0}")]
pub(crate) struct Panicked(pub(crate) String);

impl Error {
    /// What a method was called with failed, or the engine behind it.
    pub fn driver(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Driver(Arc::new(source))
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// Says by which statement damage was met, and so in which table.
    pub(crate) fn met_by(self, sql: &str) -> Self {
        const SHOWN: usize = 400;
        match self {
            Self::Corrupt { what } => {
                let start: String = sql.chars().take(SHOWN).collect();
                Self::corrupt(format!("{what}, met by {start}"))
            }
            other => other,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{ErrorCode, ffi};
        if let rusqlite::Error::SqliteFailure(failure, message) = &error {
            match (failure.code, failure.extended_code) {
                (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                    return Self::Duplicate;
                }
                (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => {
                    return Self::corrupt(message.clone().unwrap_or_else(|| failure.to_string()));
                }
                // The second: of the index of the write-ahead log, which is a file, too.
                (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => return Self::Full,
                (ErrorCode::ReadOnly, _) => return Self::ReadOnly,
                _ => {}
            }
        }
        Self::driver(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::driver(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, ffi};

    use super::*;

    #[test]
    fn a_disk_that_is_full_or_takes_no_writes_is_told_from_defects() {
        let failure =
            |code| Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(failure(code), Error::Full), "{code}");
        }
        assert!(matches!(failure(ffi::SQLITE_IOERR_READ), Error::Driver(_)));
        assert!(matches!(
            failure(ffi::SQLITE_READONLY_DBMOVED),
            Error::ReadOnly
        ));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("CREATE TABLE a (x)").unwrap();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&path, flags).unwrap();
        let refused = connection.execute("INSERT INTO a VALUES (1)", []);
        assert!(matches!(Error::from(refused.unwrap_err()), Error::ReadOnly));
    }
}
