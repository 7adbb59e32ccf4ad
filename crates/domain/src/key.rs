//! API keys: who calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, Scopes, Timestamp, WhenLocked, WorkspaceId, limit::Allowance};

/// A key that callers present. The secret itself is never kept: `hash` is a keyed hash of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The hash that a rotation replaced, and until when it is still good.
    pub previous: Option<PreviousHash>,
    /// What it may do, and how much.
    pub settings: KeySettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was revoked; a revoked key opens nothing.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// The key with another secret, of this hash and hint, from `at` on. The one that it has goes on
    /// opening it until `until`.
    #[must_use]
    pub fn rotated(&self, hash: String, hint: String, until: Timestamp, at: Timestamp) -> Self {
        let previous = PreviousHash {
            hash: self.hash.clone(),
            until,
        };
        Self {
            hash,
            hint,
            previous: Some(previous),
            updated_at: at,
            ..self.clone()
        }
    }
}

/// A secret on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousHash {
    /// Keyed hash of the former secret, hexadecimal.
    pub hash: String,
    /// From then on it opens nothing.
    pub until: Timestamp,
}

/// What an API key may do, and what it does when a request says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeySettings {
    /// For people.
    pub description: Option<String>,
    /// What it may do.
    pub scopes: Scopes,
    /// How much it may use.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// The budget counts from then on: the making of the key, or its last reset.
    pub usage_since: Timestamp,
    /// The virtual key of requests that name neither a virtual key nor a config.
    pub default_virtual_key: Option<String>,
    /// The config of such requests; goes before the virtual key.
    pub default_config: Option<String>,
    /// Whether a request may bring a config of its own.
    pub allow_config_override: bool,
    /// What becomes of messages and runs whose thread is locked, where the request does not say.
    pub when_locked: WhenLocked,
    /// Joined with the metadata of requests; theirs wins.
    pub metadata: BTreeMap<String, String>,
    /// Who is to hear of budgets that come to their end: shown, not mailed.
    pub alert_emails: Vec<String>,
    /// From then on it opens nothing.
    pub expires_at: Option<Timestamp>,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            description: None,
            scopes: Scopes::usual(),
            allowance: Allowance::default(),
            usage_since: Timestamp(0),
            default_virtual_key: None,
            default_config: None,
            allow_config_override: true,
            when_locked: WhenLocked::Fail,
            metadata: BTreeMap::new(),
            alert_emails: Vec::new(),
            expires_at: None,
        }
    }
}
