//! Calls that the server makes for itself and not for a caller: through the gateway like any other,
//! so with the account's limits, attempts and a record in the logbook.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, header};
use loomgate_domain::WorkspaceId;
use loomgate_gateway::{
    Plan,
    config::{Config, Overrides},
    relay::{Answer, AnswerBody, Cacheable, Caller, RelayBody, RelayRequest},
};
use serde_json::{Value, json};

use crate::{app::Services, config::AccountModel, record};

/// The most of an answer: 64 embeddings of the widest model, written out, take half of it.
const ANSWER_BYTES: usize = 32 << 20;
/// The most characters of a provider's words that are told on.
const TOLD_CHARS: usize = 300;

/// A call.
pub(crate) struct OwnCall<'a> {
    /// For whom.
    pub(crate) workspace: &'a WorkspaceId,
    /// To whom.
    pub(crate) model: &'a AccountModel,
    /// `/v1/embeddings`
    pub(crate) path: &'static str,
    /// What is asked.
    pub(crate) body: Value,
    /// Further attempts of what failed in passing.
    pub(crate) retries: u32,
    /// How long it may take, attempts included.
    pub(crate) patience: Duration,
}

/// A call that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OwnCallError {
    /// Why, in words that anybody may read: no key is in it.
    pub(crate) message: String,
    /// Whether it may be better a little later.
    pub(crate) may_pass: bool,
}

/// Makes a call; gives the body of its answer.
pub(crate) async fn post(services: &Services, call: OwnCall<'_>) -> Result<Bytes, OwnCallError> {
    let patience = call.patience;
    let answered = tokio::time::timeout(patience, answered(services, call)).await;
    answered.unwrap_or_else(|_elapsed| {
        let seconds = patience.as_secs();
        Err(passing(format!("There was no answer within {seconds} s.")))
    })
}

async fn answered(services: &Services, call: OwnCall<'_>) -> Result<Bytes, OwnCallError> {
    let AccountModel { account, model } = call.model;
    let found = services.accounts.find(call.workspace, account).await;
    let target = found
        .map_err(|error| passing(error.message().to_owned()))?
        .ok_or_else(|| lasting(format!("There is no virtual key '{account}' any more.")))?;
    let retry = json!({"retry": {"attempts": call.retries, "use_retry_after_header": true}});
    let config = Config::parse(&retry, &Overrides::default())
        .map_err(|invalid| lasting(invalid.to_string()))?;
    let identity = format!("own:{account}/{model}{}", call.path);
    let plan = Plan::new(Arc::new(config), &identity, |_| {
        Ok::<_, OwnCallError>(Arc::clone(&target))
    })?;
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let request = RelayRequest {
        caller: Caller {
            workspace: call.workspace.clone(),
            key: None,
            metadata: Arc::default(),
        },
        method: Method::POST,
        path: call.path.to_owned(),
        query: None,
        headers,
        body: RelayBody::Bytes(call.body.to_string().into()),
        model: None,
        cache: Cacheable::default(),
        presented_key: Arc::from(""),
    };
    let sink = record::own_call(services, call.workspace, call.path);
    let capture = services.logbook.body_bytes();
    let answer = services.gateway.relay(&plan, &request, capture, sink).await;
    let status = answer.status;
    let body = whole(answer).await?;
    if status.is_success() {
        return Ok(body);
    }
    let message = format!(
        "The provider answered with status {status}: {}",
        told(&body)
    );
    Err(OwnCallError {
        message,
        may_pass: status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
    })
}

async fn whole(answer: Answer) -> Result<Bytes, OwnCallError> {
    let mut pieces = match answer.body {
        AnswerBody::Whole(bytes) => return Ok(bytes),
        AnswerBody::Stream(pieces) => pieces,
    };
    let mut all = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| passing(format!("In the middle, {error}.")))?;
        if all.len() + piece.len() > ANSWER_BYTES {
            let most = ANSWER_BYTES >> 20;
            return Err(lasting(format!("The answer is larger than {most} MiB.")));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// What a provider says of an error.
fn told(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = parsed["error"]["message"].as_str();
    let said = said.or_else(|| parsed["message"].as_str());
    let said: String = said
        .unwrap_or("it says no more")
        .chars()
        .take(TOLD_CHARS)
        .collect();
    let end = if said.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    said + end
}

pub(crate) fn passing(message: String) -> OwnCallError {
    OwnCallError {
        message,
        may_pass: true,
    }
}

fn lasting(message: String) -> OwnCallError {
    OwnCallError {
        message,
        may_pass: false,
    }
}
