//! From a raw config to one that makes sense: defaults, ranges, and what refers to what.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use loomgate_gateway::AttemptPolicy;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Config, ConfigError, ConfiguredKey, Environment, Http, Log, LogFormat, VirtualKeys, Worker,
    raw::{RawApiKey, RawConfig, RawGateway, RawHttp, RawLog, RawWorker},
    virtual_keys::unknown_value,
};
use crate::auth::key;

const DEFAULT_LISTEN: &str = "127.0.0.1:8787";
const DEFAULT_DATA_DIR: &str = "loomgate-data";
const DEFAULT_WORKSPACE: &str = "default";
const SHORTEST_KEY: usize = 16;

pub(super) fn check(raw: RawConfig, environment: &Environment) -> Result<Config, ConfigError> {
    refuse_unbuilt(&raw)?;
    let mut notes = Vec::new();
    let virtual_keys = VirtualKeys::check(
        raw.virtual_keys,
        raw.default_virtual_key,
        environment,
        &mut notes,
    )?;
    let api_keys = api_keys(raw.api_keys, &virtual_keys, environment)?;
    if api_keys.is_empty() && virtual_keys.default_name().is_none() {
        return Err(no_default("the API key that is made at the first start"));
    }
    let limits = raw.limits;
    for (option, value) in [
        ("limits.run_expiry_s", limits.run_expiry_s == 0),
        ("limits.body_bytes", limits.body_bytes == 0),
        (
            "limits.context_window_tokens",
            limits.context_window_tokens == 0,
        ),
    ] {
        if value {
            return Err(at_least_one(option));
        }
    }
    Ok(Config {
        listen: listen(raw.listen)?,
        data_dir: raw
            .data_dir
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
        docs_url: raw.docs_url.as_deref().map(docs_url).transpose()?,
        api_keys,
        virtual_keys,
        http: http(&raw.http)?,
        gateway: super::GatewayConfig {
            attempts: attempts(&raw.gateway),
            connect_timeout: Duration::from_secs(raw.gateway.connect_s.unwrap_or(10)),
            exceptions: loomgate_gateway::egress::Exceptions::default(),
            cache_bytes: 64 * 1024 * 1024,
            prices: Vec::new(),
        },
        logs: super::Logs {
            record: super::Recording::All,
            bodies: false,
            body_bytes: 16 * 1024,
            retention: Duration::from_secs(30 * 86_400),
            queue: 10_000,
        },
        saved_configs: std::sync::Arc::default(),
        master_key: environment
            .get("LOOMGATE_MASTER_KEY")
            .map(SecretString::from),
        worker: worker(&raw.worker)?,
        limits,
        log: log(raw.log)?,
        hash_key: environment.get("LOOMGATE_HASH_KEY").map(SecretString::from),
        notes,
    })
}

fn refuse_unbuilt(raw: &RawConfig) -> Result<(), ConfigError> {
    let database = raw.database.as_ref().map(ExposeSecret::expose_secret);
    match database {
        None | Some("sqlite") => {}
        // Not shown: it holds a password.
        Some(url) if url.starts_with("postgres") => {
            return Err(ConfigError::not_built("`database`: PostgreSQL"));
        }
        Some(_) => {
            return Err(ConfigError::new("`database`: unknown kind of database")
                .help("this release knows \"sqlite\", a file in data_dir"));
        }
    }
    match raw.files.as_deref() {
        None | Some("local") => {}
        Some(url) if url.starts_with("s3:") => {
            return Err(ConfigError::not_built("`files`: S3"));
        }
        Some(other) => return Err(unknown_value("files", other, &["local"])),
    }
    if raw.file_search.is_some() {
        return Err(ConfigError::not_built("`file_search`"));
    }
    match raw.configs.keys().next() {
        Some(name) => Err(ConfigError::not_built(&format!("`configs.{name}`"))),
        None => Ok(()),
    }
}

fn listen(listen: Option<String>) -> Result<String, ConfigError> {
    let listen = listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    match listen.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(listen),
        _ => Err(
            ConfigError::new(format!("`listen`: \"{listen}\" is not HOST:PORT"))
                .help(format!("for example \"{DEFAULT_LISTEN}\"")),
        ),
    }
}

fn docs_url(text: &str) -> Result<Url, ConfigError> {
    Url::parse(text).map_err(|error| ConfigError::new(format!("`docs_url`: not a URL ({error})")))
}

