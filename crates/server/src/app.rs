//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use loomgate_domain::{Clock, IdGen, RunId, Timestamp, WorkspaceId};
use loomgate_engine::{Engine, Indexer, Making};
use loomgate_gateway::Gateway;
use loomgate_store::Store;
use loomgate_vault::Vault;
use secrecy::ExposeSecret as _;

use crate::{
    admission::Admission,
    auth::Keyring,
    config::Config,
    content::Content,
    error::ApiError,
    logbook::Logbook,
    routing::{Accounts, Wishes},
    telemetry::Metrics,
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
    /// The bytes of files.
    pub(crate) content: Content,
    /// What carries out runs.
    pub engine: Engine,
    /// What makes files searchable.
    pub indexer: Indexer,
    /// The way to models.
    pub gateway: Arc<Gateway>,
    /// Where virtual keys and configs lead.
    pub(crate) accounts: Accounts,
    /// Seals providers' secrets.
    pub(crate) vault: Arc<Vault>,
    /// Where records of requests go.
    pub(crate) logbook: Logbook,
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

    /// The parts, for whoever must not keep them alive.
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.0
    }
}

impl Services {
    /// Makes records at this moment.
    pub(crate) fn making(&self, now: Timestamp) -> Making<'_> {
        Making {
            ids: &self.ids,
            now,
            limits: &self.config.limits,
        }
    }

    /// Seals what a request says about its way, for the run that it makes.
    pub(crate) fn seal_wishes(
        &self,
        workspace: &WorkspaceId,
        wishes: &Wishes,
    ) -> Result<String, ApiError> {
        let text = serde_json::to_string(wishes).map_err(|error| ApiError::internal(&error))?;
        let context = sealed_for(workspace);
        Ok(self
            .vault
            .seal(&context, &text, &mut |bytes| self.ids.fill(bytes)))
    }

    /// What was sealed for a run; `None` once it has ended.
    pub(crate) async fn open_wishes(
        &self,
        workspace: &WorkspaceId,
        run: &RunId,
    ) -> Result<Option<Wishes>, ApiError> {
        let Some(sealed) = self.store.runs().sealed(workspace, run).await? else {
            return Ok(None);
        };
        let text = self
            .vault
            .open(&sealed_for(workspace), &sealed)
            .map_err(|error| ApiError::internal(&error))?;
        serde_json::from_str(text.expose_secret())
            .map(Some)
            .map_err(|error| ApiError::internal(&error))
    }
}

/// What the wishes of runs are sealed for: they open nowhere else.
pub(crate) fn sealed_for(workspace: &WorkspaceId) -> String {
    format!("run:{workspace}")
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
