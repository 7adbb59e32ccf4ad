//! Saved routing configs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ConfigVersionId, Timestamp, WorkspaceId};

/// A routing config that is kept in the store, in its newest version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedConfig {
    /// Who may use it.
    pub workspace: WorkspaceId,
    /// What callers name it by: `pc-main-1a2b3c`; unique in its workspace.
    pub slug: String,
    /// A name for people.
    pub name: String,
    /// The newest version.
    pub version: ConfigVersionId,
    /// The config itself, as it was saved.
    pub config: Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A version of a saved config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigVersion {
    /// Its id.
    pub id: ConfigVersionId,
    /// The config, as it was saved then.
    pub config: Value,
    /// When it was saved.
    pub created_at: Timestamp,
}
