//! Open streams, counted for as long as their body lives.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use crate::headers::RequestContext;

const OPEN_STREAMS: &str = "loomgate_open_streams";

/// Is told, once the stream has ended, when its first bytes went out.
pub(crate) type OnEnd = Box<dyn FnOnce(Option<Instant>) + Send>;

/// The body of a stream.
pub(crate) struct CountedStream {
    body: Body,
    first: Option<Instant>,
    on_end: Option<OnEnd>,
    _context: RequestContext,
}

impl CountedStream {
    pub(crate) fn new(body: Body, context: RequestContext, on_end: Option<OnEnd>) -> Self {
        metrics::gauge!(OPEN_STREAMS).increment(1.0);
        Self {
            body,
            first: None,
            on_end,
            _context: context,
        }
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        metrics::gauge!(OPEN_STREAMS).decrement(1.0);
        if let Some(on_end) = self.on_end.take() {
            on_end(self.first);
        }
    }
}

impl HttpBody for CountedStream {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body.frame()).poll(cx);
        if self.first.is_none() && matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.first = Some(Instant::now());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
