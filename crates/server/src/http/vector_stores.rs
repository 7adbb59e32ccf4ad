//! `/v1/vector_stores` (contract sections 11.4 to 11.8): the stores here, what is in them in the
//! modules below.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use loomgate_domain::{
    FileId, Timestamp, VectorStore, VectorStoreId,
    id::new_id,
    vector_store::{Attributes, FileCounts},
};
use loomgate_store::{NewVectorStoreFile, PutFiles};
use loomgate_wire::{
    object,
    request::{CreateVectorStore, CreateVectorStoreFile, ModifyVectorStore, list_query},
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
    let now = app.clock.now();
    let chunking = body.chunking;
    let file = |file_id| CreateVectorStoreFile {
        file_id,
        chunking,
        attributes: Attributes::default(),
    };
    let put = put_files(&app, body.file_ids.into_iter().map(file), now);
    let store = VectorStore {
        id: new_id(&*app.ids),
        created_at: now,
        name: body.name,
        description: body.description,
        metadata: body.metadata,
        expires_after_days: body.expires_after_days,
        last_active_at: now,
        file_counts: waiting(&put),
        usage_bytes: 0,
    };
    let (reply, receipt) = once.reply(&object::VectorStore::at(&store, now))?;
    let stores = app.store.vector_stores();
    stores
        .create(&caller.workspace, store, put, receipt)
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

/// Files for a store, each once: of one that is named twice, the last counts.
fn put_files(
    app: &App,
    bodies: impl Iterator<Item = CreateVectorStoreFile>,
    at: Timestamp,
) -> PutFiles {
    let mut files: Vec<NewVectorStoreFile> = Vec::new();
    for body in bodies {
        files.retain(|file| file.file_id != body.file_id);
        files.push(NewVectorStoreFile {
            file_id: body.file_id,
            chunking: body.chunking,
            attributes: body.attributes,
        });
    }
    PutFiles {
        files,
        at,
        most: app.config.limits.vector_store_files,
    }
}

/// What is counted of files that were just put.
fn waiting(put: &PutFiles) -> FileCounts {
    FileCounts {
        in_progress: put.files.len() as u64,
        ..FileCounts::default()
    }
}
