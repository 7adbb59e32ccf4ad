//! Threads (contract section 6).

use serde::{Deserialize, Serialize};

use crate::{Metadata, ThreadId, Timestamp, tool::ToolResources};

/// A stored thread. Whether it is locked is not a field: it is, while a run on it is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// Files and stores that tools may use on this thread.
    pub tool_resources: ToolResources,
}
