//! Uploads in parts (contract section 11.3).

use crate::{
    FileId, PartId, Timestamp, UploadId,
    file::{Purpose, names},
};

/// Seconds from an upload's creation to its expiry.
pub const UPLOAD_LIFETIME_S: u32 = 3600;

/// A file that comes, or came, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// When it was begun.
    pub created_at: Timestamp,
    /// From then on it takes nothing more.
    pub expires_at: Timestamp,
    /// The name of the file that it becomes.
    pub filename: String,
    /// What that file is for.
    pub purpose: Purpose,
    /// As the client said.
    pub mime_type: String,
    /// How many bytes there will be.
    pub bytes: u64,
    /// Seconds from the creation to the expiry of the file that it becomes.
    pub file_expires_after_s: Option<u32>,
    /// How far it is.
    pub status: UploadStatus,
    /// What it has become, once it is completed.
    pub file_id: Option<FileId>,
}

names! {
    /// How far an upload is.
    UploadStatus {
        /// It takes parts.
        Pending = "pending";
        /// It is a file.
        Completed = "completed";
        /// The client gave it up.
        Cancelled = "cancelled";
        /// Its time is over.
        Expired = "expired";
    }
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPart {
    /// Its id.
    pub id: PartId,
    /// The upload.
    pub upload_id: UploadId,
    /// When it came.
    pub created_at: Timestamp,
}
