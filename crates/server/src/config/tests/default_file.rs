//! The default file and the types say the same.

use std::collections::BTreeMap;

use figment::{
    error::Kind,
    value::{Dict, Value},
};
use loomgate_domain::{Scope, Scopes, key::KeySettings};

use super::{
    super::{gateway, load::read},
    DEFAULT_FILE, RawConfig, load_with,
};

/// The default file with every option set: the marks before options are taken away.
fn default_file_uncommented() -> String {
    let is_option = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        let names = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        line.starts_with('[') || (line.contains(" = ") && names(name))
    };
    let lines = DEFAULT_FILE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(option) if is_option(option) => option,
            _ => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_file_is_the_default() {
    assert!(load_with(DEFAULT_FILE, []).is_ok());
    // With one of each two options that exclude each other.
    let excluded = [
        "endpoint",
        "region",
        "key_env",
        "api_key_env",
        "resource_name",
    ];
    let excluded = excluded.map(str::to_owned);
    let file: Vec<_> = default_file_uncommented()
        .lines()
        .filter(|line| {
            !excluded
                .iter()
                .any(|start| line.starts_with(start.as_str()))
        })
        .map(|line| line.replace("\"lg-...\"", "\"lg-0123456789abcdef\""))
        .collect();
    let file = file.join("\n");
    // The last two exclude the provider that the example has.
    let file = file
        .replace("deployment_name =", "# ")
        .replace("api_version =", "# ");
    let config = load_with(&file, []).unwrap();
    assert_eq!(config.api_keys[0].settings.scopes, Scopes::usual());
    assert_eq!(config.virtual_keys.list(), "echo, main");
    assert!(config.saved_configs.contains_key("fast"));
}

#[test]
fn the_default_file_and_the_types_know_the_same_options() {
    let table: toml::Table = default_file_uncommented().parse().unwrap();
    let Ok(Value::Dict(_, file)) = Value::serialize(table) else {
        panic!("not a table");
    };
    read::<RawConfig>(&file).unwrap();
    for path in [
        &[][..],
        &["api_keys"],
        &["api_keys", "rate_limits"],
        &["virtual_keys", "main", "rate_limits"],
        &["prices"],
        &["egress"],
        &["logs"],
        &["virtual_keys", "main"],
        &["http"],
        &["gateway"],
        &["worker"],
        &["indexing"],
        &["postgres"],
        &["limits"],
        &["log"],
        &["file_search"],
        &["configs", "fast"],
    ] {
        let mut at = &file;
        for key in path {
            at = match &at[*key] {
                Value::Dict(_, inner) => inner,
                Value::Array(_, items) => items[0].as_dict().unwrap(),
                other => panic!("{other:?}"),
            };
        }
        for known in known_options(path) {
            assert!(
                at.contains_key(*known),
                "{path:?} lacks {known} in default.toml"
            );
        }
    }
}

/// What the types know at a place: asked by an option that nobody can know.
fn known_options(path: &[&str]) -> &'static [&'static str] {
    let mut value = Value::from(BTreeMap::from([("?".to_owned(), Value::from(1))]));
    for key in path.iter().rev() {
        if ["api_keys", "rate_limits", "prices"].contains(key) {
            value = Value::from(vec![value]);
        }
        value = Value::from(BTreeMap::from([((*key).to_owned(), value)]));
    }
    let options: Dict = value.into_dict().unwrap();
    match read::<RawConfig>(&options).unwrap_err().kind {
        Kind::UnknownField(_, known) => known,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_in_the_default_file_are_the_defaults() {
    let file: Dict = {
        let table: toml::Table = default_file_uncommented().parse().unwrap();
        Value::serialize(table).unwrap().into_dict().unwrap()
    };
    let raw: RawConfig = read(&file).unwrap();
    let config = load_with("", []).unwrap();
    assert_eq!(raw.limits, config.limits);
    assert_eq!(raw.listen.as_ref(), Some(&config.listen));
    assert_eq!(raw.data_dir.as_ref(), Some(&config.data_dir));
    let http = config.http;
    assert_eq!(
        raw.http.header_timeout_s.unwrap(),
        http.header_timeout.as_secs()
    );
    assert_eq!(
        raw.http.body_timeout_s.unwrap(),
        http.body_timeout.as_secs()
    );
    assert_eq!(raw.http.drain_s.unwrap(), http.drain.as_secs());
    assert_eq!(raw.http.max_connections.unwrap(), http.max_connections);
    assert_eq!(
        raw.http.max_requests_per_key.unwrap(),
        http.max_requests_per_key
    );
    let of_workspace = raw.http.max_requests_per_workspace.unwrap();
    assert_eq!(of_workspace, http.max_requests_per_workspace);
    let gateway = &config.gateway;
    assert_eq!(raw.gateway.retries.unwrap(), gateway.attempts.retries);
    assert_eq!(
        raw.gateway.connect_s.unwrap(),
        gateway.connect_timeout.as_secs()
    );
    let cache_bytes = u64::from(raw.gateway.cache_mb.unwrap()) << 20;
    assert_eq!(cache_bytes, gateway.cache_bytes);
    let logs = gateway::logs(&raw.logs).unwrap();
    assert_eq!(logs, config.logs);
    let key = &raw.api_keys[0];
    let usual: Vec<_> = Scopes::usual().iter().map(Scope::as_str).collect();
    assert_eq!(key.scopes.as_deref().unwrap(), usual);
    let allowed = KeySettings::default().allow_config_override;
    assert_eq!(key.allow_config_override, Some(allowed));
    assert_eq!(raw.worker.concurrency.unwrap(), config.worker.concurrency);
    assert_eq!(
        u64::from(raw.worker.lease_s.unwrap()),
        config.worker.lease.as_secs()
    );
    assert_eq!(
        u64::from(raw.worker.stream_retention_s.unwrap()),
        config.worker.stream_retention.as_secs()
    );
    let vector_bytes = raw.file_search.memory_mb.unwrap() << 20;
    assert_eq!(vector_bytes, config.file_search.vector_bytes as u64);
    assert_eq!(raw.log.level.clone().unwrap(), config.log.level);
    let timeouts = loomgate_gateway::Timeouts::default();
    let virtual_key = &raw.virtual_keys["main"];
    assert_eq!(
        virtual_key.first_byte_s.unwrap(),
        timeouts.first_byte.as_secs()
    );
    assert_eq!(virtual_key.idle_s.unwrap(), timeouts.idle.as_secs());
}
