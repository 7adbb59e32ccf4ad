//! Embeddings by a provider, through the gateway.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::WorkspaceId;
use loomgate_engine::{EmbedError, Embedder, Purpose};
use serde_json::json;

use super::answer;
use crate::{
    app::Services,
    config::AccountModel,
    own_calls::{self, OwnCall, OwnCallError},
};

/// The most texts of a request: as many as a lot of chunks has.
const BATCH_TEXTS: usize = 64;
/// The most bytes of them, one text apart: providers bound the tokens of a request.
const BATCH_BYTES: usize = 200_000;
/// Further attempts for what nobody waits for, and for a question.
const RETRIES: (u32, u32) = (4, 1);
/// How long a request may take for what nobody waits for, and for a question.
const PATIENCE: (Duration, Duration) = (Duration::from_mins(2), Duration::from_secs(10));

/// A model of an account.
pub(crate) struct ProviderEmbedder {
    model: AccountModel,
    dimensions: Option<usize>,
    identity: String,
    /// The indexer is one of the services that this needs, so these come later.
    services: OnceLock<Weak<Services>>,
}

impl ProviderEmbedder {
    pub(super) fn new(model: AccountModel, dimensions: Option<usize>) -> Self {
        let width = dimensions.map(|width| format!("#{width}"));
        Self {
            identity: format!("{model}{}", width.unwrap_or_default()),
            model,
            dimensions,
            services: OnceLock::new(),
        }
    }

    pub(super) fn connect(&self, services: &Arc<Services>) {
        // The first connection holds.
        let _ = self.services.set(Arc::downgrade(services));
    }

    async fn embed(
        &self,
        workspace: &WorkspaceId,
        texts: &[&str],
        purpose: Purpose,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut all: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
        for some in batches(texts) {
            let Some(services) = self.services.get().and_then(Weak::upgrade) else {
                return Err(EmbedError::Unavailable("The server is stopping.".into()));
            };
            let embedded = self.embed_some(&services, workspace, some, purpose).await?;
            all.extend(embedded);
        }
        let width = all.first().map_or(0, Vec::len);
        if all.iter().any(|embedding| embedding.len() != width) {
            let message = "The provider's embeddings are not all equally wide.";
            return Err(EmbedError::Unavailable(message.into()));
        }
        Ok(all)
    }

    async fn embed_some(
        &self,
        services: &Services,
        workspace: &WorkspaceId,
        texts: &[&str],
        purpose: Purpose,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut body = json!({"model": self.model.model, "input": texts});
        if let Some(dimensions) = self.dimensions {
            body["dimensions"] = dimensions.into();
        }
        let (retries, patience) = match purpose {
            Purpose::Indexing => (RETRIES.0, PATIENCE.0),
            Purpose::Search => (RETRIES.1, PATIENCE.1),
        };
        let call = OwnCall {
            workspace,
            model: &self.model,
            path: "/v1/embeddings",
            body,
            retries,
            patience,
        };
        // Held by itself: it is large.
        let bytes = Box::pin(own_calls::post(services, call)).await;
        let bytes = bytes.map_err(of_call)?;
        let embeddings = answer::read(&bytes, texts.len())
            .map_err(|problem| EmbedError::Unavailable(problem.to_string()))?;
        let found = embeddings.first().map_or(0, Vec::len);
        match self.dimensions {
            Some(wanted) if wanted != found => Err(EmbedError::Refused(format!(
                "The model '{}' makes embeddings of {found} numbers, not of {wanted}.",
                self.model.model
            ))),
            _ => Ok(embeddings),
        }
    }
}

impl Embedder for ProviderEmbedder {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn embed<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        texts: &'a [&'a str],
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        self.embed(workspace, texts, purpose).boxed()
    }
}

impl fmt::Debug for ProviderEmbedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderEmbedder")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

fn of_call(error: OwnCallError) -> EmbedError {
    if error.may_pass {
        EmbedError::Unavailable(error.message)
    } else {
        EmbedError::Refused(error.message)
    }
}

/// Texts that go together.
fn batches<'a, 't>(mut texts: &'a [&'t str]) -> Vec<&'a [&'t str]> {
    let mut batches = Vec::new();
    while !texts.is_empty() {
        let (mut count, mut bytes) = (0, 0);
        for text in texts.iter().take(BATCH_TEXTS) {
            bytes += text.len();
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let (batch, rest) = texts.split_at(count);
        batches.push(batch);
        texts = rest;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_size() {
        let sizes = |lengths: &[usize]| {
            let texts: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let batches = batches(&texts);
            assert_eq!(batches.concat(), texts);
            batches.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1; 130]), [64, 64, 2]);
        assert_eq!(sizes(&[150_000, 50_000, 1]), [2, 1]);
        assert_eq!(sizes(&[300_000, 300_000]), [1, 1]);
    }
}
