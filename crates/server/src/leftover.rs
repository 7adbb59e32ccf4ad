//! Request bodies that nobody read to their end.
//!
//! A connection can only be used again once the body of its last request is through. Handlers
//! that need no body, and errors that are told before it is read, leave it behind; clients that
//! pool connections would then lose one without warning. So what is left of a small body is read
//! and thrown away, and a connection with more than that is announced to be closed.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

/// The most bytes that are read to keep a connection.
const MOST_BYTES: usize = 64 * 1024;
/// How long that may take.
const PATIENCE: Duration = Duration::from_millis(250);

/// What comes back of a request's body.
#[derive(Debug, Default)]
pub(crate) struct Leftover(Arc<Mutex<Option<Body>>>);

/// Lends the body to whoever answers the request.
pub(crate) fn lend(request: Request) -> (Request, Leftover) {
    let leftover = Leftover::default();
    if request.body().is_end_stream() {
        return (request, leftover);
    }
    let slot = Arc::clone(&leftover.0);
    let lent = request.map(|body| {
        Body::new(Lent {
            body: Some(body),
            slot,
        })
    });
    (lent, leftover)
}

impl Leftover {
    /// Reads what is left. Whether the connection can be used again.
    pub(crate) async fn drain(self) -> bool {
        let Some(mut body) = self.0.lock().take() else {
            return true;
        };
        let until = Instant::now() + PATIENCE;
        let mut bytes = 0;
        while bytes <= MOST_BYTES {
            match timeout_at(until, body.frame()).await {
                Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Ok(None) => return true,
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
        false
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    slot: Arc<Mutex<Option<Body>>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(HttpBody::size_hint)
            .unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.slot.lock() = Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> Request {
        Request::new(Body::from_stream(futures::stream::iter(
            (0..bytes.div_ceil(1024)).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1024]))),
        )))
    }

    #[tokio::test]
    async fn a_small_body_is_read_to_its_end() {
        let (lent, leftover) = lend(request(4096));
        drop(lent);
        assert!(leftover.drain().await);
    }

    #[tokio::test]
    async fn a_body_that_was_read_leaves_nothing() {
        let (lent, leftover) = lend(request(4096));
        assert_eq!(
            lent.into_body().collect().await.unwrap().to_bytes().len(),
            4096
        );
        assert!(leftover.0.lock().is_none());
        assert!(leftover.drain().await);
    }

    #[tokio::test]
    async fn a_large_body_costs_the_connection() {
        let (lent, leftover) = lend(request(MOST_BYTES * 2));
        drop(lent);
        assert!(!leftover.drain().await);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_costs_the_connection() {
        let never = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let (lent, leftover) = lend(Request::new(Body::from_stream(never)));
        drop(lent);
        assert!(!leftover.drain().await);
    }
}
