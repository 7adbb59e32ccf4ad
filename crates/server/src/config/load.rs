//! From sources to one raw config: the file, over it the environment, over it the flags.

use std::path::{Path, PathBuf};

use figment::{
    Figment, Profile,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

use super::{Config, Environment, error::ConfigError, raw::RawConfig, valid};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "loomgate.toml";

/// Where options come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file that was named; otherwise `loomgate.toml` in `folder`, when it exists.
    pub file: Option<PathBuf>,
    /// The folder that `loomgate.toml` is looked for in.
    pub folder: PathBuf,
    /// Environment variables.
    pub environment: Environment,
    /// Flags of the command line.
    pub flags: Flags,
}

/// Options that are flags, too.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `listen`
    pub listen: Option<String>,
    /// `data_dir`
    pub data_dir: Option<PathBuf>,
    /// `database`
    pub database: Option<String>,
    /// `role`
    pub role: Option<String>,
}

/// Reads and checks everything.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut options = file_options(sources)?;
    merge(&mut options, sources.environment.options()?);
    let mut raw: RawConfig =
        read(&options).map_err(|error| ConfigError::from_extraction(&error, "the config"))?;
    let flags = sources.flags.clone();
    raw.listen = flags.listen.or(raw.listen);
    raw.data_dir = flags.data_dir.or(raw.data_dir);
    raw.role = flags.role.or(raw.role);
    raw.database = flags.database.map(Into::into).or(raw.database);
    valid::check(raw, &sources.environment)
}

fn file_options(sources: &Sources) -> Result<Dict, ConfigError> {
    let path = if let Some(path) = &sources.file {
        path.clone()
    } else {
        let path = sources.folder.join(DEFAULT_FILE);
        if !path.exists() {
            return Ok(Dict::new());
        }
        path
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| ConfigError::new(format!("{name}: {error}")))?;
    let mut table = toml::Value::Table(parse(&text, &path)?);
    times_as_text(&mut table);
    let options = match Value::serialize(table) {
        Ok(Value::Dict(_, options)) => options,
        Ok(_) => Dict::new(),
        Err(error) => return Err(ConfigError::from_extraction(&error, &name)),
    };
    // By itself first: an error is then certain to be this file's.
    read::<RawConfig>(&options).map_err(|error| ConfigError::from_extraction(&error, &name))?;
    Ok(options)
}

/// TOML's own error display quotes the line, which may hold a secret; its message does not.
fn parse(text: &str, path: &Path) -> Result<toml::Table, ConfigError> {
    text.parse::<toml::Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', ", ");
        ConfigError::new(format!("{}:{line}: {message}", path.display()))
    })
}

/// TOML has a type for times; the options that are times take text, as the environment gives it.
fn times_as_text(value: &mut toml::Value) {
    match value {
        toml::Value::Datetime(time) => *value = toml::Value::String(time.to_string()),
        toml::Value::Array(items) => items.iter_mut().for_each(times_as_text),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| times_as_text(value)),
        _ => {}
    }
}

/// Puts `over` over `under`; tables are joined, everything else is replaced.
pub(super) fn merge(under: &mut Dict, over: Dict) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Dict(_, under)), Value::Dict(_, over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Figment's error is large, and rare.
pub(super) fn read<T: DeserializeOwned>(options: &Dict) -> Result<T, Box<figment::Error>> {
    Figment::from(Serialized::from(options, Profile::Default))
        .extract()
        .map_err(Box::new)
}
