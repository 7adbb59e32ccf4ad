//! `/v1/threads/{thread_id}/runs/{run_id}/steps` (contract section 9): read-only.

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use loomgate_domain::StepId;
use loomgate_wire::{
    object,
    request::{include_query, list_query},
};

use crate::{
    App,
    auth::Caller,
    error::ApiError,
    http::{
        access::{Access, Routes},
        list,
        path::{RunPath, StepPath},
        reply, runs,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get(
            "/v1/threads/{thread_id}/runs/{run_id}/steps",
            DataPlane,
            index,
        )
        .get(
            "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
            DataPlane,
            show,
        )
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    path: RunPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = list_query(query.as_deref(), &["include"])?;
    let with_content = !query.include.is_empty();
    let page = list::page(&query);
    let steps = app.store.steps();
    let listed = steps.list(&caller.workspace, &path.thread, &path.run, page);
    let Some(page) = listed.await.map_err(list::cursor::<StepId>)? else {
        return Err(runs::missing(&app, &caller, &path).await?);
    };
    list::reply(
        page.items
            .iter()
            .map(|step| object::RunStep::listed(step, with_content)),
        page.has_more,
    )
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: StepPath,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let with_content = !include_query(query.as_deref())?.is_empty();
    let StepPath { thread, run, step } = path;
    let steps = app.store.steps();
    let found = steps.get(&caller.workspace, &thread, &run, &step).await?;
    if let Some(step) = found {
        return reply::json(&object::RunStep::listed(&step, with_content));
    }
    let path = RunPath { thread, run };
    let runs = app.store.runs();
    let run = runs.get(&caller.workspace, &path.thread, &path.run).await?;
    Err(match run {
        Some(_) => ApiError::not_found(&step),
        None => runs::missing(&app, &caller, &path).await?,
    })
}
