//! `Idempotency-Key`: a creation that is asked for again is answered again, and takes place once
//! (`docs/idempotency.md`).
//!
//! The transaction that creates keeps the receipt, so there is no moment at which one of them stands
//! without the other; of two requests at a time, the second one's transaction waits for the first.

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, request::Parts},
    middleware::Next,
    response::IntoResponse as _,
};
use bytes::Bytes;
use loomgate_domain::{KeyedRequest, Receipt, WorkspaceId, receipt::Answer};
use loomgate_store::{OwnReceipt, Receipts};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    app::App,
    auth::Caller,
    body,
    error::{AdminError, ApiError, Repeated},
    headers::RequestContext,
    http::reply,
};

/// Names a creation.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The id of the request that it was given to.
const ORIGINAL: HeaderName = HeaderName::from_static("original-request");
/// The most characters of a key.
const LONGEST: usize = 255;

/// What a request creates: how it is told from others, and where its receipt is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// An object of the Assistants API, the workspace's.
    Object,
    /// A key or a config, by the admin API. Its answer may hold a secret, and is for the API key that
    /// asked alone.
    Administered,
    /// The same of what is kept with the logs.
    Logged,
}

impl Created {
    fn receipts(self, app: &App) -> Receipts<'_> {
        match self {
            Self::Object | Self::Administered => app.store.receipts(),
            Self::Logged => app.store.log_receipts(),
        }
    }

    /// A digest of what is asked for, and by whom where it is for nobody else.
    fn fingerprint(self, caller: &Caller, uri: &Uri, body: &Bytes) -> String {
        let mut digest = blake3::Hasher::new();
        if self != Self::Object {
            digest.update(caller.key.id.as_str().as_bytes());
        }
        let target = uri
            .path_and_query()
            .map_or(uri.path(), |target| target.as_str());
        // It begins with a slash, which no id has in it, and has no line end.
        digest.update(target.as_bytes()).update(b"\n").update(body);
        digest.finalize().to_hex().to_string()
    }

    fn refuse(self, error: ApiError) -> Response<Body> {
        match self {
            Self::Object => error.into_response(),
            Self::Administered | Self::Logged => AdminError::from(error).into_response(),
        }
    }

    /// The key was used for something else.
    fn reused(self) -> ApiError {
        let other = match self {
            Self::Object => "",
            Self::Administered | Self::Logged => ", or with another API key",
        };
        ApiError::invalid(format!(
            "This 'Idempotency-Key' was used within the last 24 hours for a request with another \
             path or body{other}. Repeat that request as it was, or use another key."
        ))
        .param("Idempotency-Key")
        .code("idempotency_key_reused")
    }
}

/// Whether a creation came with a key.
#[derive(Debug, Clone, Default)]
pub(super) struct Idempotency(Option<KeyedRequest>);

impl Idempotency {
    /// The answer to a creation, and what is to be kept with it.
    pub(super) fn reply(
        self,
        object: &impl Serialize,
    ) -> Result<(Response<Body>, Option<Receipt>), ApiError> {
        let Some(request) = self.0 else {
            return Ok((reply::json(object)?, None));
        };
        let body = serde_json::to_string(object).map_err(|error| ApiError::internal(&error))?;
        let receipt = request.answered(Answer::Body(body.clone()));
        Ok((reply::rendered(body.into()), Some(receipt)))
    }

    /// The same of a creation by the admin API, which may be another workspace's than the caller's.
    pub(super) fn reply_to(
        self,
        caller: &Caller,
        object: &impl Serialize,
    ) -> Result<(Response<Body>, Option<OwnReceipt>), ApiError> {
        let (response, receipt) = self.reply(object)?;
        let workspace = caller.workspace.clone();
        Ok((response, receipt.map(|receipt| (workspace, receipt))))
    }

    /// The same where a secret stands in the answer: what is kept is sealed.
    pub(super) fn reply_sealed(
        self,
        app: &App,
        caller: &Caller,
        object: &impl Serialize,
    ) -> Result<(Response<Body>, Option<OwnReceipt>), ApiError> {
        let (response, mut receipt) = self.reply_to(caller, object)?;
        if let Some((workspace, receipt)) = &mut receipt
            && let Answer::Body(body) = &receipt.answer
        {
            let context = sealed_for(workspace, &receipt.request.key);
            let mut random = |bytes: &mut [u8]| app.ids.fill(bytes);
            receipt.answer = Answer::Sealed(app.vault.seal(&context, body, &mut random));
        }
        Ok((response, receipt))
    }

    /// The answer of whoever was faster with the same key, where that is what is wrong.
    pub(super) async fn or_replay(
        self,
        app: &App,
        workspace: &WorkspaceId,
        error: loomgate_store::Error,
    ) -> Result<Response<Body>, ApiError> {
        if let (loomgate_store::Error::Repeated, Some(request)) = (&error, &self.0)
            && let Some(response) = replay(app, workspace, Created::Object, request).await?
        {
            return Ok(response);
        }
        Err(error.into())
    }

    /// For whoever makes the receipt itself.
    pub(super) fn into_request(self) -> Option<KeyedRequest> {
        self.0
    }
}

