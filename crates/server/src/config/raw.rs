//! What a config may say, before it is known to make sense. Everything is optional here; defaults
//! and rules are in `valid.rs`, explanations in `default.toml`.

use std::{collections::BTreeMap, path::PathBuf};

use loomgate_domain::Limits;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    pub(super) database: Option<SecretString>,
    pub(super) files: Option<String>,
    pub(super) docs_url: Option<String>,
    pub(super) default_virtual_key: Option<String>,
    pub(super) api_keys: Vec<RawApiKey>,
    pub(super) virtual_keys: BTreeMap<String, RawVirtualKey>,
    pub(super) http: RawHttp,
    pub(super) gateway: RawGateway,
    pub(super) worker: RawWorker,
    pub(super) limits: Limits,
    pub(super) log: RawLog,
    pub(super) file_search: Option<RawFileSearch>,
    pub(super) configs: BTreeMap<String, RawRoutingConfig>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawApiKey {
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) key: Option<SecretString>,
    pub(super) key_env: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) default_virtual_key: Option<String>,
    pub(super) scopes: Vec<loomgate_domain::Scope>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawVirtualKey {
    pub(super) provider: Option<String>,
    pub(super) base_url: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) api_key: Option<SecretString>,
    pub(super) api_key_env: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) model_aliases: BTreeMap<String, String>,
    pub(super) assistants: Option<String>,
    pub(super) max_tokens_field: Option<String>,
    pub(super) first_byte_s: Option<u64>,
    pub(super) idle_s: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    pub(super) header_timeout_s: Option<u64>,
    pub(super) body_timeout_s: Option<u64>,
    pub(super) drain_s: Option<u64>,
    pub(super) max_connections: Option<usize>,
    pub(super) max_requests_per_key: Option<usize>,
    pub(super) max_requests_per_workspace: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGateway {
    pub(super) connect_s: Option<u64>,
    pub(super) retries: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWorker {
    pub(super) concurrency: Option<usize>,
    pub(super) lease_s: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
}

/// Known, so that a config for a later release is told what is missing instead of "unknown".
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFileSearch {
    pub(super) embeddings: Option<String>,
}

/// As [`RawFileSearch`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRoutingConfig {
    pub(super) json: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}
