//! The environment as a source of options. The only place that reads it.

use std::collections::BTreeMap;
#[cfg(debug_assertions)]
use std::path::Path;

use figment::value::{Dict, Value};

use super::{error::ConfigError, load, raw::RawConfig};

const PREFIX: &str = "LOOMGATE_";

/// Variables of this prefix that are no options: read elsewhere, or meant for clients and tests.
const NOT_OPTIONS: &[&str] = &[
    "API_KEY",
    "BASE_URL",
    "BIN",
    "CONFIG",
    "CONTRACT_DIR",
    #[cfg(debug_assertions)]
    "FAILPOINT",
    #[cfg(debug_assertions)]
    "FAILPOINT_TRACE",
    "HASH_KEY",
    "LOG",
    "LOG_FORMAT",
    "MASTER_KEY",
    "RECORD",
    "TEST_DATABASE",
    "TEST_POSTGRES",
    "TEST_S3",
    "VIRTUAL_KEY",
];

/// A copy of the environment variables.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let readable = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self(readable.collect())
    }

    /// The value of a variable; `None` also when it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Has this process abort where `LOOMGATE_FAILPOINT` says, and write the points that it passes into
    /// the file that `LOOMGATE_FAILPOINT_TRACE` names. Only debug builds can.
    #[cfg(debug_assertions)]
    pub(crate) fn arm_failpoints(&self) -> Result<(), ConfigError> {
        let [plan, trace] =
            ["LOOMGATE_FAILPOINT", "LOOMGATE_FAILPOINT_TRACE"].map(|it| self.get(it));
        if plan.is_none() && trace.is_none() {
            return Ok(());
        }
        let armed = loomgate_store::failpoint::arm(plan, trace.map(Path::new));
        armed.map_err(|error| ConfigError::new(format!("`LOOMGATE_FAILPOINT`: {error}")))
    }

    /// The options that are set here, as a tree.
    pub(super) fn options(&self) -> Result<Dict, ConfigError> {
        let mut options = Dict::new();
        for (name, value) in &self.0 {
            let Some(path) = option_path(name) else {
                continue;
            };
            load::merge(&mut options, one_option(name, &path, value)?);
        }
        for (name, key) in [("LOOMGATE_LOG", "level"), ("LOOMGATE_LOG_FORMAT", "format")] {
            if let Some(value) = self.get(name) {
                load::merge(&mut options, tree(&["log", key], Value::from(value)));
            }
        }
        Ok(options)
    }
}

impl Environment {
    /// The same with one more, or another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(variables.map(owned).into())
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `LOOMGATE_LIMITS__BODY_BYTES` -> `limits`, `body_bytes`.
fn option_path(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest.is_empty() || NOT_OPTIONS.contains(&rest) || is_service_link(rest) {
        return None;
    }
    Some(rest.split("__").map(str::to_lowercase).collect())
}

/// Kubernetes sets such variables for every service of a namespace; one named `loomgate` is likely.
fn is_service_link(rest: &str) -> bool {
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || rest == "PORT"
        || rest.starts_with("PORT_")
}

/// A variable is text. It is read as text where the option is one, and otherwise as TOML is.
fn one_option(name: &str, path: &[String], value: &str) -> Result<Dict, ConfigError> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let text = tree(&path, Value::from(value));
    if load::read::<RawConfig>(&text).is_ok() {
        return Ok(text);
    }
    // Never fails: what is nothing else is text again.
    let Ok(parsed) = value.parse::<Value>();
    let parsed = tree(&path, parsed);
    match load::read::<RawConfig>(&parsed) {
        Ok(_) => Ok(parsed),
        Err(error) => Err(ConfigError::from_extraction(
            &error,
            &format!("environment variable {name}"),
        )),
    }
}

fn tree(path: &[&str], value: Value) -> Dict {
    let mut value = value;
    for key in path.iter().skip(1).rev() {
        value = Value::from(Dict::from([((*key).to_owned(), value)]));
    }
    path.first()
        .map(|key| Dict::from([((*key).to_owned(), value)]))
        .unwrap_or_default()
}
