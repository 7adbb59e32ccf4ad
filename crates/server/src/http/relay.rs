//! Calls that go on to a provider: everything under `/v1` that Loomgate does not serve itself, and
//! the assistants calls of virtual keys with `assistants = "upstream"`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts},
    response::IntoResponse as _,
};
use bytes::Bytes;
use futures::StreamExt as _;
use loomgate_domain::Scope;
use loomgate_gateway::{
    Endpoint,
    relay::{Answer, AnswerBody, Cacheable, RelayBody, RelayRequest, Upload},
};
use memchr::memmem;

use crate::{
    app::App,
    auth::{self, Caller},
    body,
    error::ApiError,
    headers::{RequestContext, address_the_gateway},
    http::{affinity, thread_lock},
    record,
    routing::{self, Way, Wishes},
};

/// Bodies other than JSON up to this size can be sent again; larger ones stream through.
const REPEATABLE_BYTES: u64 = 1024 * 1024;

/// What answers everything that has no route.
pub(super) async fn fallback(State(app): State<App>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    if !(path.starts_with("/v1/") && is_relayed(path)) {
        return super::unknown_url(&request).into_response();
    }
    let (mut parts, body) = request.into_parts();
    match auth::admit(&mut parts, &app, Scope::CompletionsWrite).await {
        Ok(caller) => relay(app, caller, None, Request::from_parts(parts, body)).await,
        Err(error) => super::access::refuse(error),
    }
}

/// Native resources have no more paths than their routes, and the admin API is nobody else's: its
/// bodies hold secrets, built here or not.
fn is_relayed(path: &str) -> bool {
    let resource = path.split('/').nth(2).unwrap_or_default();
    let is_admin = matches!(
        resource,
        "" | "virtual-keys"
            | "providers"
            | "api-keys"
            | "configs"
            | "logs"
            | "analytics"
            | "feedback"
    );
    !is_admin && !super::ADMIN_NOT_BUILT.contains(&resource)
}

/// The way of an assistants call of this caller, where it goes upstream.
pub(super) async fn upstream(
    app: &App,
    caller: &Caller,
    parts: &Parts,
) -> Result<Option<Way>, ApiError> {
    let wishes = Wishes::of(&parts.headers, &caller.presented)?;
    if routing::is_unsaid(app, &caller.key, &wishes) {
        // Reading one's threads needs no model.
        return Ok(None);
    }
    let way = routing::find(app, &caller.workspace, &caller.key, &wishes).await?;
    match way.plan.assistants_upstream() {
        Ok(is_upstream) => Ok(is_upstream.then_some(way)),
        Err(disagreement) => Err(ApiError::invalid(disagreement.to_string())
            .code("mixed_assistants")
            .of_gateway()),
    }
}

