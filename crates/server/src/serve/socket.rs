//! The socket under a connection, and what it says for hyper.
//!
//! A head that hyper can not read (too large, too many headers, no HTTP) never reaches the router:
//! hyper writes a bare status and closes. Here that status is taken out, and the answer that every
//! other mistake gets goes in its place. What the client still sends is then read for a moment: a
//! socket that is closed over unread bytes takes the answer away from the client.
//!
//! Only HTTP/1: over HTTP/2, heads above the limit of `connections.rs` get a bare 431.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::{app::App, headers};

/// The most bytes that are read behind an answer to a head that was not read, and for how long.
const LEFT_BYTES: usize = 4 * 1024 * 1024;
const LEFT_TIME: Duration = Duration::from_secs(1);

/// Which requests of a connection are under way.
#[derive(Debug, Default)]
pub(super) struct Course {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Course {
    /// A request was read.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// Whether there was any.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed) > 0
    }

    /// How many there were, when none of them is under way.
    fn at_rest(&self) -> Option<u32> {
        let begun = self.begun.load(Relaxed);
        (begun == self.ended.load(Relaxed)).then_some(begun)
    }
}

/// An answer's body: when it is gone, its request has ended.
pub(super) struct Answered {
    body: Body,
    course: Arc<Course>,
}

impl Answered {
    pub(super) fn new(body: Body, course: Arc<Course>) -> Self {
        Self { body, course }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.course.ended.fetch_add(1, Relaxed);
    }
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket.
pub(super) struct Socket {
    stream: TcpStream,
    course: Arc<Course>,
    app: App,
    /// So many answers have left, to their last byte.
    flushed: u32,
    /// Bytes read since then.
    read: usize,
    refusal: Option<Refusal>,
}

/// An answer in place of hyper's.
struct Refusal {
    left: Bytes,
    /// Since the answer left: when to stop reading, and how much was read.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, course: Arc<Course>, app: App) -> Self {
        Self {
            stream,
            course,
            app,
            flushed: 0,
            read: 0,
            refusal: None,
        }
    }

    /// Whether these bytes, which are about to be written, are hyper's own answer: there is no
    /// request, and none whose answer has not left.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        let Some(status) = error_status(bytes) else {
            return false;
        };
        if self.refusal.is_some() || self.course.at_rest() != Some(self.flushed) {
            return false;
        }
        self.refusal = Some(Refusal {
            left: headers::refused_head(&self.app, status, self.read),
            linger: None,
        });
        true
    }
}

/// The status of a head that begins here, when it is an error of the client's.
fn error_status(bytes: &[u8]) -> Option<StatusCode> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status = StatusCode::from_bytes(code).ok()?;
    status.is_client_error().then_some(status)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        self.read = self.read.saturating_add(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.first().is_some_and(|first| self.replaces(first)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(refusal) = &mut this.refusal {
            while refusal.left.has_remaining() {
                let written = Pin::new(&mut this.stream).poll_write(cx, &refusal.left);
                refusal.left.advance(ready!(written)?);
            }
        } else if let Some(requests) = this.course.at_rest()
            && requests != this.flushed
        {
            this.flushed = requests;
            this.read = 0;
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = &mut *self;
        let Some(refusal) = &mut this.refusal else {
            return Pin::new(&mut this.stream).poll_shutdown(cx);
        };
        if refusal.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let (patience, left) = refusal
            .linger
            .get_or_insert_with(|| (Box::pin(sleep(LEFT_TIME)), 0));
        let mut bytes = [0; 4096];
        while *left < LEFT_BYTES && patience.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer));
            match buffer.filled().len() {
                0 => break,
                _ if read.is_err() => break,
                length => *left += length,
            }
        }
        Poll::Ready(Ok(()))
    }
}