fn api_keys(
    raw: Vec<RawApiKey>,
    virtual_keys: &VirtualKeys,
    environment: &Environment,
) -> Result<Vec<ConfiguredKey>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    let mut keys = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let key = api_key(index, raw, virtual_keys, environment)?;
        if !names.insert(key.name.clone()) {
            return Err(ConfigError::new(format!(
                "two API keys have the name \"{}\"",
                key.name
            )));
        }
        if !secrets.insert(key.key.expose_secret().to_owned()) {
            return Err(ConfigError::new(format!(
                "the API key \"{}\" is the same as another",
                key.name
            )));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn api_key(
    index: usize,
    raw: RawApiKey,
    virtual_keys: &VirtualKeys,
    environment: &Environment,
) -> Result<ConfiguredKey, ConfigError> {
    let Some(name) = raw.name.filter(|name| !name.is_empty()) else {
        return Err(ConfigError::new(format!(
            "`api_keys.{index}.name` is missing"
        )));
    };
    let at = |option: &str| format!("api_keys.{index}.{option}");
    let options = [at("key"), at("key_env")];
    let Some(key) = secret_of((&raw.key, &raw.key_env), &options, environment)? else {
        return Err(
            ConfigError::new(format!("the API key \"{name}\" has no `key` or `key_env`"))
                .help("an operator chooses the key; `loomgate keys create` makes one"),
        );
    };
    let secret = key.expose_secret();
    if secret.len() < SHORTEST_KEY || !key::is_well_formed(secret) {
        return Err(ConfigError::new(format!(
            "the API key \"{name}\": a key has {SHORTEST_KEY} to {} visible ASCII characters",
            key::LONGEST
        )));
    }
    let default_virtual_key = match raw.default_virtual_key {
        Some(name) => virtual_keys.expect(&name, &at("default_virtual_key"))?,
        None => virtual_keys
            .default_name()
            .cloned()
            .ok_or_else(|| no_default(&format!("the API key \"{name}\"")))?,
    };
    let workspace = raw
        .workspace
        .unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
    if !is_workspace(&workspace) {
        return Err(ConfigError::new(format!(
            "`{}`: a workspace has 1 to 64 characters out of letters, digits, `-` and `_`",
            at("workspace")
        )));
    }
    Ok(ConfiguredKey {
        name,
        key,
        workspace,
        settings: loomgate_domain::key::KeySettings {
            default_virtual_key: Some(default_virtual_key.to_string()),
            scopes: if raw.scopes.is_empty() {
                loomgate_domain::Scopes::usual()
            } else {
                loomgate_domain::Scopes::new(raw.scopes)
            },
            ..loomgate_domain::key::KeySettings::default()
        },
    })
}

/// Such names can be part of an id.
pub(crate) fn is_workspace(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// A secret that stands in the config, or in the environment variable that the config names.
pub(super) fn secret_of(
    (value, variable): (&Option<SecretString>, &Option<String>),
    [value_option, variable_option]: &[String; 2],
    environment: &Environment,
) -> Result<Option<SecretString>, ConfigError> {
    match (value, variable) {
        (Some(_), Some(_)) => Err(ConfigError::new(format!(
            "`{value_option}` and `{variable_option}` are both set: one of them is enough"
        ))),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(variable)) => match environment.get(variable) {
            Some(value) => Ok(Some(SecretString::from(value))),
            None => Err(ConfigError::new(format!(
                "`{variable_option}`: the environment variable {variable} is not set"
            ))),
        },
        (None, None) => Ok(None),
    }
}

fn http(raw: &RawHttp) -> Result<Http, ConfigError> {
    let seconds = |option: &str, value: Option<u64>, default| match value {
        Some(0) => Err(at_least_one(option)),
        value => Ok(Duration::from_secs(value.unwrap_or(default))),
    };
    let number = |option: &str, value: Option<usize>, default| match value {
        Some(0) => Err(at_least_one(option)),
        value => Ok(value.unwrap_or(default)),
    };
    Ok(Http {
        header_timeout: seconds("http.header_timeout_s", raw.header_timeout_s, 10)?,
        body_timeout: seconds("http.body_timeout_s", raw.body_timeout_s, 30)?,
        drain: Duration::from_secs(raw.drain_s.unwrap_or(30)),
        max_connections: number("http.max_connections", raw.max_connections, 16_384)?,
        max_requests_per_key: number("http.max_requests_per_key", raw.max_requests_per_key, 4_096)?,
        max_requests_per_workspace: number(
            "http.max_requests_per_workspace",
            raw.max_requests_per_workspace,
            8_192,
        )?,
    })
}

fn attempts(raw: &RawGateway) -> AttemptPolicy {
    let default = AttemptPolicy::default();
    AttemptPolicy {
        retries: raw.retries.unwrap_or(default.retries),
        ..default
    }
}

fn worker(raw: &RawWorker) -> Result<Worker, ConfigError> {
    let concurrency = raw.concurrency.unwrap_or(256);
    let lease_s = raw.lease_s.unwrap_or(30);
    if concurrency == 0 {
        return Err(at_least_one("worker.concurrency"));
    }
    if lease_s == 0 {
        return Err(at_least_one("worker.lease_s"));
    }
    Ok(Worker {
        concurrency,
        lease: Duration::from_secs(lease_s.into()),
    })
}

fn log(raw: RawLog) -> Result<Log, ConfigError> {
    let format = match raw.format.as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => return Err(unknown_value("log.format", other, &["text", "json"])),
    };
    let level = raw.level.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = level.parse::<tracing_subscriber::filter::Targets>() {
        return Err(ConfigError::new(format!("`log.level`: {error}")).help(
            "a level (error, warn, info, debug, trace) or a filter: info,loomgate_engine=debug",
        ));
    }
    Ok(Log { format, level })
}

fn no_default(whose: &str) -> ConfigError {
    ConfigError::new(format!(
        "several virtual keys are configured, and {whose} names none"
    ))
    .help("set `default_virtual_key`, for all API keys or in each of them")
}

fn at_least_one(option: &str) -> ConfigError {
    ConfigError::new(format!("`{option}` has to be at least 1"))
}
