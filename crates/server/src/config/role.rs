//! What one process does of all that a server does.

use super::{ConfigError, Database};

/// What a process does. Several on one database share the work; whatever their roles, each holds
/// nothing that the others would miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Serves the API and carries runs out.
    #[default]
    All,
    /// Serves the API; runs are carried out elsewhere.
    Api,
    /// Carries runs out; of the API it serves what operators ask for.
    Worker,
}

impl Role {
    /// Their names, in the order of the enum.
    pub const NAMES: [&'static str; 3] = ["all", "api", "worker"];

    /// Errors: a name that is none; a role that leaves work to others where there can be no others.
    pub(super) fn check(name: Option<&str>, database: &Database) -> Result<Self, ConfigError> {
        let role = match name {
            None | Some("all") => Self::All,
            Some("api") => Self::Api,
            Some("worker") => Self::Worker,
            Some(other) => return Err(ConfigError::unknown_value("role", other, &Self::NAMES)),
        };
        if role != Self::All && matches!(database, Database::Sqlite) {
            let name = name.unwrap_or_default();
            return Err(ConfigError::new(format!(
                "`role`: a process with the role \"{name}\" needs others beside it, and only one \
                 can use SQLite"
            ))
            .help("set `database` to a PostgreSQL that all of them use (docs/operations.md)"));
        }
        Ok(role)
    }

    /// Whether it carries runs out.
    pub fn works(self) -> bool {
        self != Self::Api
    }

    /// Whether it serves the API.
    pub fn serves(self) -> bool {
        self != Self::Worker
    }
}
