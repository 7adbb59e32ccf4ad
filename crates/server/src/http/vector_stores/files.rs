//! `/v1/vector_stores/{vector_store_id}/files` (contract section 11.6).

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::HeaderMap;
use loomgate_domain::{
    FileId,
    vector_store::{IndexingStatus, VectorStoreFile},
};
use loomgate_wire::{
    object,
    request::{CreateVectorStoreFile, ModifyVectorStoreFile, list_query},
};

use super::missing;
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
        path::{VectorStoreFilePath, VectorStorePath},
        reply,
    },
};

const FILES: &str = "/v1/vector_stores/{vector_store_id}/files";
const FILE: &str = "/v1/vector_stores/{vector_store_id}/files/{file_id}";
const CONTENT: &str = "/v1/vector_stores/{vector_store_id}/files/{file_id}/content";

pub(super) fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get(FILES, DataPlane, index)
        .create(FILES, DataPlane, create)
        .get(FILE, DataPlane, show)
        .post(FILE, DataPlane, modify)
        .delete(FILE, DataPlane, delete)
        .get(CONTENT, DataPlane, content)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateVectorStoreFile>,
) -> Result<Response, ApiError> {
    let named = Named::for_store([&body.file_id]);
    named.expect(&app, &caller).await?;
    let now = app.clock.now();
    let file = VectorStoreFile {
        file_id: body.file_id.clone(),
        vector_store_id: path.store.clone(),
        created_at: now,
        status: IndexingStatus::InProgress,
        last_error: None,
        chunking: body.chunking,
        attributes: body.attributes.clone(),
        usage_bytes: 0,
    };
    let (reply, receipt) = once.reply(&object::VectorStoreFile::from(&file))?;
    let put = app.making(now).put_files(std::iter::once(body));
    let files = app.store.vector_store_files();
    let put = files.put(&caller.workspace, &path.store, put, receipt);
    put.await?.ok_or_else(|| ApiError::not_found(&path.store))?;
    Ok(reply)
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = list_query(query.as_deref(), &["filter"])?;
    let files = app.store.vector_store_files();
    let page = files
        .list(
            &caller.workspace,
            &path.store,
            query.filter,
            list::page(&query),
        )
        .await
        .map_err(list::cursor::<FileId>)?
        .ok_or_else(|| ApiError::not_found(&path.store))?;
    list::reply(
        page.items.iter().map(object::VectorStoreFile::from),
        page.has_more,
    )
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: VectorStoreFilePath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let files = app.store.vector_store_files();
    let found = files.get(&caller.workspace, &path.store, &path.file);
    match found.await? {
        Some(file) => {
            let is_unfinished = file.status == IndexingStatus::InProgress;
            let response = reply::json(&object::VectorStoreFile::from(&file))?;
            Ok(reply::to_poll(response, &headers, is_unfinished))
        }
        None => Err(missing(&app, &caller, (&path.store, &path.file)).await?),
    }
}

async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: VectorStoreFilePath,
    ApiJson(body): ApiJson<ModifyVectorStoreFile>,
) -> Result<Response, ApiError> {
    let files = app.store.vector_store_files();
    let place = (&path.store, &path.file);
    let modified = files.set_attributes(&caller.workspace, place, body.attributes);
    match modified.await? {
        Some(file) => reply::json(&object::VectorStoreFile::from(&file)),
        None => Err(missing(&app, &caller, place).await?),
    }
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: VectorStoreFilePath,
) -> Result<Response, ApiError> {
    let files = app.store.vector_store_files();
    let removed = files.remove(&caller.workspace, &path.store, &path.file);
    if !removed.await? {
        return Err(missing(&app, &caller, (&path.store, &path.file)).await?);
    }
    reply::json(&object::Deleted::vector_store_file(&path.file))
}

/// The text of a file, as it was read.
async fn content(
    State(app): State<App>,
    caller: Caller,
    path: VectorStoreFilePath,
) -> Result<Response, ApiError> {
    let files = app.store.vector_store_files();
    let found = files.get(&caller.workspace, &path.store, &path.file);
    if found.await?.is_none() {
        return Err(missing(&app, &caller, (&path.store, &path.file)).await?);
    }
    let chunks = app.store.chunks();
    let text = chunks.text(&caller.workspace, &path.store, &path.file);
    reply::json(&object::OnePage::content(&text.await?))
}
