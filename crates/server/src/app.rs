//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use loomgate_domain::{Clock, IdGen};
use loomgate_engine::Engine;
use loomgate_gateway::Gateway;
use loomgate_store::Store;

use crate::{
    admission::Admission, auth::Keyring, config::Config, model::Targets, telemetry::Metrics,
};

/// The state of the router: a shared [`Services`], cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Services>);

/// The parts of a running server.
pub struct Services {
    /// The configuration, as it was at the start.
    pub config: Config,
    /// Everything that is kept.
    pub store: Store,
    /// What carries out runs.
    pub engine: Engine,
    /// The way to models.
    pub gateway: Arc<Gateway>,
    /// Where the virtual keys lead.
    pub targets: Targets,
    /// Which API keys are valid.
    pub keyring: Keyring,
    /// How many requests are under way.
    pub admission: Admission,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdGen>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

impl App {
    /// Shares the parts.
    pub fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }
}

impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
