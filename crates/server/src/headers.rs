//! What every answer gets, whatever made it: the headers of contract section 1.3, one line in the
//! log, the metrics; and a panic becomes a 500.

mod metadata;
mod refused;
mod trace;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, header},
    middleware::Next,
    response::IntoResponse,
};
use futures::FutureExt as _;

use loomgate_domain::{ApiKeyId, IdGen, WorkspaceId, id::push_hex};
use loomgate_gateway::relay::{CacheStatus, Report};

pub(crate) use metadata::metadata;
pub(crate) use refused::refused_head;
pub(crate) use trace::Trace;

use crate::{
    admission::Permit,
    app::App,
    error::{ApiError, Cause},
    leftover,
    record::{self, OWN_PROVIDER},
    streams::{CountedStream, OnEnd},
};

/// The most headers of a request.
pub(crate) const MOST_HEADERS: usize = 64;
/// The most bytes of a request's head. The connection takes somewhat more, so that whoever sends
/// too much is told like everybody else.
pub(crate) const HEAD_BYTES: usize = 32 * 1024;
/// The only version of the REST API that ever was.
const API_VERSION: &str = "2020-10-01";
/// Headers of every answer.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-portkey-trace-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-portkey-provider");
const OPTION_INDEX: HeaderName = HeaderName::from_static("x-portkey-last-used-option-index");
const CACHE_STATUS: HeaderName = HeaderName::from_static("x-portkey-cache-status");
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-portkey-retry-attempt-count");
/// How many those are.
const OWN_HEADERS: usize = 9;

/// The route of requests that no route matches.
const NO_ROUTE: &str = "none";
/// The method of requests whose method is none of the usual ones.
const OTHER_METHOD: &str = "other";
/// The route of requests that went on to a provider.
const RELAY_ROUTE: &str = "relay";

/// What becomes known of a request on its way; an extension of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestContext(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    request_id: String,
    trace: Trace,
    asker: OnceLock<Asker>,
    permit: OnceLock<Permit>,
    relayed: OnceLock<Relayed>,
}

/// Who asks, as far as the log tells of it.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) key: ApiKeyId,
    pub(crate) workspace: WorkspaceId,
    /// Whether it is a call of the data plane, which leaves a record.
    pub(crate) is_data_plane: bool,
    pub(crate) metadata: Arc<BTreeMap<String, String>>,
}

/// What answers tell of a call that went on to a provider.
#[derive(Debug)]
struct Relayed {
    provider: Option<Arc<str>>,
    option_index: Arc<str>,
    retries: i32,
    cache: CacheStatus,
    is_exception: bool,
}

impl RequestContext {
    fn new(app: &App, request: &Request) -> Self {
        let request_id = request_id(&*app.ids);
        Self(Arc::new(Known {
            trace: Trace::of(request, &request_id),
            request_id,
            ..Known::default()
        }))
    }

    /// The caller is known.
    pub(crate) fn identified(&self, asker: Asker) {
        // A request has one caller.
        let _ = self.0.asker.set(asker);
    }

    /// The caller may go on.
    pub(crate) fn admitted(&self, permit: Permit) {
        // A request has one caller; a second permit is of the same one, and is dropped.
        let _ = self.0.permit.set(permit);
    }

    /// The call went on to a provider.
    pub(crate) fn relayed(&self, report: &Report) {
        let _ = self.0.relayed.set(Relayed {
            provider: report.provider.clone(),
            option_index: Arc::clone(&report.option_index),
            retries: report.retries,
            cache: report.cache,
            is_exception: report.is_exception,
        });
    }

    /// Its id, as `x-request-id` says it.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Who asks, once that is known.
    pub(crate) fn asker(&self) -> Option<&Asker> {
        self.0.asker.get()
    }

    /// Where it stands in its caller's trace.
    pub(crate) fn trace(&self) -> &Trace {
        &self.0.trace
    }
}

/// The layer around all routes.
pub(crate) async fn layer(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let started = Instant::now();
    let context = RequestContext::new(&app, &request);
    let seen = Seen {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        path: request.uri().clone(),
        context: context.clone(),
    };
    request.extensions_mut().insert(context.clone());
    let (request, leftover) = leftover::lend(request);
    let mut response = if head_bytes(&request) > HEAD_BYTES {
        ApiError::head_too_large().into_response()
    } else if request.headers().len() > MOST_HEADERS {
        ApiError::too_many_headers().into_response()
    } else {
        AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| {
                tracing::error!(
                    request_id = context.request_id(),
                    panic = panic_text(&*panic),
                    "a handler panicked"
                );
                let mut response = ApiError::internal_logged().into_response();
                set_exception(response.headers_mut());
                response
            })
    };
    // Whoever calls another process next finds there what this call counts for.
    app.gateway.meter().publish().await;
    let elapsed = started.elapsed();
    if !response.headers().contains_key(header::CONNECTION) && !leftover.drain().await {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    set_headers(response.headers_mut(), &context, elapsed);
    if response.extensions().get::<Cause>().is_some() {
        set_exception(response.headers_mut());
    }
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        tracing::error!(request_id = context.request_id(), cause, "a request failed");
    }
    let served = seen.record(&app, &response, elapsed);
    if is_stream(response.headers()) {
        // The permit is held until the stream ends, which is also when there is all to tell of it.
        let on_end = served.map(|served| -> OnEnd {
            Box::new(move |first| {
                let first = first.map(|first| first.duration_since(started));
                record::served(&app, served, (started.elapsed(), first));
            })
        });
        return response.map(|body| Body::new(CountedStream::new(body, context, on_end)));
    }
    if let Some(served) = served {
        record::served(&app, served, (elapsed, None));
    }
    response
}

