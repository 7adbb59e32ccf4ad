//! The accounts that virtual keys stand for, and the configs that slugs stand for: those of the
//! configuration file for everybody, those of the store for their workspace.

use std::sync::Arc;

use foldhash::HashMap;
use loomgate_domain::{WorkspaceId, virtual_key::VirtualKey};
use loomgate_gateway::{Gateway, Target, http_client::Trust};
use loomgate_store::Store;
use loomgate_vault::Vault;
use serde_json::Value;

use crate::{
    account,
    config::{SavedConfigs, VirtualKeys},
    error::ApiError,
    limits,
    recent::Recent,
};

/// By workspace and slug.
type Remembered<T> = Recent<(WorkspaceId, String), T>;

/// Finds accounts and configs by their slugs.
pub(crate) struct Accounts {
    configured: HashMap<String, Arc<Target>>,
    saved_configs: SavedConfigs,
    targets: Remembered<Target>,
    configs: Remembered<Value>,
    store: Store,
    gateway: Arc<Gateway>,
    vault: Arc<Vault>,
}

/// What a stored virtual key's secret is sealed for: it opens nowhere else.
pub(crate) fn seal_context(workspace: &WorkspaceId, slug: &str) -> String {
    format!("virtual_key:{workspace}/{slug}")
}

impl Accounts {
    /// With those of the configuration file; their limits are loaded.
    pub(crate) async fn new(
        (virtual_keys, saved_configs): (&VirtualKeys, SavedConfigs),
        (store, gateway, vault): (Store, Arc<Gateway>, Arc<Vault>),
    ) -> Result<Self, loomgate_store::Error> {
        let mut configured = HashMap::default();
        for (name, configured_key) in virtual_keys.iter() {
            let subject = format!("vk:config/{name}");
            let allowance = (&configured_key.allowance, loomgate_domain::Timestamp(0));
            let services = (&store, &*gateway);
            let limited = limits::limited(services, subject, "virtual key", allowance).await?;
            let target = Target {
                limited,
                ..configured_key.target.clone()
            };
            configured.insert(name.to_owned(), Arc::new(target));
        }
        Ok(Self {
            configured,
            saved_configs,
            targets: Recent::default(),
            configs: Recent::default(),
            store,
            gateway,
            vault,
        })
    }

    /// The account of a virtual key: the configuration's goes before the workspace's own.
    pub(crate) async fn find(
        &self,
        workspace: &WorkspaceId,
        slug: &str,
    ) -> Result<Option<Arc<Target>>, ApiError> {
        let found = self.look_up(workspace, slug).await?;
        let limited = found.as_ref().and_then(|target| target.limited.as_ref());
        limits::caught_up(&self.gateway, limited).await;
        Ok(found)
    }

    async fn look_up(
        &self,
        workspace: &WorkspaceId,
        slug: &str,
    ) -> Result<Option<Arc<Target>>, ApiError> {
        // The names of the configuration can not be taken in the store.
        if let Some(target) = self.configured.get(slug) {
            if let Some(limited) = &target.limited {
                limits::recall((&self.store, &self.gateway), limited).await?;
            }
            return Ok(Some(Arc::clone(target)));
        }
        let key = (workspace.clone(), slug.to_owned());
        if let Some(target) = self.targets.get(&key) {
            return Ok(Some(target));
        }
        let look = self.targets.look();
        let Some(stored) = self.store.virtual_keys().get(workspace, slug).await? else {
            return Ok(None);
        };
        let target = Arc::new(self.target(stored).await?);
        self.targets.put(look, key, &target);
        Ok(Some(target))
    }

    /// Whether the configuration file has a virtual key of this name.
    pub(crate) fn is_configured(&self, slug: &str) -> bool {
        self.configured.contains_key(slug)
    }

    /// A saved config.
    pub(crate) async fn config(
        &self,
        workspace: &WorkspaceId,
        slug: &str,
    ) -> Result<Option<Arc<Value>>, ApiError> {
        if let Some(config) = self.saved_configs.get(slug) {
            return Ok(Some(Arc::clone(config)));
        }
        let key = (workspace.clone(), slug.to_owned());
        if let Some(config) = self.configs.get(&key) {
            return Ok(Some(config));
        }
        let look = self.configs.look();
        let Some(stored) = self.store.configs().get(workspace, slug).await? else {
            return Ok(None);
        };
        let config = Arc::new(stored.config);
        self.configs.put(look, key, &config);
        Ok(Some(config))
    }

    /// Something was changed: it is looked up again.
    pub(crate) fn forget(&self) {
        self.targets.forget();
        self.configs.forget();
    }

    async fn target(&self, stored: VirtualKey) -> Result<Target, ApiError> {
        let VirtualKey {
            workspace,
            slug,
            provider,
            sealed_key,
            settings,
            ..
        } = stored;
        let secret = sealed_key
            .map(|sealed| self.vault.open(&seal_context(&workspace, &slug), &sealed))
            .transpose()
            .map_err(|error| ApiError::internal(&error))?;
        let mut options = settings.options.clone();
        if let Some(base_url) = &settings.base_url {
            options.insert("base_url".to_owned(), base_url.clone());
        }
        let built = account::build(&provider, secret, &options)?;
        let subject = format!("vk:{workspace}/{slug}");
        let allowance = (&settings.allowance, settings.usage_since);
        let services = (&self.store, &*self.gateway);
        let limited = limits::limited(services, subject.clone(), "virtual key", allowance).await?;
        let mut target = Target::new(&slug, built.brand, built.provider);
        target.identity = subject.into();
        target.model_aliases = settings.model_aliases;
        // Whoever makes virtual keys over the API is no operator: only public addresses.
        target.trust = Trust::Guarded;
        target.assistants_upstream = settings.assistants_upstream;
        target.limited = limited;
        target.expires_at = settings.expires_at;
        Ok(target)
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}
