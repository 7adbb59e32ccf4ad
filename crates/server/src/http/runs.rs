//! `/v1/threads/{thread_id}/runs` and `/v1/threads/runs` (contract section 8), and a run's stream,
//! which is an addition to the contract (`docs/streams.md`).

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue};
use loomgate_domain::{
    Patch, Run, RunId, WhenLocked,
    run::{Origin, Route},
    tool::ToolResources,
};
use loomgate_engine::{Created, RunRequest, RunWay, ThreadTarget};
use loomgate_wire::{
    object,
    request::{
        CreateRun, CreateThreadAndRun, ModifyRun, SubmitToolOutputs, include_query, list_query,
        query::LAST_EVENT_ID, stream_place,
    },
};

use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    error::ApiError,
    headers::RequestContext,
    http::{
        access::{Access, Routes},
        idempotency::Idempotency,
        list,
        named::Named,
        path::{RunPath, ThreadPath},
        reply,
        thread_lock::ThreadLock,
    },
    routing::{self, Wishes},
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .create("/v1/threads/runs", DataPlane, create_with_thread)
        .get("/v1/threads/{thread_id}/runs", DataPlane, index)
        .create("/v1/threads/{thread_id}/runs", DataPlane, create)
        .get("/v1/threads/{thread_id}/runs/{run_id}", DataPlane, show)
        .post("/v1/threads/{thread_id}/runs/{run_id}", DataPlane, modify)
        .post(
            "/v1/threads/{thread_id}/runs/{run_id}/cancel",
            DataPlane,
            cancel,
        )
        .post(
            "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
            DataPlane,
            submit_tool_outputs,
        )
        .get(
            "/v1/threads/{thread_id}/runs/{run_id}/stream",
            DataPlane,
            stream,
        )
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
    RawQuery(query): RawQuery,
    (headers, Extension(context)): (HeaderMap, Extension<RequestContext>),
    (once, ThreadLock(when_locked)): (Idempotency, ThreadLock),
    ApiJson(body): ApiJson<CreateRun>,
) -> Result<Response, ApiError> {
    let include_results = !include_query(query.as_deref())?.is_empty();
    let named = Named::in_messages(&body.additional_messages);
    named.expect(&app, &caller).await?;
    let request = RunRequest {
        assistant_id: body.assistant_id,
        thread: ThreadTarget::Existing(path.thread, body.additional_messages),
        options: body.options,
        additional_instructions: body.additional_instructions,
        include_results,
        tool_resources: ToolResources::default(),
        way: way(&app, &caller, &headers, &context).await?,
        when_locked,
        keyed: once.into_request(),
    };
    created(app.engine.create_run(&caller.workspace, request).await?)
}

async fn create_with_thread(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Extension(context): Extension<RequestContext>,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateThreadAndRun>,
) -> Result<Response, ApiError> {
    let resources = [&body.thread.tool_resources, &body.tool_resources];
    Named::in_messages(&body.thread.messages)
        .and_resources(&resources)
        .and_store(body.thread.vector_store.as_ref())
        .expect(&app, &caller)
        .await?;
    let request = RunRequest {
        assistant_id: body.assistant_id,
        thread: ThreadTarget::New(body.thread),
        options: body.options,
        additional_instructions: None,
        include_results: false,
        tool_resources: body.tool_resources,
        way: way(&app, &caller, &headers, &context).await?,
        // A thread that is made with its run is free.
        when_locked: WhenLocked::Fail,
        keyed: once.into_request(),
    };
    created(app.engine.create_run(&caller.workspace, request).await?)
}

