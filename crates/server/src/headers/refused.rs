//! The answer to a head that was not read: there is no request, and no router to send it.

use std::{io::Write as _, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse as _,
};
use bytes::Bytes;
use futures::FutureExt as _;
use http_body_util::BodyExt as _;

use super::{HEAD_BYTES, NO_ROUTE, OTHER_METHOD, RequestContext, set_headers};
use crate::{app::App, error::ApiError};

/// The bytes of an answer that ends its connection: that of any other error, with the headers of
/// every answer. `status` is what hyper says; so many bytes of the head were read.
pub(crate) fn refused_head(app: &App, status: StatusCode, read: usize) -> Bytes {
    let error = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if read <= HEAD_BYTES => {
            ApiError::too_many_headers()
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            ApiError::head_too_large()
        }
        _ => ApiError::invalid("Your request could not be read: its head is not valid HTTP."),
    };
    let request = Request::new(Body::empty());
    let context = RequestContext::new(app, &request);
    let (mut parts, body) = error.into_response().into_parts();
    // The body is there already.
    let body = body.collect().now_or_never().and_then(Result::ok);
    let body = body.unwrap_or_default().to_bytes();
    set_headers(&mut parts.headers, &context, Duration::ZERO);
    let close = HeaderValue::from_static("close");
    parts.headers.insert(header::CONNECTION, close);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, body.len().into());
    let status = parts.status.as_u16();
    tracing::info!(
        status,
        request_id = context.request_id(),
        "a head was not read"
    );
    app.metrics
        .request(OTHER_METHOD, NO_ROUTE, status, Duration::ZERO);
    let mut out = Vec::with_capacity(1024);
    // Writing into memory does not fail.
    let _ = write!(out, "HTTP/1.1 {}\r\n", parts.status);
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out.into()
}
