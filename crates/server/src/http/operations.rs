//! Routes for those who run the server.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use loomgate_domain::Scope;
use serde::Serialize;

use crate::{
    app::App,
    error::ApiError,
    http::{
        access::{Access, Routes},
        reply,
    },
};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/health", Access::Public, health)
        .get("/ready", Access::Public, ready)
        .get("/metrics", Access::Scope(Scope::Admin), metrics)
        .get("/openapi.json", Access::Public, openapi)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// The process is up.
async fn health() -> Result<Response, ApiError> {
    reply::json(&Health { status: "ok" })
}

/// The database answers, so requests can be served.
async fn ready(State(app): State<App>) -> Result<Response, ApiError> {
    let answered = app.store.ping().await;
    answered.map_err(|error| ApiError::unavailable(&error))?;
    reply::json(&Health { status: "ok" })
}

/// The numbers of the whole process, whoever's they are.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let written = app.store.stats();
    metrics::counter!("loomgate_store_commits_total").absolute(written.commits);
    metrics::counter!("loomgate_store_jobs_total").absolute(written.jobs);
    metrics::counter!("loomgate_store_statements_total").absolute(written.statements);
    metrics::gauge!("loomgate_runs_in_progress").set(to_f64(app.engine.running()));
    // 0: by words alone.
    let by_meaning = app.config.file_search.embeddings.is_some();
    metrics::gauge!("loomgate_file_search_by_meaning").set(f64::from(u8::from(by_meaning)));
    let uses_pgvector = app.store.uses_pgvector();
    metrics::gauge!("loomgate_file_search_pgvector").set(f64::from(u8::from(uses_pgvector)));
    ([(header::CONTENT_TYPE, kind)], app.metrics.render())
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The API document, made from the shapes that validate requests.
async fn openapi() -> impl IntoResponse {
    let kind = "application/json";
    (
        [(header::CONTENT_TYPE, kind)],
        loomgate_wire::openapi::json(),
    )
}
