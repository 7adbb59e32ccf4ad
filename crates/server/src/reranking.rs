//! Passages judged by a model (`[file_search] rerank_model`), by `POST /rerank` as Cohere, Jina and vLLM
//! have it: a question and documents go, their relevance comes.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use loomgate_domain::WorkspaceId;
use loomgate_engine::Reranker;
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::Services,
    config::AccountModel,
    own_calls::{self, OwnCall},
};

/// How long it may take: somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A model of an account.
pub(crate) struct ProviderReranker {
    model: AccountModel,
    /// The engine is one of the services that this needs, so these come later.
    services: OnceLock<Weak<Services>>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    index: usize,
    relevance_score: f32,
}

impl ProviderReranker {
    pub(crate) fn new(model: AccountModel) -> Self {
        let services = OnceLock::new();
        Self { model, services }
    }

    /// Gives it what it works with. Nothing is judged before.
    pub(crate) fn connect(&self, services: &Arc<Services>) {
        // The first connection holds.
        let _ = self.services.set(Arc::downgrade(services));
    }

    async fn judge(
        &self,
        workspace: &WorkspaceId,
        question: &str,
        passages: &[&str],
    ) -> Result<Vec<f32>, String> {
        let services = self.services.get().and_then(Weak::upgrade);
        let services = services.ok_or("The server is stopping.")?;
        let call = OwnCall {
            workspace,
            model: &self.model,
            path: "/v1/rerank",
            body: json!({
                "model": self.model.model, "query": question, "documents": passages,
                "top_n": passages.len(),
            }),
            retries: 1,
            patience: PATIENCE,
        };
        // Held by itself: it is large.
        let answer = Box::pin(own_calls::post(&services, call)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        read(&answer, passages.len())
    }
}

/// The relevance of so many passages, in their order. Models that answer with what their last layer says,
/// which has no bounds, are brought to 0 to 1 in the way that it was trained for.
fn read(answer: &[u8], passages: usize) -> Result<Vec<f32>, String> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| format!("The provider sent something else than a ranking: {error}."))?;
    let mut found = vec![None; passages];
    for judged in answer.results {
        let slot = found.get_mut(judged.index);
        *slot
            .ok_or_else(|| format!("There are {passages} passages, and no {}.", judged.index))? =
            Some(judged.relevance_score);
    }
    let mut scores: Vec<f32> = found.into_iter().flatten().collect();
    if scores.len() < passages || scores.iter().any(|score| !score.is_finite()) {
        return Err(format!(
            "Of {passages} passages {} were judged.",
            scores.len()
        ));
    }
    if scores.iter().any(|score| !(0.0..=1.0).contains(score)) {
        for score in &mut scores {
            *score = 1.0 / (1.0 + (-*score).exp());
        }
    }
    Ok(scores)
}

impl Reranker for ProviderReranker {
    fn judge<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        question: &'a str,
        passages: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<f32>, String>> {
        self.judge(workspace, question, passages).boxed()
    }
}

impl fmt::Debug for ProviderReranker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderReranker")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(results: &str, passages: usize) -> Result<Vec<f32>, String> {
        read(format!("{{\"results\": {results}}}").as_bytes(), passages)
    }

    #[test]
    fn relevance_comes_in_the_order_of_the_passages() {
        let best_first = r#"[{"index": 1, "relevance_score": 0.9, "document": {"text": "x"}},
            {"index": 0, "relevance_score": 0.25}]"#;
        assert_eq!(of(best_first, 2).unwrap(), [0.25, 0.9]);
    }

    #[test]
    fn what_has_no_bounds_is_brought_to_them_in_its_order() {
        let scores = of(
            r#"[{"index": 0, "relevance_score": -4.5}, {"index": 1, "relevance_score": 3}]"#,
            2,
        );
        let scores = scores.unwrap();
        assert!(
            scores[0] < 0.02 && (0.9..1.0).contains(&scores[1]),
            "{scores:?}"
        );
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (results, expected) in [
            ("[]", "Of 2 passages 0 were judged."),
            (r#"[{"index": 2, "relevance_score": 1}]"#, "no 2."),
            ("null", "something else than a ranking"),
        ] {
            let problem = of(results, 2).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(read(b"<html>", 1).is_err());
    }
}
