//! What a key may do.

use serde::{Deserialize, Serialize};

macro_rules! scopes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// One permission of an API key, in Portkey's words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name: `completions.write`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

scopes! {
    /// Everything, in all workspaces, `/metrics` included. Loomgate's own.
    Admin = "admin";
    /// Every call of the data plane: completions, assistants, threads, runs, files.
    CompletionsWrite = "completions.write";
    /// List and export logs; the graphs are [`Scope::AnalyticsView`].
    LogsList = "logs.list";
    /// Read one log record.
    LogsView = "logs.view";
    /// Export logs.
    LogsExport = "logs.export";
    /// Add logs and feedback.
    LogsWrite = "logs.write";
    /// Read the graphs.
    AnalyticsView = "analytics.view";
    /// List virtual keys.
    VirtualKeysList = "virtual_keys.list";
    /// Read one virtual key.
    VirtualKeysRead = "virtual_keys.read";
    /// Make virtual keys.
    VirtualKeysCreate = "virtual_keys.create";
    /// Change virtual keys.
    VirtualKeysUpdate = "virtual_keys.update";
    /// Delete virtual keys.
    VirtualKeysDelete = "virtual_keys.delete";
    /// List configs.
    ConfigsList = "configs.list";
    /// Read one config.
    ConfigsRead = "configs.read";
    /// Save configs.
    ConfigsCreate = "configs.create";
    /// Change configs.
    ConfigsUpdate = "configs.update";
    /// Delete configs.
    ConfigsDelete = "configs.delete";
    /// List the workspace's API keys.
    ApiKeysList = "workspace_service_api_keys.list";
    /// Read one API key of the workspace.
    ApiKeysRead = "workspace_service_api_keys.read";
    /// Make API keys for the workspace.
    ApiKeysCreate = "workspace_service_api_keys.create";
    /// Change and rotate API keys of the workspace.
    ApiKeysUpdate = "workspace_service_api_keys.update";
    /// Delete API keys of the workspace.
    ApiKeysDelete = "workspace_service_api_keys.delete";
}

/// The permissions of one key, sorted. [`Scope::Admin`] implies all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Sorted, each once.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// What a key gets that asks for nothing special: calls, and a look at what became of them.
    pub fn usual() -> Self {
        Self::new([
            Scope::CompletionsWrite,
            Scope::LogsList,
            Scope::LogsView,
            Scope::LogsExport,
            Scope::LogsWrite,
            Scope::AnalyticsView,
        ])
    }

    /// Whether they allow something.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// Whether they allow all that others do: nobody gives away more than they have.
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|scope| self.allow(*scope))
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

/// A name that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope '{0}'")]
pub struct UnknownScope(pub String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(name: &str) -> Result<Self, UnknownScope> {
        let known = Self::ALL.iter().find(|scope| scope.as_str() == name);
        known.copied().ok_or_else(|| UnknownScope(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_scopes() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse::<Scope>().unwrap(), *scope);
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!("completions".parse::<Scope>().is_err());
    }

    #[test]
    fn an_admin_may_do_everything_and_nobody_else_may() {
        let admin = Scopes::new([Scope::Admin]);
        let usual = Scopes::usual();
        for scope in Scope::ALL {
            assert!(admin.allow(*scope), "{scope:?}");
        }
        assert!(usual.allow(Scope::CompletionsWrite));
        assert!(!usual.allow(Scope::ConfigsCreate));
        assert!(admin.cover(&usual));
        assert!(!usual.cover(&admin));
    }
}