impl FromRequestParts<App> for Idempotency {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// The same of a creation whose body is a form: what it says is known once it is read, and two forms
/// that say the same need not have one byte in common.
#[derive(Debug, Clone, Default)]
pub(super) struct FormIdempotency(Option<KeyedRequest>);

impl FormIdempotency {
    /// What was asked for is known now: the answer that is kept, or what the creation needs.
    pub(super) async fn settle(
        self,
        app: &App,
        workspace: &WorkspaceId,
        fingerprint: impl FnOnce() -> String,
    ) -> Result<Settled, ApiError> {
        let Some(mut request) = self.0 else {
            return Ok(Settled::Once(Idempotency(None)));
        };
        request.fingerprint = fingerprint();
        Ok(
            match replay(app, workspace, Created::Object, &request).await? {
                Some(response) => Settled::Before(response),
                None => Settled::Once(Idempotency(Some(request))),
            },
        )
    }
}

impl FromRequestParts<App> for FormIdempotency {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(KEY) {
            return Ok(Self(None));
        }
        let key = key(&parts.headers)?;
        let context = parts.extensions.get::<RequestContext>();
        let request_id = context.map(|context| context.request_id().to_owned());
        Ok(Self(Some(KeyedRequest {
            key,
            fingerprint: String::new(),
            request_id: request_id.unwrap_or_default(),
            at: app.clock.now(),
        })))
    }
}

/// Whether a creation is to take place.
pub(super) enum Settled {
    /// It took place; this is its answer.
    Before(Response<Body>),
    /// It is to take place.
    Once(Idempotency),
}

/// Answers a creation that came with a key: from its receipt, or else by its handler.
pub(super) async fn answer(
    app: &App,
    caller: Caller,
    created: Created,
    request: Request,
    next: Next,
) -> Response<Body> {
    let workspace = caller.workspace.clone();
    let (mut request, keyed) = match keyed(app, &caller, created, request).await {
        Ok(keyed) => keyed,
        Err(error) => return created.refuse(error),
    };
    match replay(app, &workspace, created, &keyed).await {
        Ok(None) => {}
        Ok(Some(response)) => return response,
        Err(error) => return created.refuse(error),
    }
    request.extensions_mut().insert(caller);
    let once = Idempotency(Some(keyed.clone()));
    request.extensions_mut().insert(once);
    let response = next.run(request).await;
    if response.extensions().get::<Repeated>().is_none() {
        return response;
    }
    match replay(app, &workspace, created, &keyed).await {
        // It has just expired.
        Ok(None) => response,
        Ok(Some(response)) => response,
        Err(error) => created.refuse(error),
    }
}

/// Reads the key and the body, which the handler reads again.
async fn keyed(
    app: &App,
    caller: &Caller,
    created: Created,
    request: Request,
) -> Result<(Request, KeyedRequest), ApiError> {
    let key = key(request.headers())?;
    let context = request.extensions().get::<RequestContext>();
    let request_id = context.map(|context| context.request_id().to_owned());
    let (parts, body) = request.into_parts();
    let body = body::read(Request::from_parts(parts.clone(), body), app).await?;
    let keyed = KeyedRequest {
        key,
        fingerprint: created.fingerprint(caller, &parts.uri, &body),
        request_id: request_id.unwrap_or_default(),
        at: app.clock.now(),
    };
    Ok((Request::from_parts(parts, Body::from(body)), keyed))
}

fn key(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut values = headers.get_all(KEY).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let fits = |key: &&str| {
        (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (value.filter(fits), values.next()) {
        (Some(key), None) => Ok(key.to_owned()),
        _ => Err(ApiError::invalid(format!(
            "Invalid 'Idempotency-Key' header: expected one key of 1 to {LONGEST} visible ASCII \
             characters, without spaces."
        ))
        .param("Idempotency-Key")
        .code("invalid_value")),
    }
}

/// The answer that is kept under the key, if there is one.
async fn replay(
    app: &App,
    workspace: &WorkspaceId,
    created: Created,
    keyed: &KeyedRequest,
) -> Result<Option<Response<Body>>, ApiError> {
    let receipts = created.receipts(app);
    let Some(kept) = receipts.get(workspace, &keyed.key, keyed.at).await? else {
        return Ok(None);
    };
    if kept.request.fingerprint != keyed.fingerprint {
        return Err(created.reused());
    }
    let mut response = match kept.answer {
        Answer::Body(body) => reply::rendered(body.into()),
        Answer::Sealed(sealed) => {
            let body = open(app, workspace, keyed, &sealed)?;
            reply::rendered(body.into())
        }
        Answer::Stream { thread_id, run_id } => {
            reply::events(app.engine.replay(workspace, &thread_id, &run_id).await?)
        }
    };
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if let Ok(original) = HeaderValue::try_from(kept.request.request_id) {
        headers.insert(ORIGINAL, original);
    }
    Ok(Some(response))
}

/// What the secret answer to a request is sealed for: it opens nowhere else.
pub(crate) fn sealed_for(workspace: &WorkspaceId, key: &str) -> String {
    format!("receipt:{workspace}/{key}")
}

/// An answer with a secret in it.
fn open(
    app: &App,
    workspace: &WorkspaceId,
    keyed: &KeyedRequest,
    sealed: &str,
) -> Result<String, ApiError> {
    let opened = app.vault.open(&sealed_for(workspace, &keyed.key), sealed);
    let body = opened.map_err(|error| {
        tracing::warn!(%error, "a stored answer can not be opened");
        ApiError::conflict(
            "This request took place before; its answer, which holds a secret, can be opened no \
             more, because the server's master key was lost since. Find the key in the list, and \
             rotate it or delete it.",
        )
        .param("Idempotency-Key")
        .code("answer_sealed")
    })?;
    Ok(body.expose_secret().to_owned())
}
