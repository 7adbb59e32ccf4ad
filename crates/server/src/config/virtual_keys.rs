//! Virtual keys: the names of provider accounts.

mod found;
mod target;

use std::{collections::BTreeMap, sync::Arc};

use loomgate_domain::limit::Allowance;
use loomgate_gateway::{Provider, Target};

use self::target::configured;
use super::{Environment, error::ConfigError, raw::RawVirtualKey};
use crate::account::ECHO;

/// All virtual keys, and the one for API keys that name none.
#[derive(Debug, Clone)]
pub struct VirtualKeys {
    keys: BTreeMap<Arc<str>, ConfiguredVirtualKey>,
    default: Option<Arc<str>>,
}

/// A virtual key that stands in the configuration, or that the environment makes.
#[derive(Debug, Clone)]
pub struct ConfiguredVirtualKey {
    /// Where its calls go.
    pub target: Target,
    /// How much it may be used, by all callers together.
    pub allowance: Allowance,
    /// The ends of the provider's secret: `sk-****wxyz`; none for servers that want none.
    pub masked_key: Option<String>,
}

impl VirtualKeys {
    /// A virtual key.
    pub fn get(&self, name: &str) -> Option<&ConfiguredVirtualKey> {
        self.keys.get(name)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ConfiguredVirtualKey)> {
        self.keys.iter().map(|(name, key)| (&**name, key))
    }

    /// The shared form of a name that is known.
    pub fn known(&self, name: &str) -> Option<&Arc<str>> {
        self.keys.get_key_value(name).map(|(name, _)| name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(|name| &**name)
    }

    /// The virtual key of API keys that name none; there is none when several are configured and
    /// the config does not choose.
    pub fn default_name(&self) -> Option<&Arc<str>> {
        self.default.as_ref()
    }

    /// All names in one line.
    pub fn list(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn check(
        raw: BTreeMap<String, RawVirtualKey>,
        default: Option<String>,
        environment: &Environment,
        notes: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut keys = BTreeMap::new();
        let mut first = None;
        if raw.is_empty() {
            for key in found::in_environment(environment, notes)? {
                let name = Arc::clone(&key.target.name);
                first.get_or_insert_with(|| Arc::clone(&name));
                keys.insert(name, key);
            }
            first.get_or_insert_with(|| Arc::from(ECHO));
        } else {
            let only = raw.len() == 1;
            for (name, raw) in raw {
                let key = configured(&name, raw, environment)?;
                let name = Arc::clone(&key.target.name);
                first = only.then(|| Arc::clone(&name));
                keys.insert(name, key);
            }
        }
        let echo = || ConfiguredVirtualKey::plain(Target::new(ECHO, ECHO, Provider::Echo), None);
        keys.entry(Arc::from(ECHO)).or_insert_with(echo);
        let mut all = Self {
            keys,
            default: None,
        };
        all.default = match default {
            Some(name) => Some(all.expect(&name, "default_virtual_key")?),
            None => first,
        };
        Ok(all)
    }

    /// The shared form of a name that has to be known.
    pub(super) fn expect(&self, name: &str, option: &str) -> Result<Arc<str>, ConfigError> {
        self.known(name).cloned().ok_or_else(|| {
            ConfigError::new(format!("`{option}`: there is no virtual key `{name}`"))
                .help(format!("known virtual keys: {}", self.list()))
        })
    }
}

impl ConfiguredVirtualKey {
    /// One without limits.
    fn plain(target: Target, masked_key: Option<String>) -> Self {
        Self {
            target,
            allowance: Allowance::default(),
            masked_key,
        }
    }
}

/// Such names can stand in a header and in a log line.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Errors unless a name is one.
pub(super) fn expect_name(name: &str, option: &str) -> Result<(), ConfigError> {
    if is_name(name) {
        Ok(())
    } else {
        Err(ConfigError::new(format!(
            "`{option}`: a name has 1 to 64 characters out of letters, digits, `-`, `_` and `.`"
        )))
    }
}
