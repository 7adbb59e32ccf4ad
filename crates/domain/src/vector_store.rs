//! Vector stores and the files in them (contract sections 11.4 to 11.7).

use serde::{Deserialize, Serialize};

use crate::{FileBatchId, FileId, Metadata, Timestamp, VectorStoreId, file::names};

pub mod attributes;
pub mod chunk;

pub use attributes::{AttributeValue, Attributes};
pub use chunk::{Chunk, ChunkId};

/// What an implicit store of a thread gets: days without activity after which it expires (contract
/// section 7.3).
pub const THREAD_STORE_DAYS: u32 = 7;

/// A stored vector store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorStore {
    /// Its id.
    pub id: VectorStoreId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// Days without activity after which it expires; 1 to 365.
    pub expires_after_days: Option<u32>,
    /// When it was made or searched last.
    pub last_active_at: Timestamp,
    /// How many of its files are in which status.
    pub file_counts: FileCounts,
    /// What its indexed files take.
    pub usage_bytes: u64,
}

impl VectorStore {
    /// One that was made just now, with nothing in it and no name.
    pub fn new(id: VectorStoreId, at: Timestamp) -> Self {
        Self {
            id,
            created_at: at,
            name: None,
            description: None,
            metadata: Metadata::default(),
            expires_after_days: None,
            last_active_at: at,
            file_counts: FileCounts::default(),
            usage_bytes: 0,
        }
    }

    /// From then on it can not be searched, and takes no files.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let seconds = |days: u32| days.saturating_mul(24 * 60 * 60);
        self.expires_after_days
            .map(|days| self.last_active_at.plus(seconds(days)))
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    /// `expired`; otherwise `in_progress` while any file is, and `completed`.
    pub fn status(&self, now: Timestamp) -> VectorStoreStatus {
        if self.has_expired(now) {
            VectorStoreStatus::Expired
        } else if self.file_counts.in_progress > 0 {
            VectorStoreStatus::InProgress
        } else {
            VectorStoreStatus::Completed
        }
    }
}

names! {
    /// How a store is.
    VectorStoreStatus {
        /// It was left alone for too long.
        Expired = "expired";
        /// Some of its files are not indexed yet.
        InProgress = "in_progress";
        /// Nothing is left to do.
        Completed = "completed";
    }
}

/// How many files are in which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is named after the status that it counts")]
pub struct FileCounts {
    pub in_progress: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl FileCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.in_progress + self.completed + self.failed + self.cancelled
    }
}

/// How the text of a file is cut into chunks; sizes in tokens. `auto` is these defaults (contract
/// section 11.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// Size of a chunk; 100 to 4096.
    pub max_tokens: u32,
    /// What two neighbours share; at most half of the size.
    pub overlap_tokens: u32,
}

impl Default for Chunking {
    fn default() -> Self {
        Self {
            max_tokens: 800,
            overlap_tokens: 400,
        }
    }
}

/// A file in a store.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorStoreFile {
    /// The file.
    pub file_id: FileId,
    /// The store.
    pub vector_store_id: VectorStoreId,
    /// When it was put there.
    pub created_at: Timestamp,
    /// How far it is.
    pub status: IndexingStatus,
    /// Why it has failed, exactly where it has.
    pub last_error: Option<IndexingError>,
    /// How its text is cut up.
    pub chunking: Chunking,
    /// What searches are narrowed down by.
    pub attributes: Attributes,
    /// What it takes; 0 until it was indexed.
    pub usage_bytes: u64,
}

names! {
    /// How far a file in a store is.
    IndexingStatus {
        /// It waits, or is being worked on.
        InProgress = "in_progress";
        /// It can be found.
        Completed = "completed";
        /// It can not be indexed.
        Failed = "failed";
        /// Nobody wants it indexed any more.
        Cancelled = "cancelled";
    }
}

/// Why a file could not be indexed (contract section 2.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexingError {
    /// For programs.
    pub code: IndexingErrorCode,
    /// For people.
    pub message: String,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexingErrorCode {
    /// Something broke here.
    ServerError,
    /// Its type can not be read.
    UnsupportedFile,
    /// It is not what its type says.
    InvalidFile,
}

/// Files that were put into a store together (contract section 11.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBatch {
    /// Its id.
    pub id: FileBatchId,
    /// The store.
    pub vector_store_id: VectorStoreId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it was cancelled before all was done.
    pub is_cancelled: bool,
    /// How many of its files are in which status. One that came again with another batch is counted
    /// there.
    pub file_counts: FileCounts,
}

impl FileBatch {
    /// `completed` also where some files have failed.
    pub fn status(&self) -> FileBatchStatus {
        if self.is_cancelled {
            FileBatchStatus::Cancelled
        } else if self.file_counts.in_progress > 0 {
            FileBatchStatus::InProgress
        } else {
            FileBatchStatus::Completed
        }
    }
}

names! {
    /// How far a batch is.
    FileBatchStatus {
        /// Some of its files are not indexed yet.
        InProgress = "in_progress";
        /// Nothing is left to do.
        Completed = "completed";
        /// It was stopped.
        Cancelled = "cancelled";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> VectorStore {
        VectorStore::new(VectorStoreId::trusted("vs_1"), Timestamp(100))
    }

    #[test]
    fn an_empty_store_is_completed_and_one_with_work_is_not() {
        let mut store = store();
        assert_eq!(store.status(Timestamp(100)), VectorStoreStatus::Completed);
        store.file_counts.in_progress = 1;
        store.file_counts.failed = 2;
        assert_eq!(store.status(Timestamp(100)), VectorStoreStatus::InProgress);
        assert_eq!(store.file_counts.total(), 3);
    }

    #[test]
    fn expiry_counts_from_the_last_activity() {
        let mut store = store();
        assert_eq!(store.expires_at(), None);
        store.expires_after_days = Some(3);
        let end = 100 + 3 * 86_400;
        assert_eq!(store.expires_at(), Some(Timestamp(end)));
        assert!(!store.has_expired(Timestamp(end - 1)));
        assert_eq!(store.status(Timestamp(end)), VectorStoreStatus::Expired);
    }

    #[test]
    fn a_batch_with_failed_files_is_completed() {
        let mut batch = FileBatch {
            id: FileBatchId::trusted("vsfb_1"),
            vector_store_id: VectorStoreId::trusted("vs_1"),
            created_at: Timestamp(0),
            is_cancelled: false,
            file_counts: FileCounts {
                in_progress: 1,
                ..FileCounts::default()
            },
        };
        assert_eq!(batch.status(), FileBatchStatus::InProgress);
        batch.file_counts = FileCounts {
            failed: 1,
            ..FileCounts::default()
        };
        assert_eq!(batch.status(), FileBatchStatus::Completed);
        batch.is_cancelled = true;
        assert_eq!(batch.status(), FileBatchStatus::Cancelled);
    }
}
