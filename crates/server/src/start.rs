//! From a configuration to the parts of a running server: the composition root.

pub(crate) mod marks;
mod shadowed;
mod words;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use loomgate_blobs::Blobs;
use loomgate_domain::{
    ApiKeyId, Clock, IdGen, Scope, Scopes, WorkspaceId, id,
    key::{ApiKey, KeySettings},
};
use loomgate_engine::{Embedder, Engine, Indexer, IndexingSettings, Reranker, Settings};
use loomgate_extract::Extractor;
use loomgate_gateway::{Gateway, price::PriceTable};
use loomgate_store::{Options, Sharing, Store};
use loomgate_vault::{MasterKeys, Vault};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    admission::Admission,
    app::{App, Services},
    auth::{KeyHasher, Keyring, key},
    clock::SystemClock,
    config::{Config, Database, FilesPlace},
    content::Content,
    data_dir::{self, DataDir, MasterKeyLock},
    documents::{FileTexts, READER},
    embeddings,
    ids::SystemIds,
    logbook::{self, Scribe},
    model::GatewayModel,
    reranking::ProviderReranker,
    routing::Accounts,
    telemetry::Metrics,
};

/// The workspace of keys that name none.
pub const DEFAULT_WORKSPACE: &str = "default";

/// How long deltas may wait to be stored where readers of other processes wait for them.
const FLUSH_TO_OTHERS: Duration = Duration::from_millis(50);
/// The same where nobody but this process has the database: its readers are told at once, and what
/// is stored is for those who come back after a crash (docs/decisions/0008).
const FLUSH_ALONE: Duration = Duration::from_millis(200);

