//! `/v1/vector_stores/{vector_store_id}/search` (contract section 11.8).

use axum::{extract::State, response::Response};
use loomgate_domain::vector_store::Attributes;
use loomgate_search::{
    filter::{Filter, FilterError},
    lexical::terms,
};
use loomgate_store::LexicalHit;
use loomgate_wire::{object, request::SearchVectorStore};

use serde_json::Value;

use super::find;
use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    error::ApiError,
    http::{
        access::{Access, Routes},
        path::VectorStorePath,
        reply,
    },
};

pub(super) fn routes() -> Routes {
    Routes::default().post(
        "/v1/vector_stores/{vector_store_id}/search",
        Access::DataPlane,
        search,
    )
}

async fn search(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
    ApiJson(body): ApiJson<SearchVectorStore>,
) -> Result<Response, ApiError> {
    if body.rewrite_query {
        return Err(ApiError::invalid(
            "'rewrite_query' is not supported by this release of Loomgate.",
        )
        .param("rewrite_query")
        .code("not_supported"));
    }
    let filter = body.filters.as_ref();
    let filter = filter.map(|filters| Filter::parse(filters, "filters"));
    let filter = filter.transpose().map_err(not_a_filter)?;
    let now = app.clock.now();
    let store = find(&app, &caller, &path.store).await?;
    if store.has_expired(now) {
        return Err(ApiError::expired(&path.store));
    }
    let mut hits: Vec<LexicalHit> = Vec::new();
    for query in &body.queries {
        let filter = filter.clone();
        let accept = move |attributes: &_| passes(filter.as_ref(), attributes);
        let asked = (terms(query), body.max_num_results);
        let chunks = app.store.chunks();
        let stores = std::slice::from_ref(&path.store);
        let found = chunks.lexical(&caller.workspace, stores, asked, accept);
        merge(&mut hits, found.await?);
    }
    hits.truncate(body.max_num_results as usize);
    let stores = app.store.vector_stores();
    let touched = stores.touch(&caller.workspace, vec![path.store], now);
    touched.await?;
    let results = hits.iter().map(|hit| object::SearchResult {
        file_id: &hit.chunk.file_id,
        filename: &hit.chunk.filename,
        score: score(hit),
        attributes: &hit.chunk.attributes,
        content: [object::TextPart::new(&hit.chunk.text)],
    });
    let results = results.filter(|result| result.score >= body.score_threshold);
    reply::json(&object::OnePage::results(&body.queries, results.collect()))
}

fn not_a_filter(error: FilterError) -> ApiError {
    let message = error.to_string();
    ApiError::invalid(message)
        .param(error.path)
        .code("invalid_value")
}

/// Whether a file with these attributes is searched.
fn passes(filter: Option<&Filter>, attributes: &Attributes) -> bool {
    filter.is_none_or(|filter| match serde_json::to_value(attributes) {
        Ok(Value::Object(attributes)) => filter.matches(&attributes),
        _ => false,
    })
}

/// Of a chunk that several queries find, the best counts.
fn merge(hits: &mut Vec<LexicalHit>, more: Vec<LexicalHit>) {
    for hit in more {
        match hits.iter_mut().find(|known| known.chunk.id == hit.chunk.id) {
            Some(known) => known.score = known.score.max(hit.score),
            None => hits.push(hit),
        }
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// From 0 to 1, in the order of ranks, which have no upper end.
fn score(hit: &LexicalHit) -> f64 {
    hit.score / (1.0 + hit.score)
}
