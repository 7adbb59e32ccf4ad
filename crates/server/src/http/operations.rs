//! Routes for those who run the server.

use axum::{Json, Router, extract::State, http::header, response::IntoResponse, routing::get};
use serde_json::{Value, json};

use crate::{app::App, auth::Caller, error::ApiError};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
}

/// The process is up.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database answers, so requests can be served.
async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    app.store.ping().await.map_err(|error| ApiError::unavailable(&error))?;
    Ok(Json(json!({ "status": "ok" })))
}

/// In this release any valid API key may read them.
async fn metrics(State(app): State<App>, _: Caller) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.render())
}

async fn openapi() -> Json<Value> {
    Json(loomgate_wire::openapi::document())
}
