//! API keys that stand in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use loomgate_domain::{Scope, Scopes, WhenLocked, key::KeySettings};
use secrecy::ExposeSecret as _;

use super::{
    ConfigError, ConfiguredKey, Environment, SavedConfigs, VirtualKeys, allowance,
    allowance::RawAllowance,
    error::nearest,
    raw::RawApiKey,
    saved_configs,
    valid::{secret_of, time_of},
};
use crate::auth::key;

const DEFAULT_WORKSPACE: &str = "default";
const SHORTEST_KEY: usize = 16;
/// The most pairs of metadata, and the most characters of a key and of a value: what a request's
/// header may bring.
const METADATA: (usize, usize, usize) = (16, 64, 128);

pub(super) fn check(
    raw: Vec<RawApiKey>,
    known: (&VirtualKeys, &SavedConfigs),
    environment: &Environment,
) -> Result<Vec<ConfiguredKey>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    let mut keys = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let key = api_key(index, raw, known, environment)?;
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
    known: (&VirtualKeys, &SavedConfigs),
    environment: &Environment,
) -> Result<ConfiguredKey, ConfigError> {
    let at = |option: &str| format!("api_keys.{index}.{option}");
    let Some(name) = raw.name.clone().filter(|name| !name.is_empty()) else {
        return Err(ConfigError::missing(&at("name")));
    };
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
    let workspace = raw.workspace.clone();
    let workspace = workspace.unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
    if !is_workspace(&workspace) {
        return Err(ConfigError::new(format!(
            "`{}`: a workspace has 1 to 64 characters out of letters, digits, `-` and `_`",
            at("workspace")
        )));
    }
    let settings = settings(raw, known, &at)?;
    Ok(ConfiguredKey {
        name,
        key,
        workspace,
        settings,
    })
}

fn settings(
    raw: RawApiKey,
    (virtual_keys, configs): (&VirtualKeys, &SavedConfigs),
    at: &dyn Fn(&str) -> String,
) -> Result<KeySettings, ConfigError> {
    if let Some(slug) = &raw.default_config {
        saved_configs::expect(configs, slug, &at("default_config"))?;
    } else if raw.allow_config_override.is_some() {
        return Err(ConfigError::new(format!(
            "`{}`: there is nothing to override without a `default_config`",
            at("allow_config_override")
        )));
    }
    let default_virtual_key = match &raw.default_virtual_key {
        Some(name) => Some(virtual_keys.expect(name, &at("default_virtual_key"))?),
        None => virtual_keys.default_name().cloned(),
    };
    check_metadata(&raw.metadata, &at("metadata"))?;
    let scopes = match &raw.scopes {
        Some(names) => scopes(names.iter().map(String::as_str), &at("scopes"))?,
        None => Scopes::usual(),
    };
    let limits = RawAllowance {
        rate_limits: &raw.rate_limits,
        usage_limits: raw.usage_limits.as_ref(),
        concurrency: raw.concurrency,
    };
    Ok(KeySettings {
        scopes,
        allowance: allowance::check(&limits, at)?,
        default_virtual_key: default_virtual_key.map(|name| name.to_string()),
        default_config: raw.default_config,
        allow_config_override: raw.allow_config_override.unwrap_or(true),
        when_locked: when_locked(raw.when_locked.as_deref(), &at("when_locked"))?,
        metadata: raw.metadata,
        expires_at: time_of(raw.expires_at.as_deref(), &at("expires_at"))?,
        ..KeySettings::default()
    })
}

/// What becomes of messages and runs whose thread is locked. `option` is where it stands.
pub(crate) fn when_locked(text: Option<&str>, option: &str) -> Result<WhenLocked, ConfigError> {
    let read = text.map(str::parse::<WhenLocked>).transpose();
    let read = read.map_err(|unknown| ConfigError::new(format!("`{option}`: {unknown}")))?;
    Ok(read.unwrap_or_default())
}

/// Scopes by their names. `option` is where they stand.
pub(crate) fn scopes<'a>(
    names: impl Iterator<Item = &'a str>,
    option: &str,
) -> Result<Scopes, ConfigError> {
    let mut scopes = Vec::new();
    for name in names {
        let scope: Scope = name.parse().map_err(|error| {
            let error = ConfigError::new(format!("`{option}`: {error}"));
            let known = Scope::ALL.iter().map(|scope| scope.as_str());
            match nearest(name, known.clone()) {
                Some(known) => error.help(format!("did you mean '{known}'?")),
                None => error.help(format!("known: {}", known.collect::<Vec<_>>().join(", "))),
            }
        })?;
        scopes.push(scope);
    }
    if scopes.is_empty() {
        return Err(
            ConfigError::new(format!("`{option}`: a key without scopes opens nothing"))
                .help("leave it out for the usual ones"),
        );
    }
    Ok(Scopes::new(scopes))
}

fn check_metadata(metadata: &BTreeMap<String, String>, option: &str) -> Result<(), ConfigError> {
    let (pairs, longest_key, longest_value) = METADATA;
    if metadata.len() > pairs {
        return Err(ConfigError::new(format!(
            "`{option}`: at most {pairs} pairs"
        )));
    }
    for (key, value) in metadata {
        let is_short = (1..=longest_key).contains(&key.chars().count())
            && value.chars().count() <= longest_value;
        if !is_short {
            return Err(ConfigError::new(format!(
                "`{option}`: a key has 1 to {longest_key} characters, a value at most \
                 {longest_value}"
            )));
        }
    }
    Ok(())
}

/// Such names can be part of an id.
pub(crate) fn is_workspace(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// What an operator may have forgotten: keys whose requests have to say where they go.
pub(super) fn without_way(keys: &[ConfiguredKey], virtual_keys: &VirtualKeys) -> Vec<String> {
    let note = |whose: &str| {
        format!(
            "several virtual keys are configured, and {whose} names none: its requests have to; or \
             set `default_virtual_key`, for all API keys or in each of them"
        )
    };
    if keys.is_empty() && virtual_keys.default_name().is_none() {
        return vec![note("the API key that is made at the first start")];
    }
    let has_way = |key: &&ConfiguredKey| {
        key.settings.default_config.is_some() || key.settings.default_virtual_key.is_some()
    };
    let without = keys.iter().filter(|key| !has_way(key));
    without
        .map(|key| note(&format!("the API key \"{}\"", key.name)))
        .collect()
}
