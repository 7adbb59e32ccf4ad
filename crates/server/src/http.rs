//! The router: one file per resource, in the order of the URL tree.

pub mod assistants;
pub mod list;
pub mod messages;
pub mod models;
mod operations;
pub mod path;
pub mod reply;
pub mod runs;
pub mod steps;
pub mod threads;

use std::sync::Arc;

use axum::{Router, extract::Request, middleware};

use crate::{app::App, error::ApiError, headers};

/// Every route, and what answers when there is none.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(operations::routes())
        .merge(api())
        .fallback(unknown_url)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app.ids),
            headers::layer,
        ))
        .with_state(app)
}

/// The API. A resource has one file with `pub(super) fn routes() -> Router<App>`, merged here.
fn api() -> Router<App> {
    Router::new()
        .merge(assistants::routes())
        .merge(threads::routes())
        .merge(messages::routes())
        .merge(runs::routes())
        .merge(steps::routes())
        .merge(models::routes())
}

/// What the API has and this release does not: `docs/status.md` lists the same.
const NOT_BUILT: [&str; 10] = [
    "audio",
    "batches",
    "chat",
    "completions",
    "embeddings",
    "files",
    "images",
    "responses",
    "uploads",
    "vector_stores",
];

async fn unknown_url(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    let resource = path
        .strip_prefix("/v1/")
        .and_then(|path| path.split('/').next())
        .unwrap_or_default();
    if NOT_BUILT.contains(&resource) {
        return ApiError::missing(format!(
            "Invalid URL ({method} {path}): '{resource}' is not built yet. docs/status.md tells \
             what this release has."
        ))
        .code("not_built");
    }
    ApiError::missing(format!("Invalid URL ({method} {path})"))
}

async fn wrong_method(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    ApiError::method_not_allowed(format!(
        "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP \
         method?)"
    ))
}
