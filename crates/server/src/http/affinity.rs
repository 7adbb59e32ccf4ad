//! Things that were made upstream stay with the account that they were made in: a thread of one
//! account is unknown to another, whatever a load balancer draws.

use std::{pin::Pin, sync::Arc};

use axum::http::Method;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use loomgate_domain::WorkspaceId;
use loomgate_gateway::{
    Endpoint, Plan,
    relay::{Answer, AnswerBody, BrokenOff, RelayBody, RelayRequest},
};
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::{app::App, error::ApiError};

/// Fields of a body that name such things, alone or in a list, wherever they stand.
const NAMING: [&str; 5] = [
    "assistant_id",
    "thread_id",
    "file_id",
    "file_ids",
    "vector_store_ids",
];
/// The longest id.
const LONGEST: usize = 256;
/// The most ids of one call that are looked up.
const MOST: usize = 64;

/// What an answer says that it made. Ids are the provider's, whatever they look like.
#[derive(Debug, Deserialize)]
struct Made {
    id: Option<String>,
    /// Of a run that was made together with its thread.
    thread_id: Option<String>,
    /// Of an upload that was completed.
    file: Option<MadeFile>,
}

#[derive(Debug, Deserialize)]
struct MadeFile {
    id: String,
}

/// The ids that say where a call has to go: those in its path, then those that a page goes on behind,
/// then those that the body of a new thing names.
fn named(request: &RelayRequest) -> Vec<String> {
    let RelayRequest {
        method,
        path,
        query,
        body,
        ..
    } = request;
    let mut ids = Vec::new();
    let segments = Endpoint::segments(path);
    match segments.as_slice() {
        ["threads", "runs"] => {}
        ["vector_stores", store, "files", file, ..] => {
            ids.extend([*store, *file].map(str::to_owned));
        }
        [resource, id, ..] if Endpoint::RESOURCES.contains(resource) => ids.push((*id).to_owned()),
        _ => {}
    }
    let pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let cursors = pairs.filter(|(name, _)| matches!(&**name, "after" | "before"));
    ids.extend(cursors.map(|(_, id)| id.into_owned()));
    if let (&Method::POST, RelayBody::Bytes(bytes)) = (method, body)
        && let Ok(body) = serde_json::from_slice(bytes)
    {
        names_in(&body, false, &mut ids);
    }
    ids.retain(|id| is_id(id));
    ids.truncate(MOST);
    ids
}

/// The ids in a body; `is_named` says that a name of ours stands before the value.
fn names_in(value: &Value, is_named: bool, ids: &mut Vec<String>) {
    match value {
        Value::String(id) if is_named => ids.push(id.clone()),
        Value::Array(values) => {
            for value in values {
                names_in(value, is_named, ids);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                names_in(value, NAMING.contains(&name.as_str()), ids);
            }
        }
        _ => {}
    }
}

/// The plan, narrowed to the account that the first known thing of this call belongs to.
pub(super) async fn narrowed(
    app: &App,
    plan: Plan,
    request: &RelayRequest,
) -> Result<Plan, ApiError> {
    let endpoint = Endpoint::of(&request.method, &request.path);
    if endpoint != Endpoint::Assistants || plan.targets().nth(1).is_none() {
        return Ok(plan);
    }
    let ids = named(request);
    if ids.is_empty() {
        return Ok(plan);
    }
    let workspace = &request.caller.workspace;
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

/// Writes down what was made. It is there, whether this succeeds or not.
pub(super) async fn remember(app: &App, workspace: &WorkspaceId, made: Vec<(String, String)>) {
    if let Err(error) = app.store.affinity().put(workspace, made).await {
        tracing::error!(%error, "where a thing was made was not written");
    }
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
        if let Some(made) = event.map(|made| made.ids(&self.identity)) {
            remember(&self.app, &self.workspace, made).await;
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
    /// A run's own id tells nothing: its calls name the thread.
    fn ids(self, identity: &str) -> Vec<(String, String)> {
        let file = self.file.map(|file| file.id);
        [self.thread_id.or(self.id), file]
            .into_iter()
            .flatten()
            .filter(|id| is_id(id))
            .map(|id| (id, identity.to_owned()))
            .collect()
    }
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
}
