//! The router: one file per resource, in the order of the URL tree.

pub mod access;
pub mod admin;
mod affinity;
pub mod assistants;
pub mod files;
mod form;
pub(crate) mod idempotency;
pub mod list;
pub mod messages;
mod named;
mod operations;
pub mod path;
mod relay;
pub mod reply;
pub mod runs;
pub mod steps;
mod thread_lock;
pub mod threads;
pub mod uploads;
pub mod vector_stores;

use axum::{Router, extract::Request, http::Method, middleware};

use self::access::Routes;
use crate::{app::App, error::ApiError, headers};

/// Every route, and what answers when there is none.
pub fn router(app: App) -> Router {
    let router = if app.config.role.serves() {
        routes().into_router(&app).fallback(relay::fallback)
    } else {
        let operations = operations::routes().into_router(&app);
        operations.fallback(only_works)
    };
    router
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), headers::layer))
        .with_state(app)
}

/// Every route with who may use it. A resource has one file with `pub(super) fn routes() ->
/// Routes`, merged here.
pub fn routes() -> Routes {
    operations::routes()
        .merge(assistants::routes())
        .merge(threads::routes())
        .merge(messages::routes())
        .merge(runs::routes())
        .merge(steps::routes())
        .merge(files::routes())
        .merge(uploads::routes())
        .merge(vector_stores::routes())
        .merge(admin::routes())
}

/// What Portkey's admin API has and ours does not. No provider gets to see such a call.
const ADMIN_NOT_BUILT: [&str; 13] = [
    "admin",
    "audit-logs",
    "collections",
    "guardrails",
    "integrations",
    "labels",
    "mcp-integrations",
    "mcp-servers",
    "model-configs",
    "policies",
    "prompts",
    "scim",
    "secret-references",
];

/// What a process that only carries runs out answers to everybody but operators.
async fn only_works() -> ApiError {
    ApiError::of_worker()
}

fn unknown_url(request: &Request) -> ApiError {
    unknown_path(request.method(), request.uri().path())
}

/// 404 for a path that nobody serves.
fn unknown_path(method: &Method, path: &str) -> ApiError {
    let resource = path
        .strip_prefix("/v1/")
        .and_then(|path| path.split('/').next())
        .unwrap_or_default();
    if ADMIN_NOT_BUILT.contains(&resource) {
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