/// A server that did not start, or a command that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or a file in it.
    #[error("the data folder {}: {source}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// `HOST:PORT`
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The database.
    #[error("{source}{}", cause(source))]
    Store {
        /// What the store says.
        #[from]
        source: loomgate_store::Error,
    },
    /// The database was written with another one.
    #[error("the database was written with another {0} than this process has")]
    OtherKey(&'static str),
    /// The place of the files.
    #[error("the place of the files: {0}")]
    Files(#[from] loomgate_blobs::Error),
    /// The model of `file_search.embeddings`.
    #[error("`file_search.embeddings`: the model in {}: {problem}", folder.display())]
    Embeddings {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// TLS could not be set up.
    #[error("{0}")]
    Gateway(#[from] loomgate_gateway::Error),
    /// No source of randomness.
    #[error("the system gives no random bytes: {0}")]
    Randomness(#[from] getrandom::Error),
    /// Signals or the like.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                "another program listens there; choose another address with --listen, or port 0 \
                 for any that is free",
            ),
            Self::DataDir { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("choose a folder that this user can write to with --data-dir")
            }
            Self::Embeddings { .. } => Some(
                "`embeddings = \"local:FOLDER\"` wants a folder with a model of the BERT family, such \
                 as all-MiniLM-L6-v2; without the option, files are found by their words alone",
            ),
            Self::OtherKey(_) => Some(
                "give it those of the other processes, or of the backup: the files `hash-key` and \
                 `master-key` of the data folder, or LOOMGATE_HASH_KEY and LOOMGATE_MASTER_KEY. \
                 If they are lost for good, `loomgate secrets adopt` goes on with the present ones",
            ),
            Self::Store {
                source: loomgate_store::Error::Locked { .. },
            } => Some("stop the other process, or choose another folder with --data-dir"),
            Self::Store {
                source: loomgate_store::Error::Full,
            } => {
                Some("make room on the disk of the data folder, or choose another with --data-dir")
            }
            Self::Store {
                source: loomgate_store::Error::ReadOnly,
            } => Some("let this user write to the data folder, or choose another with --data-dir"),
            Self::Store {
                source: loomgate_store::Error::Corrupt { .. },
            } => Some(
                "nothing was changed; start on a backup instead (docs/operations.md, \"Backup and restore\")",
            ),
            Self::Store {
                source: loomgate_store::Error::InUse(_),
            } => Some("stop the servers that use this database, then try again"),
            Self::Store {
                source: loomgate_store::Error::Unfinished,
            } => Some("give the same `loomgate copy` again: it goes on where it ended"),
            Self::Store {
                source: loomgate_store::Error::Connect { .. },
            } => Some("`database` says where it is; docs/operations.md tells how to set one up"),
            Self::Store {
                source: loomgate_store::Error::NewerSchema { .. },
            } => Some("use the release that wrote it, or a later one"),
            _ => None,
        }
    }
}

fn cause(error: &loomgate_store::Error) -> String {
    let source = std::error::Error::source(error);
    source
        .map(|source| format!(": {source}"))
        .unwrap_or_default()
}

/// The parts of the process that do not need a database.
pub struct Foundation {
    /// The data folder.
    pub data_dir: DataDir,
    /// Hashes API keys.
    pub hasher: KeyHasher,
    /// Where ids come from.
    pub ids: Arc<dyn IdGen>,
    database: Database,
}

impl Foundation {
    /// Opens the data folder; makes what is missing in it.
    pub fn lay(config: &Config) -> Result<Self, StartError> {
        let ids = Arc::new(SystemIds::new()?);
        let at = |source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        let data_dir = DataDir::open(&config.data_dir).map_err(at)?;
        let hasher = data_dir
            .key_hasher(config.hash_key.as_ref(), &*ids)
            .map_err(at)?;
        Ok(Self {
            data_dir,
            hasher,
            ids,
            database: config.database.clone(),
        })
    }

    /// The keys that seal secrets: those that are given, else those that are kept here.
    pub fn master_keys(&self, config: &Config) -> Result<MasterKeys, StartError> {
        self.data_dir
            .master_keys(config.master_key.as_ref(), &*self.ids)
            .map_err(|source| self.in_data_dir(source))
    }

    /// Waits until nobody else changes the master keys, or seals with them beside a server.
    pub(crate) fn lock_master_keys(&self) -> Result<MasterKeyLock, StartError> {
        let locked = self.data_dir.lock_master_keys();
        locked.map_err(|source| self.in_data_dir(source))
    }

    /// Replaces the master keys that are kept.
    pub(crate) fn keep_master_keys(
        &self,
        keys: &MasterKeys,
        lock: &MasterKeyLock,
    ) -> Result<(), StartError> {
        let kept = self.data_dir.keep_master_keys(keys, lock);
        kept.map_err(|source| self.in_data_dir(source))
    }

    fn in_data_dir(&self, source: io::Error) -> StartError {
        StartError::DataDir {
            path: self.data_dir.path().to_owned(),
            source,
        }
    }

    /// The place where the bytes of files are.
    pub(crate) fn blobs(&self, config: &Config) -> Result<Blobs, StartError> {
        match &config.files.place {
            FilesPlace::Local => {
                let folder = data_dir::files(self.data_dir.path());
                Blobs::local(folder).map_err(|source| self.in_data_dir(source))
            }
            FilesPlace::Bucket(bucket) => Ok(Blobs::bucket(bucket)?),
        }
    }

    /// Opens the store, for a server, or for a command beside one or without one.
    pub fn store(&self, sharing: Sharing) -> Result<Store, StartError> {
        Ok(Store::open(Options {
            sharing,
            ..self.database.options(self.data_dir.path())
        })?)
    }
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct Started {
    /// Its state.
    pub app: App,
    /// What writes its logbook.
    pub scribe: Scribe,
    /// The API key that was made, when this is the first start and the config has none.
    pub new_key: Option<SecretString>,
    /// Where that key is kept; `None` when there is no such key.
    pub key_file: Option<PathBuf>,
}

/// Opens everything and takes up the runs of the process before. `address` is where the server
/// listens: it does not call itself.
pub async fn start(config: Config, address: SocketAddr) -> Result<Started, StartError> {
    start_at(config, address, Arc::new(SystemClock)).await
}

/// The same by another clock.
pub async fn start_at(
    config: Config,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
) -> Result<Started, StartError> {
    let foundation = Foundation::lay(&config)?;
    let store = foundation.store(Sharing::Server)?;
    if store.uses_pgvector() {
        tracing::info!(
            "the database has pgvector: it is asked for the nearest vectors of stores that do not fit the memory"
        );
    }
    let blobs = foundation.blobs(&config)?;
    marks::expect_hash_key(&foundation, &store).await?;
    let vault = Arc::new(Vault::new(foundation.master_keys(&config)?));
    marks::expect_master_key(&foundation, &store, &vault).await?;
    words::renew(&store).await?;
    shadowed::warn(&config, &store).await?;
    let (new_key, key_file) = first_key(&config, &foundation, &store).await?;
    let ids = Arc::clone(&foundation.ids);
    let settings = gateway_settings(&config, address, store.is_shared());
    let gateway = Gateway::new(settings, ids, clock.clone())?;
    gateway.load_open_runs(store.counters().open_runs().await?);
    let gateway = Arc::new(gateway);
    let keyring = Keyring::new(
        &config,
        foundation.hasher,
        store.clone(),
        Arc::clone(&gateway),
    )
    .await?;
    let accounts = Accounts::new(
        (&config.virtual_keys, Arc::clone(&config.saved_configs)),
        (store.clone(), Arc::clone(&gateway), Arc::clone(&vault)),
    )
    .await?;
    let model = Arc::new(GatewayModel::default());
    let embeddings = &config.file_search.embeddings;
    let embeddings = embeddings::Configured::load(embeddings.as_ref()).await?;
    let rerank_model = config.file_search.rerank_model.clone();
    let reranker = rerank_model.map(|model| Arc::new(ProviderReranker::new(model)));
    let engine = Engine::new(
        store.clone(),
        model.clone(),
        clock.clone(),
        Arc::clone(&foundation.ids),
        Settings {
            limits: config.limits.clone(),
            concurrency: config.worker.concurrency,
            lease: config.worker.lease,
            workers: config.role.works(),
            stream_retention: config.worker.stream_retention,
            embedder: embeddings.embedder(),
            reranker: reranker.clone().map(|it| it as Arc<dyn Reranker>),
            vector_bytes: config.file_search.vector_bytes,
            flush_every: if store.is_shared() {
                FLUSH_TO_OTHERS
            } else {
                FLUSH_ALONE
            },
            ..Settings::default()
        },
    );
    let content = Content {
        blobs,
        store: store.clone(),
        clock: clock.clone(),
        ids: Arc::clone(&foundation.ids),
    };
    let indexer = indexer(&config, &content, embeddings.embedder())?;
    let (logbook, scribe) = logbook::open(config.logs);
    let app = App::new(Services {
        admission: Admission::new(&config.http),
        metrics: Metrics::start(),
        config,
        store,
        content,
        engine,
        indexer,
        gateway,
        accounts,
        vault,
        logbook,
        keyring,
        clock,
        ids: foundation.ids,
    });
    model.connect(app.services());
    embeddings.connect(app.services());
    if let Some(reranker) = &reranker {
        reranker.connect(app.services());
    }
    app.engine.start().await?;
    app.indexer.start().await?;
    Ok(Started {
        app,
        scribe,
        new_key,
        key_file,
    })
}

/// What indexes files, each read by a process of its own.
fn indexer(
    config: &Config,
    content: &Content,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<Indexer, StartError> {
    let reader = match &config.indexing.reader {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let extractor = Extractor::new(
        reader,
        [READER],
        config.indexing.limits.clone(),
        config.indexing.confinement.clone(),
    );
    let texts = FileTexts {
        content: content.clone(),
        extractor,
    };
    let settings = IndexingSettings {
        concurrency: config.indexing.concurrency,
        tokens: config.indexing.tokens,
        lease: config.worker.lease,
        workers: config.role.works(),
        embedder,
        ..IndexingSettings::default()
    };
    Ok(Indexer::new(
        (content.store.clone(), Arc::new(texts)),
        (content.clock.clone(), Arc::clone(&content.ids)),
        settings,
    ))
}

fn gateway_settings(
    config: &Config,
    address: SocketAddr,
    shares_limits: bool,
) -> loomgate_gateway::Settings {
    let gateway = &config.gateway;
    loomgate_gateway::Settings {
        policy: gateway.attempts.clone(),
        connect_timeout: gateway.connect_timeout,
        exceptions: gateway.exceptions.clone(),
        own_addresses: vec![address],
        cache_bytes: gateway.cache_bytes,
        shares_limits,
        prices: PriceTable::built_in().with_overrides(gateway.prices.clone()),
    }
}

/// The key of a server whose config has none: made once, and then kept in the data folder.
async fn first_key(
    config: &Config,
    foundation: &Foundation,
    store: &Store,
) -> Result<(Option<SecretString>, Option<PathBuf>), StartError> {
    let data_dir = &foundation.data_dir;
    let at = |source| StartError::DataDir {
        path: data_dir.path().to_owned(),
        source,
    };
    let kept = data_dir.api_key().map_err(at)?;
    let is_wanted = kept.is_none() && config.api_keys.is_empty();
    let made = if is_wanted && store.keys().list(None).await?.is_empty() {
        let key = new_key(&*foundation.ids);
        data_dir.keep_api_key(&key).map_err(at)?;
        Some(key)
    } else {
        None
    };
    let Some(key) = made.as_ref().or(kept.as_ref()) else {
        return Ok((None, None));
    };
    let known = store
        .keys()
        .by_hash(&foundation.hasher.hex(key.expose_secret()))
        .await?;
    if known.is_none() {
        // The database is new, or the last start ended between the two writes.
        let workspace = store.workspaces().ensure(DEFAULT_WORKSPACE).await?;
        let settings = KeySettings {
            scopes: Scopes::new([Scope::Admin]),
            ..KeySettings::default()
        };
        let record = key_record(foundation, key, "first", workspace, settings);
        store.keys().insert(record, None).await?;
    }
    Ok((made, Some(data_dir.api_key_file())))
}

/// `lg-` and 40 characters: 238 bits.
pub fn new_key(ids: &dyn IdGen) -> SecretString {
    let random = id::random_text(ids, key::CHARS);
    SecretString::from(format!("{}{random}", key::PREFIX))
}

/// What the store keeps of a key.
pub fn key_record(
    foundation: &Foundation,
    key: &SecretString,
    name: &str,
    workspace: WorkspaceId,
    settings: KeySettings,
) -> ApiKey {
    let secret = key.expose_secret();
    let id: ApiKeyId = id::new_id(&*foundation.ids);
    let now = SystemClock.now();
    ApiKey {
        id,
        workspace,
        name: name.to_owned(),
        hash: foundation.hasher.hex(secret),
        hint: secret.chars().take(7).collect(),
        previous: None,
        settings: KeySettings {
            usage_since: now,
            ..settings
        },
        created_at: now,
        updated_at: now,
        revoked_at: None,
    }
}
