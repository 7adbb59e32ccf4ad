//! Where a request stands in its caller's trace: Portkey's headers, or W3C's `traceparent`.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, header::AsHeaderName},
};
use loomgate_domain::log::Span;

use super::address_the_gateway;

/// W3C's.
const PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest id or name that is taken.
const MOST: usize = 256;

/// A request's place in a trace.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Echoed as `x-portkey-trace-id`; made when the caller has none.
    pub(crate) id: String,
    pub(crate) span: Span,
}

impl Trace {
    /// `x-portkey-trace-id` goes before `traceparent`; without either the request's own number is
    /// the trace's.
    pub(super) fn of(request: &Request, request_id: &str) -> Self {
        let headers = request.headers();
        let parent = text(headers, PARENT).and_then(|value| parse(&value));
        let (trace, parent_span) = match parent {
            Some((trace, span)) => (Some(trace), Some(span)),
            None => (None, None),
        };
        let is_addressed = address_the_gateway(headers);
        let own = |name| is_addressed.then(|| text(headers, name)).flatten();
        let name = own("x-portkey-span-name").or_else(|| {
            // As hosted Portkey names the span of a W3C trace.
            parent_span
                .as_ref()
                .map(|_| format!("{} {}", request.method(), request.uri().path()))
        });
        let made = || request_id.trim_start_matches("req_").to_owned();
        Self {
            id: own("x-portkey-trace-id").or(trace).unwrap_or_else(made),
            span: Span {
                id: own("x-portkey-span-id"),
                parent_id: own("x-portkey-parent-span-id").or(parent_span),
                name,
            },
        }
    }
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.chars().take(MOST).collect())
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; ids of zeros are none.
fn parse(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            && text.bytes().any(|byte| byte != b'0')
    };
    (version.len() == 2 && version != "ff" && is_hex(trace, 32) && is_hex(span, 16))
        .then(|| (trace.to_owned(), span.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn of(headers: &[(&str, &str)]) -> Trace {
        let mut request = Request::post("/v1/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Trace::of(&request.body(Body::empty()).unwrap(), "req_0123")
    }

    #[test]
    fn portkeys_headers_go_before_the_w3c_ones() {
        let parent = (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        let trace = of(&[parent]);
        assert_eq!(trace.id, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.span.parent_id.as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(trace.span.name.as_deref(), Some("POST /v1/x"));
        let trace = of(&[
            parent,
            ("x-portkey-trace-id", "mine"),
            ("x-portkey-parent-span-id", "p"),
        ]);
        assert_eq!(trace.id, "mine");
        assert_eq!(trace.span.parent_id.as_deref(), Some("p"));
    }

    #[test]
    fn a_trace_is_made_when_none_came() {
        assert_eq!(of(&[]).id, "0123");
        for broken in [
            "",
            "00-xyz-1-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(of(&[("traceparent", broken)]).id, "0123", "{broken}");
        }
    }
}