/// How the model calls of a new run go, and on whose behalf.
async fn way(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<RunWay, ApiError> {
    let wishes = Wishes::of(headers, &caller.presented)?;
    let way = routing::find(app, &caller.workspace, &caller.key, &wishes).await?;
    let sealed = match &way.route {
        Route::Sealed => {
            let wishes = routing::pinned(wishes, &way);
            Some(app.seal_wishes(&caller.workspace, &wishes)?)
        }
        Route::VirtualKey(_) | Route::Config(_) => None,
    };
    let trace = context.trace();
    Ok(RunWay {
        route: way.route,
        sealed,
        origin: Origin {
            api_key: caller.key.id.clone(),
            trace_id: trace.id.clone(),
            span_id: trace.span.id.clone(),
            metadata: (*caller.metadata).clone(),
        },
    })
}

fn created(created: Created) -> Result<Response, ApiError> {
    match created.events {
        Some(events) => Ok(reply::events(events)),
        None => reply::json(&object::Run::from(&created.run)),
    }
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    path: ThreadPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let page = list::page(&list_query(query.as_deref(), &[])?);
    let page = app
        .store
        .runs()
        .list(&caller.workspace, &path.thread, page)
        .await
        .map_err(list::cursor::<RunId>)?
        .ok_or_else(|| ApiError::not_found(&path.thread))?;
    list::reply(page.items.iter().map(object::Run::from), page.has_more)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let runs = app.store.runs();
    let found = runs.get(&caller.workspace, &path.thread, &path.run).await?;
    let run = found_or_missing(found, &app, &caller, &path).await?;
    let is_unfinished = run.state.status().is_active();
    let response = reply::json(&object::Run::from(&run))?;
    Ok(reply::to_poll(response, &headers, is_unfinished))
}

/// Modify Run: metadata only, in every state, beside a running executor (one guarded column).
async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
    ApiJson(body): ApiJson<ModifyRun>,
) -> Result<Response, ApiError> {
    let runs = app.store.runs();
    let modified = match body.metadata {
        Patch::Absent => runs.get(&caller.workspace, &path.thread, &path.run).await?,
        change => {
            let metadata = change.into_option().unwrap_or_default();
            runs.set_metadata(&caller.workspace, &path.thread, &path.run, metadata)
                .await?
        }
    };
    let run = found_or_missing(modified, &app, &caller, &path).await?;
    reply::json(&object::Run::from(&run))
}

/// Clients send `{}`, or no body at all: there is nothing to read in either.
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
) -> Result<Response, ApiError> {
    let cancelled = app
        .engine
        .cancel(&caller.workspace, &path.thread, &path.run)
        .await;
    let run = run_or_missing(cancelled, &app, &caller, &path).await?;
    reply::json(&object::Run::from(&run))
}

async fn submit_tool_outputs(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
    ApiJson(body): ApiJson<SubmitToolOutputs>,
) -> Result<Response, ApiError> {
    let submitted = app
        .engine
        .submit_tool_outputs(
            &caller.workspace,
            &path.thread,
            &path.run,
            body.tool_outputs,
            body.stream,
        )
        .await;
    let (run, events) = run_or_missing(submitted, &app, &caller, &path).await?;
    created(Created { run, events })
}

/// The run's newest leg from its beginning, or what came after an event that the client has seen.
async fn stream(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let seen = headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
    let seen = seen.map(String::from_utf8_lossy);
    let place = stream_place(query.as_deref(), seen.as_deref())?;
    let after = place.map(|place| place.after);
    let opened = app
        .engine
        .reopen(&caller.workspace, &path.thread, &path.run, after)
        .await;
    if let (Err(loomgate_engine::Error::NoEvent(_)), Some(place)) = (&opened, place) {
        return Err(place.unknown().into());
    }
    let events = run_or_missing(opened, &app, &caller, &path).await?;
    Ok(reply::events(events))
}

async fn run_or_missing<T>(
    result: Result<T, loomgate_engine::Error>,
    app: &App,
    caller: &Caller,
    path: &RunPath,
) -> Result<T, ApiError> {
    match result {
        Ok(found) => Ok(found),
        Err(loomgate_engine::Error::NoRun(_)) => Err(missing(app, caller, path).await?),
        Err(error) => Err(error.into()),
    }
}

async fn found_or_missing(
    found: Option<Run>,
    app: &App,
    caller: &Caller,
    path: &RunPath,
) -> Result<Run, ApiError> {
    match found {
        Some(run) => Ok(run),
        None => Err(missing(app, caller, path).await?),
    }
}

/// What is missing: the thread, or the run on it.
pub async fn missing(app: &App, caller: &Caller, path: &RunPath) -> Result<ApiError, ApiError> {
    let threads = app.store.threads();
    let thread = threads.get(&caller.workspace, &path.thread).await?;
    Ok(match thread {
        Some(_) => ApiError::not_found(&path.run),
        None => ApiError::not_found(&path.thread),
    })
}
