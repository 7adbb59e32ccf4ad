//! JSON bodies: read with a limit on size and time, then checked by `loomgate-wire`.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use loomgate_gateway::Gathered;
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
        return Err(ApiError::body_too_large(limit as u64));
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
        return Err(ApiError::body_too_large(limit as u64));
    }
    collect(body, limit, app.config.http.body_timeout).await
}

async fn collect(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, ApiError> {
    let mut gathered = Gathered::of(&body);
    let mut body = Paced::new(body, limit as u64, timeout);
    while let Some(data) = body.next().await? {
        gathered.push(data);
    }
    Ok(gathered.into())
}

/// A body as it comes, with a limit on its size and on how slow it may be.
pub(crate) struct Paced {
    body: Body,
    limit: u64,
    length: u64,
    started: Instant,
    timeout: Duration,
}

impl Paced {
    pub(crate) fn new(body: Body, limit: u64, timeout: Duration) -> Self {
        Self {
            body,
            limit,
            length: 0,
            started: Instant::now(),
            timeout,
        }
    }

    /// The next piece. Errors: 400 where it broke off, 408, 413.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let earned = Duration::from_secs(self.length / SLOWEST_BYTES_PER_SECOND);
            let end = self.started + self.timeout + earned;
            let frame = match timeout_at(end, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(ApiError::invalid("The body of your request broke off."));
                }
                Ok(None) => return Ok(None),
                Err(_) => return Err(ApiError::body_timeout()),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.length += data.len() as u64;
            if self.length > self.limit {
                return Err(ApiError::body_too_large(self.limit));
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
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