/// Relays a request: on a way that is known, or on the one that is to be found.
pub(super) async fn relay(
    app: App,
    caller: Caller,
    way: Option<Way>,
    request: Request,
) -> Response<Body> {
    // Held by itself: what waits for it is moved from layer to layer.
    match Box::pin(try_relay(&app, caller, way, request)).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn try_relay(
    app: &App,
    caller: Caller,
    way: Option<Way>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let (parts, body) = request.into_parts();
    check(&parts, &body)?;
    let context = parts.extensions.get::<RequestContext>().cloned();
    let context = context.unwrap_or_default();
    let endpoint = Endpoint::of(&parts.method, parts.uri.path());
    let body = read(app, &parts, body).await?;
    let (way, model) = match way {
        // Known are the ways of assistants calls, whose bodies do not choose one.
        Some(way) => (way, None),
        None => find(app, &caller, &parts, endpoint, &body).await?,
    };
    let Way { plan, config, .. } = way;
    let relayed = RelayRequest {
        caller: loomgate_gateway::relay::Caller {
            workspace: caller.workspace.clone(),
            key: caller.key.limited.clone(),
            metadata: Arc::clone(&caller.metadata),
        },
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        cache: cacheable(&parts.headers),
        method: parts.method,
        headers: parts.headers,
        body,
        model,
        presented_key: Arc::clone(&caller.presented),
    };
    let plan = affinity::narrowed(app, plan, &relayed).await?;
    let creates = Endpoint::creates(&relayed.method, &relayed.path);
    let capture = record::body_bytes(app, &relayed);
    let sink = record::relayed(app, &caller, &context, config, &relayed);
    let mut answer = app.gateway.relay(&plan, &relayed, capture, sink).await;
    if let Some(made) = creates.then(|| affinity::made(&answer)).flatten() {
        affinity::remember(app, &caller.workspace, made).await;
    }
    if let (true, Some(identity)) = (creates, answer.report.identity.clone()) {
        let workspace = caller.workspace.clone();
        answer.body = affinity::remembering(app.clone(), workspace, identity, answer.body);
    }
    Ok(respond(answer, &context))
}

/// The way of a call, and the model that goes out where the caller wrote `"@slug/name"`.
///
/// Error: 404 for an assistants call that no native route has, of a caller who is served natively.
async fn find(
    app: &App,
    caller: &Caller,
    parts: &Parts,
    endpoint: Endpoint,
    body: &RelayBody,
) -> Result<(Way, Option<String>), ApiError> {
    let mut wishes = Wishes::of(&parts.headers, &caller.presented)?;
    let model = named_in_model(body, endpoint, &mut wishes);
    let way = routing::find(app, &caller.workspace, &caller.key, &wishes).await?;
    if endpoint == Endpoint::Assistants && !way.plan.assistants_upstream().unwrap_or(false) {
        return Err(super::unknown_path(&parts.method, parts.uri.path()));
    }
    Ok((way, model))
}

/// Methods that go on.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What no provider gets to see. Errors: 405 for `CONNECT`, and for `TRACE`, in whose answer a server
/// repeats the headers that it got, a stored credential among them; 400 for a path that may lead out
/// of the account's base address, which its credential is not for, and for a body that is neither
/// JSON, form nor audio (contract portkey.md section 1).
fn check(parts: &Parts, body: &Body) -> Result<(), ApiError> {
    if matches!(parts.method, Method::TRACE | Method::CONNECT) {
        return Err(ApiError::never_allowed(&parts.method, METHODS).of_gateway());
    }
    if leads_up(parts.uri.path()) {
        let message = "Invalid URL: a path must not contain '.' or '..' as a segment.";
        return Err(ApiError::invalid(message).of_gateway());
    }
    if is_in_disguise(parts) {
        let message = "Invalid URL: write the path plainly, without encoded letters.";
        return Err(ApiError::invalid(message).of_gateway());
    }
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let takes_json = Endpoint::of(&parts.method, parts.uri.path()).takes_json();
    let is_known = kind.is_none_or(|kind| {
        let begins = |known: &str| begins_with(kind.as_bytes(), known);
        is_json(kind) || !takes_json && ["multipart/form-data", "audio/"].into_iter().any(begins)
    });
    if !is_known && !http_body::Body::is_end_stream(body) {
        return Err(ApiError::invalid("Invalid content type passed").of_gateway());
    }
    thread_lock::refuse_upstream(&parts.headers)
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes();
    let end = kind.len().saturating_sub("+json".len());
    begins_with(kind, "application/json") || kind[end..].eq_ignore_ascii_case(b"+json")
}

fn begins_with(kind: &[u8], beginning: &str) -> bool {
    let start = kind.get(..beginning.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
}

/// Whether a server could read a segment as `.` or `..`.
fn leads_up(path: &str) -> bool {
    if !path.contains("/.") && !path.contains(['%', '\\']) {
        return false;
    }
    let path = path.to_ascii_lowercase();
    let path = path.replace("%2e", ".").replace("%5c", "\\");
    let path = path.replace("%2f", "/");
    path.split(['/', '\\'])
        .any(|segment| matches!(segment, "." | ".."))
}

/// Whether a provider may read a path as another than it is taken for here, where limits, guardrails
/// and the admin API go by it: letters that are encoded without need, or upper case, encoded or
/// doubled slashes, and parameters of segments in the name of what is called.
fn is_in_disguise(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let is_odd = |byte: u8| byte.is_ascii_uppercase() || b"%;\\".contains(&byte);
    if !path.bytes().any(is_odd) && !path.contains("//") {
        return false;
    }
    let plain = plain(path);
    decoded(path, |byte| {
        byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
    }) != path
        || Endpoint::of(&parts.method, &plain) != Endpoint::of(&parts.method, path)
        || is_relayed(&plain) != is_relayed(path)
}

/// A path as the most forgiving server would read it.
fn plain(path: &str) -> String {
    let path = decoded(&decoded(path, |_| true), |_| true);
    let path = path.to_ascii_lowercase().replace('\\', "/");
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let names = segments.map(|segment| segment.split(';').next().unwrap_or_default());
    names.fold(String::new(), |path, name| path + "/" + name)
}

/// A text whose percent-encoded ASCII bytes of some kind are decoded.
fn decoded(text: &str, wanted: impl Fn(u8) -> bool) -> String {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|hex| {
            let is_hex = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(hex, 16).ok()).flatten()
        });
        if let Some(byte) = byte.filter(|byte| byte.is_ascii() && wanted(*byte)) {
            out.push(char::from(byte));
            out.push_str(&piece[2..]);
        } else {
            out.push('%');
            out.push_str(piece);
        }
    }
    out
}

