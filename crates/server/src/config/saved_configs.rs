//! Routing configs that stand in the configuration, for all workspaces.

use std::{collections::BTreeMap, sync::Arc};

use loomgate_gateway::{
    config::{Config as RoutingConfig, Destination, Invalid, Overrides},
    preset::preset,
};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::{
    ConfigError, SavedConfigs, VirtualKeys, raw::RawRoutingConfig, virtual_keys::expect_name,
};
use crate::account;

/// They are checked as those of requests are, and may only name virtual keys that stand here, too:
/// a workspace's own are not known to every caller.
pub(super) fn check(
    raw: BTreeMap<String, RawRoutingConfig>,
    virtual_keys: &VirtualKeys,
) -> Result<SavedConfigs, ConfigError> {
    let mut configs = BTreeMap::new();
    for (slug, raw) in raw {
        expect_name(&slug, &format!("configs.{slug}"))?;
        let option = format!("configs.{slug}.json");
        let Some(json) = &raw.json else {
            return Err(ConfigError::missing(&option));
        };
        let value = value(json.expose_secret(), &option)?;
        let told = |invalid: &Invalid| {
            let error = ConfigError::new(format!("`{option}`: {invalid}"));
            if invalid.errors.is_empty() {
                error
            } else {
                error.help(invalid.errors.join("; "))
            }
        };
        let config = RoutingConfig::parse(&value, &Overrides::default());
        for leaf in config.map_err(|invalid| told(&invalid))?.leaves() {
            let at = format!("{option}: {}", leaf.path);
            check_destination(&leaf.destination, virtual_keys, &at)?;
            if let Some(invalid) = account::meaningless(leaf) {
                return Err(told(&invalid));
            }
        }
        configs.insert(slug, Arc::new(value));
    }
    Ok(Arc::new(configs))
}

/// The error tells the place in the text, and nothing of it: it may hold a provider's key.
fn value(json: &str, option: &str) -> Result<Value, ConfigError> {
    serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ConfigError::new(format!(
            "`{option}`: not JSON, at line {line}, column {column}"
        ))
    })
}

fn check_destination(
    destination: &Destination,
    virtual_keys: &VirtualKeys,
    at: &str,
) -> Result<(), ConfigError> {
    match destination {
        Destination::VirtualKey(slug) => virtual_keys.expect(slug, at).map(|_| ()),
        Destination::Inline(inline) if preset(&inline.provider).is_none() => {
            let option = format!("{at}.provider");
            let got = &inline.provider;
            Err(ConfigError::unknown_value(
                &option,
                got,
                &account::PROVIDERS,
            ))
        }
        Destination::Inline(_) | Destination::Request => Ok(()),
    }
}

/// Errors unless there is such a config.
pub(super) fn expect(configs: &SavedConfigs, slug: &str, option: &str) -> Result<(), ConfigError> {
    if configs.contains_key(slug) {
        return Ok(());
    }
    let known: Vec<_> = configs.keys().map(String::as_str).collect();
    let error = ConfigError::new(format!("`{option}`: there is no config `{slug}`"));
    Err(if known.is_empty() {
        error.help(format!("[configs.{slug}] makes one"))
    } else {
        error.help(format!("known configs: {}", known.join(", ")))
    })
}
