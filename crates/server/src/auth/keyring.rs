//! Which keys are valid, and what they open.

use std::sync::Arc;

use foldhash::HashMap;
use loomgate_domain::{ApiKeyId, Timestamp, WorkspaceId, key::KeySettings};
use loomgate_gateway::{Gateway, meter::Limited};
use loomgate_store::Store;
use secrecy::ExposeSecret;

use super::key;
use crate::{config::Config, limits, recent::Recent};

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
pub(crate) struct KeyRecord {
    pub(crate) id: ApiKeyId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) settings: KeySettings,
    /// What its calls are counted against; `None`: nothing limits it.
    pub(crate) limited: Option<Limited>,
}

/// All valid keys: those of the config are held here and nowhere else, so that a key that is taken
/// out of the config is gone; the others are looked up in the store.
#[derive(Debug)]
pub struct Keyring {
    hasher: KeyHasher,
    configured: HashMap<Hash, Arc<KeyRecord>>,
    /// Only keys that are valid get here, so strangers can not push others out.
    remembered: Recent<Hash, KeyRecord>,
    store: Store,
    gateway: Arc<Gateway>,
}

impl Keyring {
    /// Makes the workspaces of the configured keys where they are missing.
    pub async fn new(
        config: &Config,
        hasher: KeyHasher,
        store: Store,
        gateway: Arc<Gateway>,
    ) -> Result<Self, loomgate_store::Error> {
        let mut keyring = Self {
            hasher,
            configured: HashMap::default(),
            remembered: Recent::default(),
            store,
            gateway,
        };
        for key in &config.api_keys {
            let record = KeyRecord {
                id: key.id(),
                workspace: keyring.store.workspaces().ensure(&key.workspace).await?,
                limited: None,
                settings: key.settings.clone(),
            };
            let record = keyring.with_limits(record).await?;
            let hash = keyring.hasher.hash(key.key.expose_secret());
            keyring.configured.insert(hash, Arc::new(record));
        }
        Ok(keyring)
    }

    /// The hash of a key as the store keeps it.
    pub(crate) fn hex(&self, key: &str) -> String {
        self.hasher.hex(key)
    }

    /// Whether a text is a key of this server, in whatever state.
    pub(crate) async fn is_ours(&self, text: &str) -> Result<bool, loomgate_store::Error> {
        if self.configured.contains_key(&self.hasher.hash(text)) {
            return Ok(true);
        }
        if !key::looks_made_here(text) {
            return Ok(false);
        }
        let found = self.store.keys().by_hash(&self.hasher.hex(text)).await?;
        Ok(found.is_some())
    }

    /// What a key opens; `None` when it is unknown, revoked or expired.
    pub(crate) async fn find(
        &self,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<KeyRecord>>, loomgate_store::Error> {
        let hash = self.hasher.hash(key);
        let found = match self.configured.get(&hash) {
            Some(record) => Some(self.recalled(record).await?),
            None => match self.remembered.get(&hash) {
                Some(record) => Some(record),
                None => self.look_up(key, hash, now).await?,
            },
        };
        let found = found.filter(|record| record.settings.expires_at.is_none_or(|end| now < end));
        let limited = found.as_ref().and_then(|record| record.limited.as_ref());
        limits::caught_up(&self.gateway, limited).await;
        Ok(found)
    }

    /// The key of an id, whatever its state; `None` when it is gone.
    pub(crate) async fn by_id(
        &self,
        workspace: &WorkspaceId,
        id: &ApiKeyId,
    ) -> Result<Option<Arc<KeyRecord>>, loomgate_store::Error> {
        let found = self.look_up_id(workspace, id).await?;
        let limited = found.as_ref().and_then(|record| record.limited.as_ref());
        limits::caught_up(&self.gateway, limited).await;
        Ok(found)
    }

    async fn look_up_id(
        &self,
        workspace: &WorkspaceId,
        id: &ApiKeyId,
    ) -> Result<Option<Arc<KeyRecord>>, loomgate_store::Error> {
        let mut configured = self.configured.values();
        if let Some(record) = configured.find(|record| record.id == *id) {
            return Ok(Some(self.recalled(record).await?));
        }
        let cached = self.remembered.find(|record| record.id == *id);
        if cached.is_some() {
            return Ok(cached);
        }
        let Some(found) = self.store.keys().get(workspace, id).await? else {
            return Ok(None);
        };
        let record = KeyRecord {
            id: found.id,
            workspace: found.workspace,
            limited: None,
            settings: found.settings,
        };
        Ok(Some(Arc::new(self.with_limits(record).await?)))
    }

    /// Keys were changed: they are looked up again.
    pub(crate) fn forget(&self) {
        self.remembered.forget();
    }

    /// The configured keys, as the admin API shows them.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.configured.values()
    }

    async fn look_up(
        &self,
        key: &str,
        hash: Hash,
        now: Timestamp,
    ) -> Result<Option<Arc<KeyRecord>>, loomgate_store::Error> {
        let look = self.remembered.look();
        let hex = self.hasher.hex(key);
        let Some(found) = self.store.keys().by_hash(&hex).await? else {
            return Ok(None);
        };
        let rotated_out = found
            .previous
            .as_ref()
            .is_some_and(|previous| previous.hash == hex && previous.until <= now);
        if found.revoked_at.is_some() || rotated_out {
            return Ok(None);
        }
        let record = KeyRecord {
            id: found.id,
            workspace: found.workspace,
            limited: None,
            settings: found.settings,
        };
        let record = Arc::new(self.with_limits(record).await?);
        self.remembered.put(look, hash, &record);
        Ok(Some(record))
    }