/// `"model": "@slug/name"` names the virtual key in the model. Gives the name that goes out.
fn named_in_model(body: &RelayBody, endpoint: Endpoint, wishes: &mut Wishes) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        model: Option<std::borrow::Cow<'a, str>>,
    }
    let RelayBody::Bytes(bytes) = body else {
        return None;
    };
    // Cheap for everybody else: the form is not in the body at all.
    if !endpoint.has_parameters() || memmem::find(bytes, b"\"@").is_none() {
        return None;
    }
    let peek: Peek<'_> = serde_json::from_slice(bytes).ok()?;
    let model = peek.model?;
    let (slug, name) = routing::slug_in_model(&model)?;
    wishes.virtual_key = Some(slug.to_owned());
    Some(name.to_owned())
}

fn cacheable(headers: &HeaderMap) -> Cacheable {
    if !address_the_gateway(headers) {
        return Cacheable::default();
    }
    let value = |name: &str| Some(headers.get(name)?.as_bytes().trim_ascii());
    let is = |name, word: &str| {
        value(name).is_some_and(|value| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    // Letter by letter, so that no two namespaces become one, in whatever encoding they come.
    let named = value("x-portkey-cache-namespace").filter(|name| !name.is_empty());
    Cacheable {
        force_refresh: is("x-portkey-cache-force-refresh", "true"),
        namespace: named.map(|name| name.iter().copied().map(char::from).collect()),
        disabled: is("x-portkey-debug", "false"),
    }
}

/// JSON and small bodies are read whole, so that they can be sent again; others stream through.
async fn read(app: &App, parts: &Parts, body: Body) -> Result<RelayBody, ApiError> {
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let is_json = kind.is_none_or(is_json);
    if http_body::Body::is_end_stream(&body) {
        return Ok(RelayBody::Bytes(Bytes::new()));
    }
    if is_json || length.is_some_and(|length| length <= REPEATABLE_BYTES) {
        let bytes = body::collect_limited(body, app, length).await?;
        return Ok(RelayBody::Bytes(bytes));
    }
    let most = app.config.limits.upload_bytes;
    if length.is_some_and(|length| length > most as u64) {
        return Err(ApiError::body_too_large(most as u64));
    }
    Ok(RelayBody::Stream(Upload::new(body, most)))
}

fn respond(answer: Answer, context: &RequestContext) -> Response<Body> {
    let Answer {
        status,
        headers,
        body,
        report,
    } = answer;
    context.relayed(&report);
    let body = match body {
        AnswerBody::Whole(bytes) => Body::from(bytes),
        AnswerBody::Stream(stream) => {
            // The caller's place is held until the end.
            let context = context.clone();
            Body::from_stream(stream.inspect(move |_| {
                let _held = &context;
            }))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
