//! `/v1/vector_stores` (contract sections 11.4 to 11.8): the stores here, what is in them in the
//! modules below.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use loomgate_domain::{FileId, VectorStore, VectorStoreId};
use loomgate_store::NewVectorStore;
use loomgate_wire::{
    object,
    request::{CreateVectorStore, ModifyVectorStore, list_query},
};

use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    error::ApiError,
    http::{
        access::{Access, Routes},
        idempotency::Idempotency,
        list,
        named::Named,
        path::VectorStorePath,
        reply,
    },
};

mod batches;
mod files;
mod search;

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get("/v1/vector_stores", DataPlane, index)
        .create("/v1/vector_stores", DataPlane, create)
        .get("/v1/vector_stores/{vector_store_id}", DataPlane, show)
        .post("/v1/vector_stores/{vector_store_id}", DataPlane, modify)
        .delete("/v1/vector_stores/{vector_store_id}", DataPlane, delete)
        .merge(search::routes())
        .merge(files::routes())
        .merge(batches::routes())
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateVectorStore>,
) -> Result<Response, ApiError> {
    let named = Named::for_store(&body.file_ids);
    named.expect(&app, &caller).await?;
    let now = app.clock.now();
    let NewVectorStore { record, put } = app.making(now).vector_store(body);
    let (reply, receipt) = once.reply(&object::VectorStore::at(&record, now))?;
    let stores = app.store.vector_stores();
    stores
        .create(&caller.workspace, record, put, receipt)
        .await?;
    Ok(reply)
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let page = list::page(&list_query(query.as_deref(), &[])?);
    let stores = app.store.vector_stores();
    let page = stores.list(&caller.workspace, page).await;
    let page = page.map_err(list::cursor::<VectorStoreId>)?;
    let now = app.clock.now();
    list::reply(
        page.items
            .iter()
            .map(|store| object::VectorStore::at(store, now)),
        page.has_more,
    )
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
) -> Result<Response, ApiError> {
    let store = find(&app, &caller, &path.store).await?;
    reply::json(&object::VectorStore::at(&store, app.clock.now()))
}

async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
    ApiJson(body): ApiJson<ModifyVectorStore>,
) -> Result<Response, ApiError> {
    let stores = app.store.vector_stores();
    let modified = stores
        .update(&caller.workspace, &path.store, move |mut store| {
            let body = body.clone();
            body.name.apply_option(&mut store.name);
            body.expires_after_days
                .apply_option(&mut store.expires_after_days);
            body.metadata.apply(&mut store.metadata);
            store
        })
        .await?;
    let store = modified.ok_or_else(|| ApiError::not_found(&path.store))?;
    reply::json(&object::VectorStore::at(&store, app.clock.now()))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
) -> Result<Response, ApiError> {
    let stores = app.store.vector_stores();
    let now = app.clock.now();
    if !stores.delete(&caller.workspace, &path.store, now).await? {
        return Err(ApiError::not_found(&path.store));
    }
    reply::json(&object::Deleted::vector_store(&path.store))
}

/// A store that has to be there.
async fn find(app: &App, caller: &Caller, id: &VectorStoreId) -> Result<VectorStore, ApiError> {
    let found = app.store.vector_stores().get(&caller.workspace, id).await?;
    found.ok_or_else(|| ApiError::not_found(id))
}

/// Why a file of a store was not found: the store is missing, or the file in it.
async fn missing(
    app: &App,
    caller: &Caller,
    (store, file): (&VectorStoreId, &FileId),
) -> Result<ApiError, ApiError> {
    find(app, caller, store).await?;
    Ok(ApiError::not_in_store(file, store))
}
