//! Things that were made upstream stay with the account that they were made in: a thread of one
//! account is unknown to another, whatever a load balancer draws.

use std::{pin::Pin, sync::Arc};

use axum::http::Method;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use loomgate_domain::WorkspaceId;
use loomgate_gateway::{
    Endpoint, Plan,
    relay::{Answer, AnswerBody, BrokenOff, RelayBody},
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

/// The ids that say where a call has to go: those in its path, then the assistant of a new run.
pub(super) fn named(method: &Method, path: &str, body: &RelayBody) -> Vec<String> {
    #[derive(Deserialize)]
    struct Peek {
        assistant_id: Option<String>,
    }
    if Endpoint::of(method, path) != Endpoint::Assistants {
        return Vec::new();
    }
    let in_path = path.split('/').filter(|part| is_id(part));
    let mut ids: Vec<_> = in_path.map(str::to_owned).collect();
    let makes_run = *method == Method::POST && path.trim_end_matches('/').ends_with("/runs");
    if let (true, RelayBody::Bytes(bytes)) = (makes_run, body)
        && let Ok(Peek {
            assistant_id: Some(id),
        }) = serde_json::from_slice(bytes)
        && is_id(&id)
    {
        ids.push(id);
    }
    ids
}

/// The plan, narrowed to the account that the first known one of these ids belongs to.
pub(super) async fn narrowed(
    app: &App,
    workspace: &WorkspaceId,
    plan: Plan,
    ids: Vec<String>,
) -> Result<Plan, ApiError> {
    if plan.targets().nth(1).is_none() || ids.is_empty() {
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

/// What an answer made, each id with its account.
pub(super) fn made(answer: &Answer) -> Option<Vec<(String, String)>> {
    let (true, Some(identity), AnswerBody::Whole(body)) = (
        answer.status.is_success(),
        &answer.report.identity,
        &answer.body,
    ) else {
        return None;
    };
    let made = serde_json::from_slice::<Made>(body).ok()?.ids(identity);
    (!made.is_empty()).then_some(made)
}

/// The beginning of a stream that is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// A body that remembers what its first event says was made, before that event goes on.
pub(super) fn remembering(
    app: App,
    workspace: WorkspaceId,
    identity: Arc<str>,
    body: AnswerBody,
) -> AnswerBody {
    let AnswerBody::Stream(stream) = body else {
        return body;
    };
    let state = Remembering {
        stream,
        seen: Some(BytesMut::new()),
        app,
        workspace,
        identity,
    };
    AnswerBody::Stream(Box::pin(stream::unfold(state, |mut state| async {
        let piece = state.stream.next().await?;
        if let Ok(bytes) = &piece {
            state.look(bytes).await;
        }
        Some((piece, state))
    })))
}

struct Remembering {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>,
    /// What has come so far; `None` once there is nothing to look for.
    seen: Option<BytesMut>,
    app: App,
    workspace: WorkspaceId,
    identity: Arc<str>,
}

impl Remembering {
    async fn look(&mut self, bytes: &Bytes) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        seen.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(seen);
        let event = text
            .lines()
            .find_map(|line| line.strip_prefix("data:"))
            .and_then(|data| serde_json::from_str::<Made>(data.trim()).ok());
        let found = event.is_some();
        if let Some(made) = event.map(|made| made.ids(&self.identity))
            && let Err(error) = self.app.store.affinity().put(&self.workspace, made).await
        {
            tracing::error!(%error, "where a thread was made was not written");
        }
        if found
            || self
                .seen
                .as_ref()
                .is_some_and(|seen| seen.len() > LOOKED_AT)
        {
            self.seen = None;
        }
    }
}

impl Made {
    fn ids(self, identity: &str) -> Vec<(String, String)> {
        [Some(self.id), self.thread_id]
            .into_iter()
            .flatten()
            .filter(|id| is_id(id))
            .map(|id| (id, identity.to_owned()))
            .collect()
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= 256 && PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}
