//! The configuration: what it may say (`raw`), where it comes from (`load`, `environment`), and
//! what of it makes sense (`valid`). The rest of the program sees only [`Config`].

pub(crate) mod allowance;
mod api_keys;
mod database;
mod environment;
mod error;
mod file_search;
mod files;
mod gateway;
mod indexing;
mod load;
mod raw;
mod role;
mod saved_configs;
#[cfg(test)]
mod tests;
mod valid;
mod virtual_keys;

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use loomgate_domain::{ApiKeyId, Limits, key::KeySettings};
use loomgate_gateway::{AttemptPolicy, egress::Exceptions, price::PriceEntry};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

pub(crate) use api_keys::{is_workspace, scopes, when_locked};
pub use database::Database;
pub use environment::Environment;
pub use error::ConfigError;
pub use file_search::{AccountModel, Embeddings, FileSearch};
pub use files::{Files, FilesPlace};
pub use indexing::Indexing;
pub use load::{Flags, Sources, load};
pub use role::Role;
pub(crate) use virtual_keys::is_name;
pub use virtual_keys::{ConfiguredVirtualKey, VirtualKeys};

/// Every option with its default and an explanation: what `check-config --print-default` prints.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");

/// A configuration that makes sense.
#[derive(Clone)]
pub struct Config {
    /// `HOST:PORT`
    pub listen: String,
    /// Everything that is kept lies here.
    pub data_dir: PathBuf,
    /// Where records are kept.
    pub database: Database,
    /// Where the bytes of files are kept, and who may have them back.
    pub files: Files,
    /// What this process does of it all.
    pub role: Role,
    /// What error texts point to, when the operator has such a page.
    pub docs_url: Option<Url>,
    /// Keys that stand in the config. Those made later are in the store.
    pub api_keys: Vec<ConfiguredKey>,
    /// Where model calls go.
    pub virtual_keys: VirtualKeys,
    /// How patient the server is with connections.
    pub http: Http,
    /// How providers are called.
    pub gateway: GatewayConfig,
    /// What is recorded of requests.
    pub logs: Logs,
    /// Routing configs by their slug.
    pub saved_configs: SavedConfigs,
    /// The keys that seal secrets, when they are given: `1:HEX` and `2:HEX` in lines or with commas
    /// between them, or the 64 hexadecimal digits of version 1 alone. Otherwise they are kept in
    /// the data folder.
    pub master_key: Option<SecretString>,
    /// How runs are carried out.
    pub worker: Worker,
    /// How files are made searchable.
    pub indexing: Indexing,
    /// How they are searched.
    pub file_search: FileSearch,
    /// The numbers of contract section 12.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
    /// The secret of key hashes, when it is given: 64 hexadecimal digits. Otherwise it is kept in
    /// the data folder.
    pub hash_key: Option<SecretString>,
    /// Things to be told once logging works.
    pub notes: Vec<String>,
}

/// An API key that stands in the config.
#[derive(Debug, Clone)]
pub struct ConfiguredKey {
    /// A name for people.
    pub name: String,
    /// The secret.
    pub key: SecretString,
    /// The name of the workspace that it opens.
    pub workspace: String,
    /// What it may do, and what its requests do when they say nothing.
    pub settings: KeySettings,
}

impl ConfiguredKey {
    /// What the ids of such keys begin with.
    pub const ID_PREFIX: &str = "key_config_";

    /// Its id, which its name decides.
    pub fn id(&self) -> ApiKeyId {
        ApiKeyId::trusted(format!("{}{}", Self::ID_PREFIX, self.name))
    }
}

/// Routing configs by their slug. May hold secrets, so it is not to be shown.
pub type SavedConfigs = Arc<BTreeMap<String, Arc<Value>>>;

/// How providers are called.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// When model calls of runs are tried again.
    pub attempts: AttemptPolicy,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Addresses that are not public and may be named by callers all the same.
    pub exceptions: Exceptions,
    /// The most bytes of cached answers; 0: nothing is cached.
    pub cache_bytes: u64,
    /// Prices that go before the built-in ones.
    pub prices: Vec<PriceEntry>,
}

/// What is recorded of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logs {
    /// Of which.
    pub record: Recording,
    /// Whether bodies are kept.
    pub bodies: bool,
    /// How much of a body.
    pub body_bytes: usize,
    /// For how long.
    pub retention: Duration,
    /// Records that may wait to be written; more are dropped, and counted.
    pub queue: usize,
}

/// Which requests are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// All that have an API key, and the model calls of runs.
    All,
    /// Those that went on to a provider, and the model calls of runs.
    Relayed,
    /// None.
    Off,
}

/// Without the routing configs, which may hold secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .field("database", &self.database)
            .field("files", &self.files)
            .field("role", &self.role)
            .field("api_keys", &self.api_keys)
            .field("virtual_keys", &self.virtual_keys)
            .field("http", &self.http)
            .field("gateway", &self.gateway)
            .field("logs", &self.logs)
            .field("saved_configs", &self.saved_configs.keys())
            .field("worker", &self.worker)
            .field("indexing", &self.indexing)
            .field("file_search", &self.file_search)
            .field("limits", &self.limits)
            .field("log", &self.log)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// How patient the server is with connections.
#[derive(Debug, Clone, Copy)]
pub struct Http {
    /// A request's head has to be complete by then.
    pub header_timeout: Duration,
    /// And its body; more for each piece that came.
    pub body_timeout: Duration,
    /// How long requests may go on at a stop.
    pub drain: Duration,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Requests at the same time for one API key, open streams included.
    pub max_requests_per_key: usize,
    /// The same for a workspace.
    pub max_requests_per_workspace: usize,
}

/// How runs are carried out.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    /// Runs at the same time.
    pub concurrency: usize,
    /// After this time without a sign of life a run is taken over.
    pub lease: Duration,
    /// How long a run's stream can be opened again once it has ended.
    pub stream_retention: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// A level or a filter: `info,loomgate_engine=debug`.
    pub level: String,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
