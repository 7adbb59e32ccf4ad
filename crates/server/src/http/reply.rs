//! Answers: an object as JSON, a page of a list, a run's events.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use loomgate_engine::Subscription;
use serde::Serialize;

use crate::error::ApiError;

/// A silent stream says that it is alive this often (a comment line, which clients skip).
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a helper that polls is asked to wait between two looks at something unfinished.
const POLL_AFTER_MS: &str = "250";

/// An object as JSON, status 200.
pub fn json(object: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(object).map_err(|error| ApiError::internal(&error))?;
    Ok(rendered(body.into()))
}

/// An object that is JSON already, status 200.
pub fn rendered(body: Bytes) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}

/// An object that helpers of the SDKs poll: while it is unfinished, they are told when to look again.
pub fn to_poll(mut response: Response, headers: &HeaderMap, is_unfinished: bool) -> Response {
    let is_polled = headers
        .get("x-stainless-poll-helper")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    if is_polled && is_unfinished {
        let wait = HeaderValue::from_static(POLL_AFTER_MS);
        response.headers_mut().insert("openai-poll-after-ms", wait);
    }
    response
}

/// The process goes away while a run is streamed: the connection breaks off, and the client sees
/// that this was not the end.
#[derive(Debug, thiserror::Error)]
#[error("the server is stopping; the run goes on")]
struct HungUp;

/// A run's events, as they come. The client may go away at any time; the run goes on.
pub fn events(subscription: Subscription) -> Response {
    let frames = futures::stream::unfold(Some(subscription), |subscription| async {
        let mut subscription = subscription?;
        let frame = match tokio::time::timeout(HEARTBEAT, subscription.next()).await {
            Ok(Some(frame)) => frame,
            Ok(None) if subscription.is_done() => return None,
            // A clean end would look like the end of the answer.
            Ok(None) => return Some((Err(HungUp), None)),
            Err(_silence) => Bytes::from_static(b": keep-alive\n\n"),
        };
        Some((Ok(frame), Some(subscription)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // Proxies that buffer would hold the words back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}
