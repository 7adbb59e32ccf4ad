//! Routing configs: a tree of targets, and what applies to each.
//!
//! A config is checked once and wholly: what came through [`Config::parse`] has no field that
//! nobody acts on, its inheritance is applied, and its patterns are compiled. What a key means is
//! `contract/portkey.md` sections 4.1 and 4.2; where the hosted product and the open gateway
//! differ, both are taken. Start at `tree` for the walk, `target` for where a leaf goes.

mod fault;
mod reader;
mod rule;
mod rules;
mod strategy;
mod target;
mod tree;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde_json::Value;

pub use self::{
    rule::{BreakerRule, CacheMode, CacheRule, RetryRule, Rules},
    target::{is_host, slug_in_model},
};
use crate::condition::Condition;

/// A routing config that was checked, inheritance applied.
#[derive(Debug, Clone)]
pub struct Config {
    /// The whole tree.
    pub root: Node,
}

/// A level of a config.
#[derive(Debug, Clone)]
pub enum Node {
    /// It has targets, and a strategy that chooses among them.
    Branch(Branch),
    /// It is a target.
    Leaf(Box<Leaf>),
}

/// A level with targets.
#[derive(Debug, Clone)]
pub struct Branch {
    /// What a conditional strategy calls it.
    pub name: Option<String>,
    /// Its share under a load balancer: 1 unless it says otherwise, 0 for never.
    pub weight: f64,
    /// Where it stands: `config`, `config.targets[1]`, `config.targets[0].targets[2]`.
    pub path: Arc<str>,
    /// How a target is chosen.
    pub strategy: Strategy,
    /// At least one.
    pub targets: Vec<Node>,
    /// When its targets are left alone for a while; leaves carry it too.
    pub breaker: Option<BreakerRule>,
}

/// A target.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// What a conditional strategy calls it.
    pub name: Option<String>,
    /// Its share under a load balancer: 1 unless it says otherwise, 0 for never.
    pub weight: f64,
    /// Where it stands: `config`, `config.targets[1]`, `config.targets[0].targets[2]`.
    pub path: Arc<str>,
    /// Whom it calls.
    pub destination: Destination,
    /// What applies to its calls, its own and what it inherits.
    pub rules: Rules,
}

/// How a target is chosen.
#[derive(Debug, Clone)]
pub enum Strategy {
    /// The first.
    Single,
    /// By chance, in proportion to the weights, of which at least one is more than 0.
    LoadBalance,
    /// In order, until one answers well.
    Fallback {
        /// The statuses that lead to the next; none given: all but 200 to 299.
        on_status_codes: Option<Vec<u16>>,
    },
    /// By the facts of the request; every name is the name of one of the targets.
    Conditional {
        /// Conditions and the names that they lead to; the first that holds decides.
        conditions: Vec<(Condition, String)>,
        /// The name for when none holds.
        default: Option<String>,
    },
}

/// Whom a target calls.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A stored credential, by its slug: `virtual_key: "slug"`, `provider: "@slug"`, or, where
    /// nothing else is named, `override_params: {"model": "@slug/model"}`.
    VirtualKey(Arc<str>),
    /// A provider that the config names itself.
    Inline(Inline),
    /// What the request's headers or its key say.
    Request,
}

/// A provider that a config names itself. Whether the name is one that is known is decided where
/// it is called.
#[derive(Clone)]
pub struct Inline {
    /// The provider's name: `openai`, `azure-openai`.
    pub provider: String,
    /// The credential; without one the request may bring its own.
    pub api_key: Option<SecretString>,
    /// Everything else that the level says, by its name in `snake_case`: `resource_name`,
    /// `api_version`, `openai_organization`. May hold secrets (`azure_ad_token`).
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for Inline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inline")
            .field("provider", &self.provider)
            .field("has_api_key", &self.api_key.is_some())
            .field("options", &self.options.keys())
            .finish()
    }
}

/// What the request's headers say; it goes before everything in the config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `x-portkey-custom-host`.
    pub custom_host: Option<String>,
    /// `x-portkey-request-timeout`.
    pub request_timeout: Option<Duration>,
    /// `x-portkey-forward-headers`.
    pub forward_headers: Option<Vec<String>>,
    /// `x-portkey-strict-open-ai-compliance`, where it is `false`.
    pub strict_open_ai_compliance: Option<bool>,
}

/// A config that can not be used: a 400 for the caller. Neither text repeats a value that may be
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// One of the texts that clients know (`contract/portkey.md` section 1).
    pub message: String,
    /// For each place that is wrong, `path: strategy,mode, message: ...`; may be empty.
    pub errors: Vec<String>,
}

impl Invalid {
    /// The text where the config is no JSON.
    pub const NOT_JSON: &str = "Invalid config passed. You need to pass a valid json";
    /// The text where something in it is wrong; `errors` say what.
    pub const CONFIG: &str = "Invalid config passed";
    /// The text for the configs of the first version of the product.
    pub const OLD_VERSION: &str = "This version of config is not supported in this route. Please migrate to the latest version";
    /// The text for a base address in a header that can not be one.
    pub const HOST: &str = "Invalid custom host";

    fn text(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            errors: Vec::new(),
        }
    }
}

impl Config {
    /// Checks a config and applies inheritance; `overrides` end up in every leaf.
    pub fn parse(value: &Value, overrides: &Overrides) -> Result<Self, Invalid> {
        if value.get("options").is_some_and(Value::is_array) {
            return Err(Invalid::text(Invalid::OLD_VERSION));
        }
        if let Some(host) = &overrides.custom_host
            && !is_host(host)
        {
            return Err(Invalid::text(Invalid::HOST));
        }
        tree::read(value, overrides).map(|root| Self { root })
    }

    /// Reads the text of a header, then as [`Config::parse`].
    pub fn parse_text(text: &str, overrides: &Overrides) -> Result<Self, Invalid> {
        let value: Value =
            serde_json::from_str(text).map_err(|_| Invalid::text(Invalid::NOT_JSON))?;
        Self::parse(&value, overrides)
    }

    /// A config that is one target; its path is `config`.
    pub fn single(destination: Destination, overrides: &Overrides) -> Self {
        let mut rules = Rules::default();
        rules.apply(overrides);
        Self {
            root: Node::Leaf(Box::new(Leaf {
                name: None,
                weight: 1.0,
                path: "config".into(),
                destination,
                rules,
            })),
        }
    }

    /// All targets that can be called, in order.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let mut open = vec![&self.root];
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Node::Branch(branch) => open.extend(branch.targets.iter().rev()),
                    Node::Leaf(leaf) => return Some(leaf.as_ref()),
                }
            }
        })
    }
}

impl Node {
    /// What a conditional strategy calls it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Branch(branch) => branch.name.as_deref(),
            Self::Leaf(leaf) => leaf.name.as_deref(),
        }
    }

    /// Its share under a load balancer.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Branch(branch) => branch.weight,
            Self::Leaf(leaf) => leaf.weight,
        }
    }

    /// Where it stands: `config.targets[1]`.
    pub fn path(&self) -> &Arc<str> {
        match self {
            Self::Branch(branch) => &branch.path,
            Self::Leaf(leaf) => &leaf.path,
        }
    }
}

#[cfg(test)]
mod tests;
