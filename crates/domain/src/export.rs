//! Exports of logs: which records somebody wants to have, and how far that is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ApiKeyId, ExportId, Timestamp, WorkspaceId};

/// The definition of an export. The records are read when they are fetched: none are kept here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogExport {
    /// Its id.
    pub id: ExportId,
    /// Whose logs.
    pub workspace: WorkspaceId,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// For people.
    pub description: String,
    /// Which records, in the words of the client.
    pub filters: Value,
    /// Which parts of them; empty: all.
    pub requested_data: Vec<String>,
    /// How far it is.
    pub status: ExportStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportStatus {
    /// It can be changed, and not be fetched.
    Draft,
    /// It was started: it can be fetched.
    Success,
    /// It was cancelled.
    Stopped,
}