/// About as many bytes as the head had on the wire.
fn head_bytes(request: &Request) -> usize {
    let target = request.uri().path_and_query();
    let headers = request.headers().iter();
    headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum::<usize>()
        + target.map_or(0, |target| target.as_str().len())
}

/// What the log and the metrics tell of a request.
struct Seen {
    method: Method,
    route: Option<MatchedPath>,
    path: Uri,
    context: RequestContext,
}

impl Seen {
    /// Tells the log and the metrics; gives what the logbook is to be told, if it is.
    fn record(&self, app: &App, response: &Response<Body>, elapsed: Duration) -> Option<Served> {
        let Known {
            request_id,
            asker,
            relayed,
            ..
        } = &*self.context.0;
        let route = match (relayed.get(), &self.route) {
            (Some(_), _) => RELAY_ROUTE,
            (None, Some(route)) => route.as_str(),
            (None, None) => NO_ROUTE,
        };
        let caller = asker.get();
        let status = response.status().as_u16();
        tracing::info!(
            method = self.method.as_str(),
            route,
            status,
            duration_ms = milliseconds(elapsed),
            request_id,
            api_key = caller.map(|caller| caller.key.as_str()),
            workspace = caller.map(|caller| caller.workspace.as_str()),
            "request",
        );
        let method = method_label(&self.method);
        app.metrics.request(method, route, status, elapsed);
        let is_served = |caller: &&Asker| caller.is_data_plane && relayed.get().is_none();
        caller.filter(is_served).map(|_| Served {
            context: self.context.clone(),
            method,
            path: self.path.clone(),
            status,
        })
    }
}

/// A request that was answered here, as far as the logbook is told of it.
pub(crate) struct Served {
    pub(crate) context: RequestContext,
    pub(crate) method: &'static str,
    pub(crate) path: Uri,
    pub(crate) status: u16,
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
        _ => OTHER_METHOD,
    }
}

/// A provider's own `x-request-id` and the like stay; what only this gateway can say is ours.
fn set_headers(headers: &mut HeaderMap, context: &RequestContext, elapsed: Duration) {
    let Known {
        request_id,
        trace,
        relayed,
        ..
    } = &*context.0;
    let relayed = relayed.get();
    headers.reserve(OWN_HEADERS);
    let elapsed_ms = HeaderValue::from(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    headers.entry(PROCESSING_MS).or_insert(elapsed_ms);
    let version = HeaderValue::from_static(API_VERSION);
    headers.entry(VERSION).or_insert(version);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.entry(REQUEST_ID).or_insert(request_id);
    }
    if let Ok(trace) = HeaderValue::from_str(&trace.id) {
        headers.insert(TRACE_ID, trace);
    }
    let provider = relayed.and_then(|relayed| relayed.provider.as_deref());
    let option_index = relayed.map_or("config", |relayed| &relayed.option_index);
    let cache = relayed.map_or(CacheStatus::Disabled, |relayed| relayed.cache);
    for (name, value) in [
        (PROVIDER, provider.unwrap_or(OWN_PROVIDER)),
        (OPTION_INDEX, option_index),
        (CACHE_STATUS, cache.as_str()),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    let retries = relayed.map_or(0, |relayed| relayed.retries);
    headers.insert(RETRY_COUNT, HeaderValue::from(retries));
    if relayed.is_some_and(|relayed| relayed.is_exception) {
        set_exception(headers);
    }
}

/// The gateway itself failed.
fn set_exception(headers: &mut HeaderMap) {
    let yes = HeaderValue::from_static("true");
    headers.insert("x-portkey-gateway-exception", yes);
}

/// Whether any header is meant for the gateway itself. Most requests have none, which spares
/// looking for each.
pub(crate) fn address_the_gateway(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("x-portkey-"))
}

/// `req_` and 32 hexadecimal digits.
fn request_id(ids: &dyn IdGen) -> String {
    let mut bytes = [0; 16];
    ids.fill(&mut bytes);
    let mut id = String::with_capacity("req_".len() + 2 * bytes.len());
    id.push_str("req_");
    push_hex(&mut id, u128::from_be_bytes(bytes), 32);
    id
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
    use super::*;

    #[test]
    fn invented_methods_make_no_labels() {
        let invented = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(method_label(&invented), "other");
    }
}
