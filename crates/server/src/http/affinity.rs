//! Things that were made upstream stay with the account that they were made in: a thread of one
//! account is unknown to another, whatever a load balancer draws.

use axum::http::Method;
use loomgate_domain::WorkspaceId;
use loomgate_gateway::{
    Endpoint, Plan,
    relay::{Answer, AnswerBody},
};
use serde::Deserialize;

use crate::{app::App, error::ApiError};

/// What the ids of such things begin with.
const PREFIXES: [&str; 5] = ["thread_", "asst_", "file-", "vs_", "upload_"];

/// The ids in an answer that made something.
#[derive(Debug, Deserialize)]
struct Made {
    id: String,
    /// Of a run that was made together with its thread.
    thread_id: Option<String>,
}

/// Whether a call makes something that has to be remembered.
pub(super) fn creates(method: &Method, path: &str) -> bool {
    let rest = path.strip_prefix("/v1/").unwrap_or_default();
    *method == Method::POST
        && matches!(
            rest.trim_end_matches('/'),
            "assistants" | "threads" | "threads/runs" | "files" | "vector_stores" | "uploads"
        )
}

/// The plan, narrowed to the account of what the path names.
pub(super) async fn narrowed(
    app: &App,
    workspace: &WorkspaceId,
    plan: Plan,
    path: &str,
) -> Result<Plan, ApiError> {
    if plan.targets().nth(1).is_none()
        || Endpoint::of(&Method::GET, path) != Endpoint::Assistants
    {
        return Ok(plan);
    }
    let ids: Vec<_> = path
        .split('/')
        .filter(|part| is_id(part))
        .map(str::to_owned)
        .collect();
    if ids.is_empty() {
        return Ok(plan);
    }
    let known = app.store.affinity().get(workspace, &ids).await?;
    let Some((id, target)) = known.into_iter().next() else {
        return Ok(plan);
    };
    plan.only(&target).ok_or_else(|| {
        ApiError::invalid(format!(
            "'{id}' was made with another account than the config of this request names: its \
             calls have to go there."
        ))
        .code("wrong_account")
    })
}

/// Remembers what an answer made.
pub(super) async fn remember(
    app: &App,
    workspace: &WorkspaceId,
    answer: &Answer,
) -> Result<(), ApiError> {
    let (true, Some(identity), AnswerBody::Whole(body)) = (
        answer.status.is_success(),
        &answer.report.identity,
        &answer.body,
    ) else {
        return Ok(());
    };
    let Ok(made) = serde_json::from_slice::<Made>(body) else {
        return Ok(());
    };
    let ids = [Some(made.id), made.thread_id];
    let made: Vec<_> = ids
        .into_iter()
        .flatten()
        .filter(|id| is_id(id))
        .map(|id| (id, identity.to_string()))
        .collect();
    if !made.is_empty() {
        app.store.affinity().put(workspace, made).await?;
    }
    Ok(())
}

fn is_id(text: &str) -> bool {
    text.len() <= 256 && PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}
