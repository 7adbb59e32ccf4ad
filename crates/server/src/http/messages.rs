//! `/v1/threads/{thread_id}/messages` (contract section 7).

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use loomgate_domain::{MessageId, Patch, RunId};
use loomgate_engine::{Error, posted};
use loomgate_wire::{
    object,
    request::{CreateMessage, ModifyMessage, list_query},
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
        path::{MessagePath, ThreadPath},
        reply,
        thread_lock::ThreadLock,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get("/v1/threads/{thread_id}/messages", DataPlane, index)
        .create("/v1/threads/{thread_id}/messages", DataPlane, create)
        .get(
            "/v1/threads/{thread_id}/messages/{message_id}",
            DataPlane,
            show,
        )
        .post(
            "/v1/threads/{thread_id}/messages/{message_id}",
            DataPlane,
            modify,
        )
        .delete(
            "/v1/threads/{thread_id}/messages/{message_id}",
            DataPlane,
            delete,
        )
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
    once: Idempotency,
    ThreadLock(when_locked): ThreadLock,
    ApiJson(CreateMessage(body)): ApiJson<CreateMessage>,
) -> Result<Response, ApiError> {
    let named = Named::in_messages(std::slice::from_ref(&body));
    named.expect(&app, &caller).await?;
    let message = posted(&app.ids, &path.thread, app.clock.now(), body);
    let (reply, receipt) = once.reply(&object::Message::from(&message))?;
    let added = app
        .engine
        .add_message(&caller.workspace, message, when_locked, receipt);
    match added.await {
        Ok(()) => Ok(reply),
        Err(Error::ThreadLocked { thread, run }) => {
            Err(ApiError::locked_for_messages(&thread, &run))
        }
        Err(error) => Err(error.into()),
    }
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = list_query(query.as_deref(), &["run_id"])?;
    let run = query.run_id.as_deref().map(RunId::trusted);
    let page = app
        .store
        .messages()
        .list(
            &caller.workspace,
            &path.thread,
            run.as_ref(),
            list::page(&query),
        )
        .await
        .map_err(list::cursor::<MessageId>)?
        .ok_or_else(|| ApiError::not_found(&path.thread))?;
    list::reply(page.items.iter().map(object::Message::from), page.has_more)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: MessagePath,
) -> Result<Response, ApiError> {
    let found = app
        .store
        .messages()
        .get(&caller.workspace, &path.thread, &path.message)
        .await?;
    match found {
        Some(message) => reply::json(&object::Message::from(&message)),
        None => Err(missing(&app, &caller, &path).await?),
    }
}

async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: MessagePath,
    ApiJson(body): ApiJson<ModifyMessage>,
) -> Result<Response, ApiError> {
    let messages = app.store.messages();
    let Caller { workspace, .. } = &caller;
    let modified = match body.metadata {
        Patch::Absent => messages.get(workspace, &path.thread, &path.message).await?,
        change => {
            let metadata = change.into_option().unwrap_or_default();
            messages
                .set_metadata(workspace, &path.thread, &path.message, metadata)
                .await?
        }
    };
    match modified {
        Some(message) => reply::json(&object::Message::from(&message)),
        None => Err(missing(&app, &caller, &path).await?),
    }
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: MessagePath,
) -> Result<Response, ApiError> {
    let messages = app.store.messages();
    if !messages
        .delete(&caller.workspace, &path.thread, &path.message)
        .await?
    {
        return Err(missing(&app, &caller, &path).await?);
    }
    reply::json(&object::Deleted::message(&path.message))
}

/// What is missing: the thread, or the message in it.
async fn missing(app: &App, caller: &Caller, path: &MessagePath) -> Result<ApiError, ApiError> {
    let threads = app.store.threads();
    let thread = threads.get(&caller.workspace, &path.thread).await?;
    Ok(match thread {
        Some(_) => ApiError::not_found(&path.message),
        None => ApiError::not_found(&path.thread),
    })
}
