//! `/v1/vector_stores/{vector_store_id}/file_batches` (contract section 11.7).

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::HeaderMap;
use loomgate_domain::{FileId, id::new_id, vector_store::FileBatch};
use loomgate_engine::waiting;
use loomgate_wire::{
    object,
    request::{CreateFileBatch, list_query},
};

use super::find;
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
        path::{FileBatchPath, VectorStorePath},
        reply,
    },
};

const BATCHES: &str = "/v1/vector_stores/{vector_store_id}/file_batches";
const BATCH: &str = "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}";
const CANCEL: &str = "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel";
const FILES: &str = "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files";

pub(super) fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .create(BATCHES, DataPlane, create)
        .get(BATCH, DataPlane, show)
        .post(CANCEL, DataPlane, cancel)
        .get(FILES, DataPlane, files)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    path: VectorStorePath,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateFileBatch>,
) -> Result<Response, ApiError> {
    let named = Named::for_store(body.files.iter().map(|file| &file.file_id));
    named.expect(&app, &caller).await?;
    let now = app.clock.now();
    let put = app.making(now).put_files(body.files.into_iter());
    let batch = FileBatch {
        id: new_id(&*app.ids),
        vector_store_id: path.store.clone(),
        created_at: now,
        is_cancelled: false,
        file_counts: waiting(&put),
    };
    let (reply, receipt) = once.reply(&object::FileBatch::from(&batch))?;
    let batches = app.store.file_batches();
    let created = batches.create(&caller.workspace, batch, put, receipt).await;
    created?.ok_or_else(|| ApiError::not_found(&path.store))?;
    Ok(reply)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: FileBatchPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let batches = app.store.file_batches();
    let found = batches.get(&caller.workspace, &path.store, &path.batch);
    match found.await? {
        Some(batch) => {
            let is_unfinished = batch.file_counts.in_progress > 0;
            let response = reply::json(&object::FileBatch::from(&batch))?;
            Ok(reply::to_poll(response, &headers, is_unfinished))
        }
        None => Err(missing(&app, &caller, &path).await?),
    }
}

/// Comes with a body of `{}` or with none; whatever it is, nothing in it matters.
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: FileBatchPath,
) -> Result<Response, ApiError> {
    let batches = app.store.file_batches();
    let cancelled = batches.cancel(&caller.workspace, &path.store, &path.batch);
    match cancelled.await? {
        Some(batch) => reply::json(&object::FileBatch::from(&batch)),
        None => Err(missing(&app, &caller, &path).await?),
    }
}

async fn files(
    State(app): State<App>,
    caller: Caller,
    path: FileBatchPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = list_query(query.as_deref(), &["filter"])?;
    let batches = app.store.file_batches();
    let place = (&path.store, &path.batch);
    let page = batches.files(&caller.workspace, place, query.filter, list::page(&query));
    match page.await.map_err(list::cursor::<FileId>)? {
        Some(page) => list::reply(
            page.items.iter().map(object::VectorStoreFile::from),
            page.has_more,
        ),
        None => Err(missing(&app, &caller, &path).await?),
    }
}

/// What is missing: the store, or the batch in it.
async fn missing(app: &App, caller: &Caller, path: &FileBatchPath) -> Result<ApiError, ApiError> {
    find(app, caller, &path.store).await?;
    Ok(ApiError::not_found(&path.batch))
}
