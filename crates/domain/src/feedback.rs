//! What people thought of an answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FeedbackId, Timestamp, WorkspaceId};

/// A judgement on everything with one trace id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// Its id.
    pub id: FeedbackId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// What it is about.
    pub trace_id: String,
    /// -10 to 10.
    pub value: i8,
    /// 0 to 1.
    pub weight: f64,
    /// The client's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// When it was given.
    pub created_at: Timestamp,
}
