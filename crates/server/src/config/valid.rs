//! From a raw config to one that makes sense: defaults, ranges, and what refers to what.

use std::{path::PathBuf, time::Duration};

use loomgate_domain::Timestamp;
use secrecy::SecretString;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{
    Config, ConfigError, Database, Environment, FileSearch, Files, Http, Indexing, Log, LogFormat,
    Role, VirtualKeys, Worker, api_keys, gateway,
    raw::{RawConfig, RawHttp, RawLog, RawWorker},
    saved_configs,
};
use crate::data_dir;

const DEFAULT_LISTEN: &str = "127.0.0.1:8787";
const DEFAULT_DATA_DIR: &str = "loomgate-data";

pub(super) fn check(raw: RawConfig, environment: &Environment) -> Result<Config, ConfigError> {
    let mut notes = Vec::new();
    let virtual_keys = VirtualKeys::check(
        raw.virtual_keys,
        raw.default_virtual_key,
        environment,
        &mut notes,
    )?;
    let saved_configs = saved_configs::check(raw.configs, &virtual_keys)?;
    let file_search = FileSearch::check(&raw.file_search, &virtual_keys)?;
    let known = (&virtual_keys, &saved_configs);
    let api_keys = api_keys::check(raw.api_keys, known, environment)?;
    notes.extend(api_keys::without_way(&api_keys, &virtual_keys));
    let limits = raw.limits;
    for (option, value) in [
        ("limits.run_expiry_s", limits.run_expiry_s == 0),
        ("limits.body_bytes", limits.body_bytes == 0),
        ("limits.upload_bytes", limits.upload_bytes == 0),
        ("limits.file_bytes", limits.file_bytes == 0),
        ("limits.upload_part_bytes", limits.upload_part_bytes == 0),
        ("limits.upload_total_bytes", limits.upload_total_bytes == 0),
        ("limits.image_bytes", limits.image_bytes == 0),
        ("limits.vector_store_files", limits.vector_store_files == 0),
        (
            "limits.context_window_tokens",
            limits.context_window_tokens == 0,
        ),
    ] {
        if value {
            return Err(ConfigError::at_least_one(option));
        }
    }
    let database = Database::check(raw.database.as_ref(), &raw.postgres)?;
    let (place, download) = (raw.files.as_deref(), raw.files_download.as_deref());
    Ok(Config {
        files: Files::check(place, download, raw.s3, environment)?,
        role: Role::check(raw.role.as_deref(), &database)?,
        database,
        gateway: gateway::check(&raw.gateway, &raw.egress, raw.prices)?,
        logs: gateway::logs(&raw.logs)?,
        saved_configs,
        master_key: master_key(environment)?,
        listen: listen(raw.listen)?,
        data_dir: raw
            .data_dir
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
        docs_url: raw.docs_url.as_deref().map(docs_url).transpose()?,
        api_keys,
        virtual_keys,
        http: http(&raw.http)?,
        worker: worker(&raw.worker)?,
        indexing: Indexing::check(&raw.indexing, limits.upload_total_bytes)?,
        file_search,
        limits,
        log: log(raw.log)?,
        hash_key: environment.get("LOOMGATE_HASH_KEY").map(SecretString::from),
        notes,
    })
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
        Some(0) => Err(ConfigError::at_least_one(option)),
        value => Ok(Duration::from_secs(value.unwrap_or(default))),
    };
    let number = |option: &str, value: Option<usize>, default| match value {
        Some(0) => Err(ConfigError::at_least_one(option)),
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

fn worker(raw: &RawWorker) -> Result<Worker, ConfigError> {
    let concurrency = raw.concurrency.unwrap_or(256);
    let lease_s = raw.lease_s.unwrap_or(30);
    if concurrency == 0 {
        return Err(ConfigError::at_least_one("worker.concurrency"));
    }
    if lease_s == 0 {
        return Err(ConfigError::at_least_one("worker.lease_s"));
    }
    Ok(Worker {
        concurrency,
        lease: Duration::from_secs(lease_s.into()),
        stream_retention: Duration::from_secs(raw.stream_retention_s.unwrap_or(3_600).into()),
    })
}

fn log(raw: RawLog) -> Result<Log, ConfigError> {
    let format = match raw.format.as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            return Err(ConfigError::unknown_value(
                "log.format",
                other,
                &["text", "json"],
            ));
        }
    };
    let level = raw.level.unwrap_or_else(|| "info".to_owned());
    if let Err(error) = level.parse::<tracing_subscriber::filter::Targets>() {
        return Err(ConfigError::new(format!("`log.level`: {error}")).help(
            "a level (error, warn, info, debug, trace) or a filter: info,loomgate_engine=debug",
        ));
    }
    Ok(Log { format, level })
}

/// Checked here, so that a server does not begin with keys that open nothing.
fn master_key(environment: &Environment) -> Result<Option<SecretString>, ConfigError> {
    let given = environment.get("LOOMGATE_MASTER_KEY");
    let Some(given) = given.map(SecretString::from) else {
        return Ok(None);
    };
    match data_dir::master_keys_of(&given) {
        Ok(_) => Ok(Some(given)),
        Err(error) => Err(ConfigError::new(format!(
            "environment variable LOOMGATE_MASTER_KEY: {error}"
        ))
        .help("64 hexadecimal digits; after a rotation 1:DIGITS,2:DIGITS")),
    }
}

/// A time as RFC 3339 writes it: `2027-01-31T12:00:00Z`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Timestamp(time.unix_timestamp()))
}

/// The same of an option.
pub(super) fn time_of(text: Option<&str>, option: &str) -> Result<Option<Timestamp>, ConfigError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match timestamp(text) {
        Some(time) => Ok(Some(time)),
        None => Err(
            ConfigError::new(format!("`{option}`: not a time of RFC 3339"))
                .help("for example \"2027-01-31T12:00:00Z\""),
        ),
    }
}
