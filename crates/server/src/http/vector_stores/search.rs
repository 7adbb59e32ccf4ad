//! `/v1/vector_stores/{vector_store_id}/search` (contract section 11.8).

use axum::{extract::State, response::Response};
use loomgate_engine::{Search, Weights};
use loomgate_search::{
    filter::{Filter, FilterError},
    fuse::RankingOptions,
};
use loomgate_wire::{
    object,
    request::{Ranker, SearchVectorStore},
};

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
    rewriting::rewritten,
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
    let model = match &app.config.file_search.rewrite_model {
        _ if !body.rewrite_query => None,
        Some(model) => Some(model),
        None => {
            let message = "'rewrite_query' is not supported: this server has no model that rewrites \
                           queries (`file_search.rewrite_model` in its configuration).";
            let error = ApiError::invalid(message).param("rewrite_query");
            return Err(error.code("not_supported"));
        }
    };
    let filter = body.filters.as_ref();
    let filter = filter.map(|filters| Filter::parse(filters, "filters"));
    let filter = filter.transpose().map_err(not_a_filter)?;
    let now = app.clock.now();
    let store = find(&app, &caller, &path.store).await?;
    if store.has_expired(now) {
        return Err(ApiError::expired(&path.store));
    }
    let ranking = ranking(&body)?;
    let queries = match model {
        Some(model) => rewritten(&app, &caller.workspace, model, &body.queries).await,
        None => body.queries,
    };
    let search = Search {
        stores: vec![path.store.clone()],
        queries: queries.clone(),
        filter,
        ranking,
        weights: Weights::default(),
        most: body.max_num_results,
    };
    // Once a second is enough, and nobody waits for it.
    let touch = async {
        if store.last_active_at < now {
            let stores = app.store.vector_stores();
            stores
                .touch(&caller.workspace, vec![path.store], now)
                .await?;
        }
        Ok(())
    };
    let (found, ()) = tokio::try_join!(app.engine.search(&caller.workspace, search), touch)?;
    let results = found.iter().map(|result| object::SearchResult {
        file_id: &result.file_id,
        filename: &result.file_name,
        score: result.score,
        attributes: &result.attributes,
        content: [object::TextPart::new(&result.text)],
    });
    reply::json(&object::OnePage::results(&queries, results.collect()))
}

/// The body was checked.
fn ranking(body: &SearchVectorStore) -> Result<RankingOptions, ApiError> {
    let ranker = match body.ranker {
        Ranker::None => "none",
        Ranker::Auto | Ranker::Default => "auto",
    };
    let options = RankingOptions::new(ranker, body.score_threshold);
    options.map_err(|error| ApiError::internal(&error))
}

fn not_a_filter(error: FilterError) -> ApiError {
    let message = error.to_string();
    ApiError::invalid(message)
        .param(error.path)
        .code("invalid_value")
}
