//! What a config may say, before it is known to make sense. Everything is optional here; defaults
//! and rules are in `valid.rs`, explanations in `default.toml`.

use std::{collections::BTreeMap, path::PathBuf};

use loomgate_domain::Limits;
use loomgate_gateway::price::PriceEntry;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    pub(super) database: Option<SecretString>,
    pub(super) postgres: RawPostgres,
    pub(super) role: Option<String>,
    pub(super) files: Option<String>,
    pub(super) files_download: Option<String>,
    pub(super) s3: RawS3,
    pub(super) docs_url: Option<String>,
    pub(super) default_virtual_key: Option<String>,
    pub(super) api_keys: Vec<RawApiKey>,
    pub(super) virtual_keys: BTreeMap<String, RawVirtualKey>,
    pub(super) http: RawHttp,
    pub(super) gateway: RawGateway,
    pub(super) egress: RawEgress,
    pub(super) logs: RawLogs,
    pub(super) prices: Vec<PriceEntry>,
    pub(super) worker: RawWorker,
    pub(super) indexing: RawIndexing,
    pub(super) limits: Limits,
    pub(super) log: RawLog,
    pub(super) file_search: RawFileSearch,
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
    pub(super) default_config: Option<String>,
    pub(super) allow_config_override: Option<bool>,
    pub(super) when_locked: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) rate_limits: Vec<RawRateLimit>,
    pub(super) usage_limits: Option<RawUsageLimit>,
    pub(super) concurrency: Option<u32>,
    pub(super) expires_at: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRateLimit {
    pub(super) r#type: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawUsageLimit {
    pub(super) r#type: Option<String>,
    pub(super) credit_limit: Option<f64>,
    pub(super) alert_threshold: Option<f64>,
    pub(super) periodic_reset: Option<String>,
    pub(super) periodic_reset_days: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawVirtualKey {
    pub(super) provider: Option<String>,
    pub(super) base_url: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub(super) api_key: Option<SecretString>,
    pub(super) api_key_env: Option<String>,
    pub(super) resource_name: Option<String>,
    pub(super) deployment_name: Option<String>,
    pub(super) api_version: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) model_aliases: BTreeMap<String, String>,
    pub(super) assistants: Option<String>,
    pub(super) max_tokens_field: Option<String>,
    pub(super) first_byte_s: Option<u64>,
    pub(super) idle_s: Option<u64>,
    pub(super) rate_limits: Vec<RawRateLimit>,
    pub(super) usage_limits: Option<RawUsageLimit>,
    pub(super) concurrency: Option<u32>,
    pub(super) expires_at: Option<String>,
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
    pub(super) cache_mb: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEgress {
    pub(super) allow: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLogs {
    pub(super) record: Option<String>,
    pub(super) bodies: Option<bool>,
    pub(super) body_kb: Option<u32>,
    pub(super) retention_days: Option<u32>,
    pub(super) queue: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIndexing {
    pub(super) concurrency: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) memory_mb: Option<u64>,
    pub(super) cpu_s: Option<u64>,
    pub(super) time_s: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWorker {
    pub(super) concurrency: Option<usize>,
    pub(super) lease_s: Option<u32>,
    pub(super) stream_retention_s: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPostgres {
    pub(super) connections: Option<usize>,
    pub(super) log_connections: Option<usize>,
    pub(super) statement_timeout_s: Option<u64>,
    pub(super) wait_s: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawS3 {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFileSearch {
    pub(super) embeddings: Option<String>,
    pub(super) embedding_dimensions: Option<u64>,
    pub(super) memory_mb: Option<u64>,
    pub(super) rerank_model: Option<String>,
    pub(super) rewrite_model: Option<String>,
}

/// A routing config may hold a provider's key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRoutingConfig {
    #[serde(deserialize_with = "secret")]
    pub(super) json: Option<SecretString>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}
