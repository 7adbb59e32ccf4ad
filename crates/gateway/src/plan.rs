//! A plan: a config whose targets are known. What the attempt loop walks through.

use std::sync::{Arc, LazyLock};

use foldhash::HashMap;
use url::Url;

use crate::{
    Target,
    config::{Config, Destination, Leaf, Overrides},
    egress::{self, Exceptions},
};

/// Where a call may go, and in which order.
#[derive(Debug, Clone)]
pub struct Plan {
    config: Arc<Config>,
    targets: Targets,
    /// Tells this config from others, so that circuit breakers of equal paths do not mix.
    identity: Arc<str>,
}

/// The accounts of a plan's leaves.
#[derive(Debug, Clone)]
enum Targets {
    /// Of the only leaf.
    One(Arc<Target>),
    /// By the leaf's path.
    Many(HashMap<Arc<str>, Arc<Target>>),
}

/// What most requests go by: a config of one leaf, without a rule.
static PLAIN: LazyLock<(Arc<Config>, Arc<str>)> = LazyLock::new(|| {
    let config = Config::single(Destination::Request, &Overrides::default());
    (Arc::new(config), Arc::from(""))
});

/// A leaf whose target is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) leaf: &'a Leaf,
    pub(crate) target: &'a Arc<Target>,
}

impl Plan {
    /// One target and no rules.
    pub fn single(target: &Arc<Target>) -> Self {
        let (config, identity) = &*PLAIN;
        Self {
            config: Arc::clone(config),
            targets: Targets::One(Arc::clone(target)),
            identity: Arc::clone(identity),
        }
    }

    /// One target, and what the request's headers say.
    pub fn of_request(target: &Arc<Target>, overrides: &Overrides) -> Self {
        if *overrides == Overrides::default() {
            return Self::single(target);
        }
        Self {
            config: Arc::new(Config::single(Destination::Request, overrides)),
            ..Self::single(target)
        }
    }

    /// A config; `target` finds each leaf's account. `identity` tells this config from others: its
    /// slug, or a hash of it.
    pub fn new<E>(
        config: Arc<Config>,
        identity: &str,
        mut target: impl FnMut(&Leaf) -> Result<Arc<Target>, E>,
    ) -> Result<Self, E> {
        let mut targets = HashMap::default();
        for leaf in config.leaves() {
            targets.insert(Arc::clone(&leaf.path), target(leaf)?);
        }
        Ok(Self {
            config,
            targets: Targets::Many(targets),
            identity: identity.into(),
        })
    }

    /// Whether assistants calls go upstream: `Err` when the plan's targets do not agree.
    pub fn assistants_upstream(&self) -> Result<bool, Disagreement> {
        let mut found = None;
        for way in self.ways() {
            let upstream = way
                .leaf
                .rules
                .assistants_upstream
                .unwrap_or(way.target.assistants_upstream);
            if *found.get_or_insert(upstream) != upstream {
                return Err(Disagreement);
            }
        }
        Ok(found.unwrap_or(false))
    }

    /// The accounts, in the order of the config.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.ways().map(|way| way.target)
    }

    /// The same plan with only those leaves whose account has this identity; `None` when there is
    /// no such leaf.
    #[must_use]
    pub fn only(&self, identity: &str) -> Option<Self> {
        let way = self.ways().find(|way| *way.target.identity == *identity)?;
        let mut leaf = way.leaf.clone();
        leaf.weight = 1.0;
        let targets = Targets::One(Arc::clone(way.target));
        Some(Self {
            config: Arc::new(Config {
                root: crate::config::Node::Leaf(Box::new(leaf)),
            }),
            targets,
            identity: Arc::clone(&self.identity),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// The leaf with its account. Every leaf has one, since `new` asked for each.
    pub(crate) fn way<'a>(&'a self, leaf: &'a Leaf) -> Option<Way<'a>> {
        let target = match &self.targets {
            Targets::One(target) => target,
            Targets::Many(targets) => targets.get(&leaf.path)?,
        };
        Some(Way { leaf, target })
    }

    fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        self.config.leaves().filter_map(|leaf| self.way(leaf))
    }
}

impl Way<'_> {
    /// The address that the caller, or a config, named in place of the account's own. It is then no
    /// word of the operator's: calls to it are guarded.
    pub(crate) fn custom_host(
        &self,
        exceptions: &Exceptions,
    ) -> Result<Option<Url>, CustomHostRefused> {
        let Some(host) = &self.leaf.rules.custom_host else {
            return Ok(None);
        };
        if self.target.is_stored {
            return Err(CustomHostRefused::StoredCredential);
        }
        egress::check_url(host, exceptions)
            .map(Some)
            .map_err(|_| CustomHostRefused::Invalid)
    }
}

/// Why an address is not called. The texts are those that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CustomHostRefused {
    /// It would get a secret that is not the caller's.
    #[error(
        "A stored credential only goes to its own address: leave out the custom host, or send a \
         credential of your own."
    )]
    StoredCredential,
    /// It is no address that may be named.
    #[error("Invalid custom host")]
    Invalid,
}

impl CustomHostRefused {
    /// For programs.
    pub(crate) fn code(self) -> Option<&'static str> {
        match self {
            Self::StoredCredential => Some("custom_host_not_allowed"),
            Self::Invalid => None,
        }
    }
}

/// Some targets of a plan serve assistants upstream, others here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "The targets of this config do not agree on whether assistants calls are served here or \
     upstream."
)]
pub struct Disagreement;
