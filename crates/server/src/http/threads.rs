//! `/v1/threads` (contract section 6).

use axum::{extract::State, response::Response};
use loomgate_domain::{Patch, Thread};
use loomgate_engine::NewThread;
use loomgate_wire::{
    object,
    request::{CreateThread, ModifyThread},
};

use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    error::ApiError,
    http::{
        access::{Access, Routes},
        idempotency::Idempotency,
        named::Named,
        path::ThreadPath,
        reply,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .create("/v1/threads", DataPlane, create)
        .get("/v1/threads/{thread_id}", DataPlane, show)
        .post("/v1/threads/{thread_id}", DataPlane, modify)
        .delete("/v1/threads/{thread_id}", DataPlane, delete)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateThread>,
) -> Result<Response, ApiError> {
    Named::in_messages(&body.messages)
        .and_resources(&[&body.tool_resources])
        .and_store(body.vector_store.as_ref())
        .expect(&app, &caller)
        .await?;
    let NewThread {
        thread,
        messages,
        stores,
    } = app.making(app.clock.now()).thread(body);
    let (reply, receipt) = once.reply(&object::Thread::from(&thread))?;
    app.store
        .threads()
        .create(&caller.workspace, (thread, messages), stores, receipt)
        .await?;
    Ok(reply)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
) -> Result<Response, ApiError> {
    let threads = app.store.threads();
    let found = threads.get(&caller.workspace, &path.thread).await?;
    let thread = found.ok_or_else(|| ApiError::not_found(&path.thread))?;
    reply::json(&object::Thread::from(&thread))
}

async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
    ApiJson(body): ApiJson<ModifyThread>,
) -> Result<Response, ApiError> {
    if let Patch::Set(resources) = &body.tool_resources {
        let resources = [resources];
        let named = Named::default().and_resources(&resources);
        named.expect(&app, &caller).await?;
    }
    let threads = app.store.threads();
    let modified = threads
        .update(
            &caller.workspace,
            &path.thread,
            move |mut thread: Thread| {
                let body = body.clone();
                body.metadata.apply(&mut thread.metadata);
                body.tool_resources.apply(&mut thread.tool_resources);
                thread
            },
        )
        .await?;
    let thread = modified.ok_or_else(|| ApiError::not_found(&path.thread))?;
    reply::json(&object::Thread::from(&thread))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
) -> Result<Response, ApiError> {
    let deleted = app.engine.delete_thread(&caller.workspace, &path.thread);
    if !deleted.await? {
        return Err(ApiError::not_found(&path.thread));
    }
    reply::json(&object::Deleted::thread(&path.thread))
}
