//! Virtual keys: the names of provider accounts that are kept in the store. Those of the
//! configuration file live in memory alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, WorkspaceId, limit::Allowance};

/// A stored credential of a provider, by its slug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VirtualKey {
    /// Who may use it.
    pub workspace: WorkspaceId,
    /// What callers name it by; unique in its workspace.
    pub slug: String,
    /// A name for people.
    pub name: String,
    /// The provider's name: `openai`, `anthropic`.
    pub provider: String,
    /// The provider's secret, sealed; none for servers that want none.
    pub sealed_key: Option<String>,
    /// The ends of the secret, to tell keys apart: `sk-****wxyz`.
    pub masked_key: Option<String>,
    /// Where its calls go, and how much it may use.
    pub settings: VirtualKeySettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Everything about a virtual key that is no secret.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VirtualKeySettings {
    /// For people.
    pub note: Option<String>,
    /// Another address than the provider's own.
    pub base_url: Option<String>,
    /// Options of the provider: `api_version`, `resource_name`, `deployment_name`, `organization`.
    pub options: BTreeMap<String, String>,
    /// Model names of clients, and what the provider calls them.
    pub model_aliases: BTreeMap<String, String>,
    /// Whether assistants calls are relayed to the provider instead of served here.
    pub assistants_upstream: bool,
    /// How much it may use.
    #[serde(flatten)]
    pub allowance: Allowance,
    /// The budget counts from then on: the making of the key, or its last reset.
    pub usage_since: Timestamp,
    /// From then on it can not be used.
    pub expires_at: Option<Timestamp>,
}
