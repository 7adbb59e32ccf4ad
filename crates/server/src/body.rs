//! JSON bodies: read with a limit on size and time, then checked by `loomgate-wire`.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use loomgate_wire::request;
use tokio::time::{Instant, timeout_at};

use crate::{app::App, error::ApiError};

/// Each second that a body takes beyond `http.body_timeout_s` has to bring this many bytes.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;

/// A body of a request that was checked as a whole. An empty body is what the request says that
/// it is (`POST /threads` takes one).
///
/// Errors of the extractor: 400 (contract section 2.4), 408, 413, 415.
#[derive(Debug, Clone)]
pub struct ApiJson<T>(pub T);

impl<T: request::Request> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = read(request, app).await?;
        Ok(Self(request::parse(&bytes, &app.config.limits)?))
    }
}

/// The whole body, with its content type checked.
pub async fn read(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.body_bytes;
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::body_too_large(limit));
    }
    let bytes = collect(body, limit, app.config.http.body_timeout).await?;
    if !bytes.is_empty() {
        require_json(&parts.headers)?;
    }
    Ok(bytes)
}

/// The whole body of a call that goes on to a provider, within the limit of JSON bodies.
pub(crate) async fn collect_limited(
    body: Body,
    app: &App,
    announced: Option<u64>,
) -> Result<Bytes, ApiError> {
    let limit = app.config.limits.body_bytes;
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::body_too_large(limit));
    }
    collect(body, limit, app.config.http.body_timeout).await
}

async fn collect(mut body: Body, limit: usize, timeout: Duration) -> Result<Bytes, ApiError> {
    let started = Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0;
    loop {
        let earned = Duration::from_secs(length as u64 / SLOWEST_BYTES_PER_SECOND);
        let frame = match timeout_at(started + timeout + earned, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(ApiError::invalid("The body of your request broke off."));
            }
            Ok(None) => break,
            Err(_) => return Err(ApiError::body_timeout()),
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > limit {
            return Err(ApiError::body_too_large(limit));
        }
        // Most bodies are one piece, which then needs no copy.
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Absent is fine: some clients send none with their JSON.
fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        Ok(())
    } else {
        Err(ApiError::unsupported_content_type(&value))
    }
}
