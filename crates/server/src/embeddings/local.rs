//! A model in a folder, in this process. Processor time alone: it runs on threads of its own, and only
//! on so many at a time.

use std::{fmt, fs, io, path::Path, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::WorkspaceId;
use loomgate_engine::{EmbedError, Embedder, Purpose};
use loomgate_search::embed::Model;
use tokio::sync::Semaphore;

use crate::start::StartError;

/// Texts that are embedded in one go: a thread is not kept longer than a second or so.
const AT_ONCE: usize = 8;
/// What the vectors of a model depend on, where it is there.
const FILES: [&str; 7] = [
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// A model that was loaded.
pub(crate) struct LocalEmbedder {
    model: Arc<Model>,
    identity: String,
    /// Places for what nobody waits for: one processor fewer than there are.
    indexing: Arc<Semaphore>,
    /// Places for questions.
    search: Arc<Semaphore>,
}

impl LocalEmbedder {
    /// Reads the folder.
    pub(super) fn load(folder: &Path) -> Result<Self, StartError> {
        let problem = |problem: String| StartError::Embeddings {
            folder: folder.to_owned(),
            problem,
        };
        let model = Model::load(folder).map_err(|error| problem(error.to_string()))?;
        let digest = digest(folder).map_err(|error| problem(error.to_string()))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            model: Arc::new(model),
            identity: format!("local:{digest}"),
            indexing: Arc::new(Semaphore::new((processors - 1).max(1))),
            search: Arc::new(Semaphore::new(processors)),
        })
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let places = match purpose {
            Purpose::Indexing => &self.indexing,
            Purpose::Search => &self.search,
        };
        let broken = || EmbedError::Unavailable("The model broke off.".to_owned());
        let mut all = Vec::with_capacity(texts.len());
        for some in texts.chunks(AT_ONCE) {
            // Closed by nobody.
            let place = Arc::clone(places).acquire_owned().await;
            let place = place.map_err(|_closed| broken())?;
            let some: Vec<String> = some.iter().map(|text| (*text).to_owned()).collect();
            let model = Arc::clone(&self.model);
            let embedded = tokio::task::spawn_blocking(move || {
                let _place = place;
                let texts: Vec<&str> = some.iter().map(String::as_str).collect();
                model.embed(&texts)
            });
            all.extend(embedded.await.map_err(|_panic| broken())?);
        }
        Ok(all)
    }
}

impl Embedder for LocalEmbedder {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn embed<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        texts: &'a [&'a str],
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        self.embed(texts, purpose).boxed()
    }
}

impl fmt::Debug for LocalEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEmbedder")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Tells models apart by what is in their folder, wherever that is: 16 digits.
fn digest(folder: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for name in FILES {
        match fs::File::open(folder.join(name)) {
            Ok(file) => {
                hasher.update(name.as_bytes());
                hasher.update(&file.metadata()?.len().to_le_bytes());
                hasher.update_reader(file)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut digest = hasher.finalize().to_hex().to_string();
    digest.truncate(16);
    Ok(digest)
}