    /// What was used before this process began counts too.
    async fn with_limits(&self, record: KeyRecord) -> Result<KeyRecord, loomgate_store::Error> {
        let settings = &record.settings;
        let subject = format!("key:{}", record.id);
        let limited = limits::limited(
            (&self.store, &self.gateway),
            subject,
            "API key",
            (&settings.allowance, settings.usage_since),
        )
        .await?;
        Ok(KeyRecord { limited, ..record })
    }

    /// A key that is held for as long as the process lives, longer than the meter may know it.
    async fn recalled(
        &self,
        record: &Arc<KeyRecord>,
    ) -> Result<Arc<KeyRecord>, loomgate_store::Error> {
        if let Some(limited) = &record.limited {
            limits::recall((&self.store, &self.gateway), limited).await?;
        }
        Ok(Arc::clone(record))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use loomgate_domain::key::ApiKey;
    use loomgate_gateway::{Settings, meter::Spent};
    use loomgate_store::Options;

    use super::*;
    use crate::{
        clock::SystemClock,
        config::{self, Environment, Sources},
        ids::SystemIds,
    };

    const NOW: Timestamp = Timestamp(1_000);
    const SECRET: &str = "lg-in-the-store-0123456789";
    const CONFIGURED: &str = "lg-in-the-config-0123456789";

    async fn keyring(store: &Store) -> Keyring {
        keyring_with(store, "scopes = [\"completions.write\"]").await
    }

    async fn keyring_with(store: &Store, option: &str) -> Keyring {
        let configured = format!("[{{name = \"a\", key_env = \"KEY\", {option}}}]");
        let configured = ("LOOMGATE_API_KEYS", &*configured);
        let sources = Sources {
            folder: "no-such-folder".into(),
            environment: Environment::from([configured, ("KEY", CONFIGURED)]),
            ..Sources::default()
        };
        let config = config::load(&sources).unwrap();
        let hasher = KeyHasher::new([7; 32]);
        let ids = Arc::new(SystemIds::new().unwrap());
        let gateway = Gateway::new(Settings::default(), ids, Arc::new(SystemClock)).unwrap();
        Keyring::new(&config, hasher, store.clone(), Arc::new(gateway))
            .await
            .unwrap()
    }

    async fn insert(store: &Store, keyring: &Keyring) -> ApiKeyId {
        let key = ApiKey {
            id: ApiKeyId::trusted("key_1"),
            workspace: store.workspaces().ensure("w").await.unwrap(),
            name: "stored".to_owned(),
            hash: keyring.hasher.hex(SECRET),
            hint: "lg-in-t".to_owned(),
            previous: None,
            settings: KeySettings {
                default_virtual_key: Some("gone".to_owned()),
                ..KeySettings::default()
            },
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            revoked_at: None,
        };
        let id = key.id.clone();
        store.keys().insert(key, None).await.unwrap();
        id
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_is_dead_when_it_is_looked_up_again() {
        let store = Store::open(Options::memory()).unwrap();
        let keyring = keyring(&store).await;
        assert!(keyring.find(SECRET, NOW).await.unwrap().is_none());
        let id = insert(&store, &keyring).await;
        let found = keyring.find(SECRET, NOW).await.unwrap().unwrap();
        assert_eq!(found.workspace.as_str(), "ws_w");
        // Its virtual key is gone from the config; no other takes its place.
        assert_eq!(found.settings.default_virtual_key.as_deref(), Some("gone"));

        store.keys().revoke(&id, Timestamp(1)).await.unwrap();
        assert!(keyring.find(SECRET, NOW).await.unwrap().is_some());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(keyring.find(SECRET, NOW).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn keys_of_the_config_are_in_no_database() {
        let store = Store::open(Options::memory()).unwrap();
        let keyring = keyring(&store).await;
        let found = keyring.find(CONFIGURED, NOW).await.unwrap();
        assert_eq!(found.unwrap().workspace.as_str(), "ws_default");
        assert!(store.keys().list(None).await.unwrap().is_empty());
        // A hash, or the start of a key, is no key.
        let hash = keyring.hasher.hex(CONFIGURED);
        assert!(keyring.find(&hash, NOW).await.unwrap().is_none());
        assert!(
            keyring
                .find("lg-in-the-config", NOW)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_configured_key_has_what_it_used_when_the_meter_has_forgotten_it() {
        let store = Store::open(Options::memory()).unwrap();
        let budget = "usage_limits = {type = \"tokens\", credit_limit = 10}";
        let keyring = keyring_with(&store, budget).await;
        let find = async || keyring.find(CONFIGURED, NOW).await.unwrap().unwrap();
        let limited = find().await.limited.clone().unwrap();
        let meter = keyring.gateway.meter();
        let spent = Spent {
            tokens: 12,
            cost: None,
        };
        meter.charge(&limited, spent, 0, true);
        let owed = keyring.gateway.owed();
        store.counters().settle(owed).await.unwrap();
        // Very many others, much later.
        for number in 0..200_000 {
            let other = Limited {
                subject: format!("key:{number}").into(),
                ..limited.clone()
            };
            drop(meter.admit(&other, 3_600_000).unwrap());
        }
        assert!(!meter.knows(&limited.subject));
        find().await;
        assert!(meter.admit(&limited, 3_600_000).is_err());
    }
}
