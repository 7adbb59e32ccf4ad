//! `/v1/models`: what the caller's virtual key offers (contract section 11.9).

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use loomgate_domain::Timestamp;
use loomgate_gateway::Model;
use loomgate_wire::object;

use crate::{App, auth::Caller, error::ApiError, http::reply};

/// The routes of this resource. Model names may hold slashes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/models", get(index))
        .route("/v1/models/{*model}", get(show).delete(delete))
}

async fn index(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let models = offered(&app, &caller).await?;
    reply::json(&object::ModelList::new(models.iter().map(object).collect()))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    reply::json(&object(&find(&app, &caller, &name).await?))
}

/// Models belong to providers; only fine-tuned ones could ever be deleted, and there are none.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    find(&app, &caller, &name).await?;
    Err(ApiError::model_not_deletable(&name))
}

async fn find(app: &App, caller: &Caller, name: &str) -> Result<Model, ApiError> {
    let models = offered(app, caller).await?;
    models
        .into_iter()
        .find(|model| model.id == name)
        .ok_or_else(|| ApiError::no_such_model(name))
}

async fn offered(app: &App, caller: &Caller) -> Result<Vec<Model>, ApiError> {
    let target = app.targets.get(&*caller.virtual_key);
    let target = target.ok_or_else(|| ApiError::no_virtual_key(&caller.virtual_key))?;
    app.gateway
        .models(target)
        .await
        .map_err(|error| ApiError::provider(&error))
}

fn object(model: &Model) -> object::Model {
    object::Model::new(&*model.id, Timestamp(model.created), &*model.owned_by)
}
