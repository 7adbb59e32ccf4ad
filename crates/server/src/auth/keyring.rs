//! Which keys are valid, and what they open.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use loomgate_domain::{ApiKeyId, WorkspaceId, key::ApiKey};
use loomgate_store::Store;
use parking_lot::Mutex;
use secrecy::ExposeSecret;

use crate::config::{Config, VirtualKeys};

/// How long a key that was found is trusted without another look. A revoked key is dead by then.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// The most keys that are remembered.
const REMEMBERED: usize = 10_000;

type Hash = [u8; blake3::OUT_LEN];

/// Hashes keys with the server's secret: who reads the database can neither use what stands there
/// as a key nor try keys out on it.
#[derive(Clone)]
pub struct KeyHasher {
    secret: [u8; blake3::KEY_LEN],
}

impl KeyHasher {
    /// A hasher with this secret.
    pub fn new(secret: [u8; blake3::KEY_LEN]) -> Self {
        Self { secret }
    }

    /// The hash as it stands in the store, hexadecimal.
    pub fn hex(&self, key: &str) -> String {
        blake3::Hash::from(self.hash(key)).to_hex().to_string()
    }

    fn hash(&self, key: &str) -> Hash {
        blake3::keyed_hash(&self.secret, key.as_bytes()).into()
    }
}

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

/// What a valid key opens.
#[derive(Debug)]
pub(super) struct KeyRecord {
    pub(super) id: ApiKeyId,
    pub(super) workspace: WorkspaceId,
    pub(super) default_virtual_key: Arc<str>,
}

/// All valid keys: those of the config are held here and nowhere else, so that a key that is taken
/// out of the config is gone; the others are looked up in the store.
#[derive(Debug)]
pub struct Keyring {
    hasher: KeyHasher,
    configured: HashMap<Hash, Arc<KeyRecord>>,
    remembered: Mutex<HashMap<Hash, (Instant, Arc<KeyRecord>)>>,
    store: Store,
    virtual_keys: VirtualKeys,
}

impl Keyring {
    /// Makes the workspaces of the configured keys where they are missing.
    pub async fn new(
        config: &Config,
        hasher: KeyHasher,
        store: Store,
    ) -> Result<Self, loomgate_store::Error> {
        let mut configured = HashMap::new();
        for key in &config.api_keys {
            let record = KeyRecord {
                id: ApiKeyId::trusted(format!("key_config_{}", key.name)),
                workspace: store.workspaces().ensure(&key.workspace).await?,
                default_virtual_key: key.default_virtual_key.clone(),
            };
            let hash = hasher.hash(key.key.expose_secret());
            configured.insert(hash, Arc::new(record));
        }
        Ok(Self {
            hasher,
            configured,
            remembered: Mutex::default(),
            store,
            virtual_keys: config.virtual_keys.clone(),
        })
    }

    /// What a key opens; `None` when it is unknown or revoked.
    pub(super) async fn find(
        &self,
        key: &str,
    ) -> Result<Option<Arc<KeyRecord>>, loomgate_store::Error> {
        let hash = self.hasher.hash(key);
        if let Some(record) = self.configured.get(&hash) {
            return Ok(Some(Arc::clone(record)));
        }
        if let Some(record) = self.remembered(&hash) {
            return Ok(Some(record));
        }
        let found = self.store.keys().by_hash(&self.hasher.hex(key)).await?;
        let Some(found) = found.filter(|key| key.revoked_at.is_none()) else {
            return Ok(None);
        };
        let record = Arc::new(self.record(found));
        self.remember(hash, &record);
        Ok(Some(record))
    }

    /// A default that the config does not know any more stays as it is: the caller is told, rather
    /// than served by another provider than the key was made for.
    fn record(&self, key: ApiKey) -> KeyRecord {
        let own = key.default_virtual_key.map(Arc::from);
        let default = own.or_else(|| self.virtual_keys.default_name().cloned());
        KeyRecord {
            id: key.id,
            workspace: key.workspace,
            default_virtual_key: default.unwrap_or_else(|| Arc::from("")),
        }
    }

    fn remembered(&self, hash: &Hash) -> Option<Arc<KeyRecord>> {
        let remembered = self.remembered.lock();
        let (since, record) = remembered.get(hash)?;
        (since.elapsed() < TRUSTED_FOR).then(|| Arc::clone(record))
    }

    /// Only keys that are valid get here, so strangers can not push others out.
    fn remember(&self, hash: Hash, record: &Arc<KeyRecord>) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED {
            remembered.retain(|_, (since, _)| since.elapsed() < TRUSTED_FOR);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
        }
        remembered.insert(hash, (Instant::now(), Arc::clone(record)));
    }
}
