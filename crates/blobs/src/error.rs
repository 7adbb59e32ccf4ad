//! What can go wrong, named for what the caller can do about it.

use std::{io, sync::Arc};

/// An outcome that is not an answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("the object {key} is missing")]
    Missing {
        /// Its key.
        key: String,
    },
    /// The object does not have the bytes that were written.
    #[error("the object {key} is damaged: {what}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk has no room. Nothing was written.
    #[error("the disk of the files is full")]
    Full,
    /// The file system takes no writes. Nothing was written.
    #[error("the disk of the files takes no writes")]
    ReadOnly,
    /// A text that is no part of a key.
    #[error("not a key: {0:?}")]
    NotAKey(String),
    /// The bucket can not be used as it is described.
    #[error("the bucket can not be used: {0}")]
    Settings(Arc<object_store::Error>),
    /// The bucket did not do what it was asked to, or could not be asked.
    #[error("the bucket failed")]
    Bucket(#[source] Arc<object_store::Error>),
    /// The file system failed.
    #[error("the file system failed")]
    Io(#[source] Arc<io::Error>),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::Missing { key: path },
            other => Self::Bucket(Arc::new(other)),
        }
    }
}

/// A thread that blocks ended without a word: it panicked, or the process stops.
pub(crate) fn lost(error: tokio::task::JoinError) -> Error {
    Error::Io(Arc::new(io::Error::other(error)))
}
