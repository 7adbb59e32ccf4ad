//! What every answer gets, whatever made it: the headers of contract section 1.3, one line in the
//! log, the metrics; and a panic becomes a 500.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, header},
    middleware::Next,
    response::IntoResponse,
};
use futures::FutureExt as _;

use loomgate_domain::IdGen;

use crate::{
    admission::Permit,
    error::{ApiError, Cause},
    leftover,
    streams::CountedStream,
};

/// The most headers of a request.
const MOST_HEADERS: usize = 64;
/// The only version of the REST API that ever was.
const API_VERSION: &str = "2020-10-01";
/// The route of requests that no route matches.
const NO_ROUTE: &str = "none";

/// What becomes known of a request on its way; an extension of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestContext(Arc<OnceLock<Permit>>);

impl RequestContext {
    /// The caller is known, and may go on.
    pub(crate) fn admitted(&self, permit: Permit) {
        // A request has one caller; a second permit is of the same one, and is dropped.
        let _ = self.0.set(permit);
    }
}

/// The layer around all routes.
pub(crate) async fn layer(
    State(ids): State<Arc<dyn IdGen>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let context = RequestContext::default();
    let seen = Seen {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        request_id: request_id(&*ids),
    };
    request.extensions_mut().insert(context.clone());
    let (request, leftover) = leftover::lend(request);
    let mut response = if request.headers().len() > MOST_HEADERS {
        ApiError::head_too_large(format!(
            "Your request has too many headers: the limit is {MOST_HEADERS}."
        ))
        .into_response()
    } else {
        AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| {
                tracing::error!(
                    request_id = seen.request_id,
                    panic = panic_text(&*panic),
                    "a handler panicked"
                );
                ApiError::internal_logged().into_response()
            })
    };
    let elapsed = started.elapsed();
    if !response.headers().contains_key(header::CONNECTION) && !leftover.drain().await {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    set_headers(response.headers_mut(), &seen.request_id, elapsed);
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        tracing::error!(request_id = seen.request_id, cause, "a request failed");
    }
    seen.record(&response, context.0.get(), elapsed);
    if is_stream(response.headers()) {
        // The permit is held until the stream ends.
        return response.map(|body| Body::new(CountedStream::new(body, context)));
    }
    response
}

/// What the log and the metrics tell of a request.
struct Seen {
    method: Method,
    route: Option<MatchedPath>,
    request_id: String,
}

impl Seen {
    fn record(&self, response: &Response<Body>, caller: Option<&Permit>, elapsed: Duration) {
        let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        let status = response.status().as_u16();
        tracing::info!(
            method = %self.method,
            route,
            status,
            duration_ms = milliseconds(elapsed),
            request_id = self.request_id,
            api_key = caller.map(|caller| caller.key.as_str()),
            workspace = caller.map(|caller| caller.workspace.as_str()),
            "request",
        );
        let method = method_label(&self.method);
        let route = route.to_owned();
        metrics::counter!("loomgate_http_requests_total",
            "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
        metrics::histogram!("loomgate_http_request_duration_seconds",
            "method" => method, "route" => route)
        .record(elapsed.as_secs_f64());
    }
}

/// With three digits behind the point.
fn milliseconds(elapsed: Duration) -> f64 {
    let micros = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// Callers can invent methods; labels are not theirs to make.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

fn set_headers(headers: &mut HeaderMap, request_id: &str, elapsed: Duration) {
    let elapsed_ms = HeaderValue::from(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    headers.insert("openai-processing-ms", elapsed_ms);
    headers.insert("openai-version", HeaderValue::from_static(API_VERSION));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", request_id);
    }
}

/// `req_` and 32 hexadecimal digits.
fn request_id(ids: &dyn IdGen) -> String {
    let mut bytes = [0; 16];
    ids.fill(&mut bytes);
    format!("req_{:032x}", u128::from_be_bytes(bytes))
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, middleware, routing::get};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::ids::SystemIds;

    #[tokio::test]
    async fn a_panic_is_a_500_like_any_other() {
        async fn broken() -> &'static str {
            panic!("secret detail")
        }
        let ids: Arc<dyn IdGen> = Arc::new(SystemIds::new().unwrap());
        let router = Router::new()
            .route("/", get(broken))
            .layer(middleware::from_fn_with_state(ids, layer));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.headers().contains_key("x-request-id"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":null}}"#
        );
    }

    #[test]
    fn invented_methods_make_no_labels() {
        let invented = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(method_label(&invented), "other");
    }
}
