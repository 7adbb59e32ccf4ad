//! What makes vectors of texts (`[file_search] embeddings`): a model in a folder, or a provider.

mod answer;
mod local;
mod provider;

use std::sync::Arc;

use loomgate_engine::Embedder;

use crate::{app::Services, config::Embeddings, start::StartError};
use local::LocalEmbedder;
use provider::ProviderEmbedder;

/// What was configured.
pub(crate) enum Configured {
    /// Nothing.
    None,
    /// A model in this process.
    Local(Arc<LocalEmbedder>),
    /// A provider.
    Provider(Arc<ProviderEmbedder>),
}

impl Configured {
    /// Makes it ready; a model is loaded. Says in the log what it is.
    pub(crate) async fn load(configured: Option<&Embeddings>) -> Result<Self, StartError> {
        let embeddings = match configured {
            None => Self::None,
            Some(Embeddings::Local(folder)) => {
                let folder = folder.clone();
                let loaded = tokio::task::spawn_blocking(move || LocalEmbedder::load(&folder));
                let loaded = loaded.await.map_err(std::io::Error::other)?;
                Self::Local(Arc::new(loaded?))
            }
            Some(Embeddings::Provider { model, dimensions }) => {
                Self::Provider(Arc::new(ProviderEmbedder::new(model.clone(), *dimensions)))
            }
        };
        if let Some(embedder) = embeddings.embedder() {
            let embedding = embedder.identity();
            tracing::info!(embedding, "file_search finds by words and by meaning");
        } else {
            tracing::info!("file_search finds by words alone: `file_search.embeddings` is not set");
        }
        Ok(embeddings)
    }

    /// As the engine sees it.
    pub(crate) fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        match self {
            Self::None => None,
            Self::Local(local) => Some(local.clone()),
            Self::Provider(provider) => Some(provider.clone()),
        }
    }

    /// Gives it what it works with. Nothing is embedded before.
    pub(crate) fn connect(&self, services: &Arc<Services>) {
        if let Self::Provider(provider) = self {
            provider.connect(services);
        }
    }
}
