//! API keys: who calls.

use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, Timestamp, WorkspaceId};

/// A key that callers present. The secret itself is never kept: `hash` is a keyed hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public id.
    pub id: ApiKeyId,
    /// The tenant that the key opens.
    pub workspace: WorkspaceId,
    /// A name for people.
    pub name: String,
    /// Keyed hash of the whole secret, hexadecimal.
    pub hash: String,
    /// First characters of the secret, to tell keys apart in lists: `lg-AbCd`.
    pub hint: String,
    /// The virtual key that model calls use when the request names none.
    pub default_virtual_key: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; a revoked key opens nothing.
    pub revoked_at: Option<Timestamp>,
}
