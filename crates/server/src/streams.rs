//! Open streams, counted for as long as their body lives.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use crate::headers::RequestContext;

const OPEN_STREAMS: &str = "loomgate_open_streams";

/// The body of a stream.
pub(crate) struct CountedStream {
    body: Body,
    _context: RequestContext,
}

impl CountedStream {
    pub(crate) fn new(body: Body, context: RequestContext) -> Self {
        metrics::gauge!(OPEN_STREAMS).increment(1.0);
        Self {
            body,
            _context: context,
        }
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        metrics::gauge!(OPEN_STREAMS).decrement(1.0);
    }
}

impl HttpBody for CountedStream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body.frame()).poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
