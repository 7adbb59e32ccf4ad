//! The accept loop: bounded connections, bounded heads, and an orderly end.

use std::{sync::Arc, time::Duration};

use axum::Router;
use futures::TryFutureExt as _;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::socket::{Answered, Course, Socket};
use crate::{app::App, config::Http, headers, http};

/// The most bytes of a request's head that are read. Up to here the router tells whoever sends more
/// than the limit, above it the socket.
const HEAD_BYTES: usize = 2 * headers::HEAD_BYTES;
/// The same over HTTP/2, as its headers count, unpacked: above it there is only a bare 431.
const HTTP2_HEAD_BYTES: u32 = 256 * 1024;
/// Requests at the same time on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 256;
/// A breath when the system gives no connection: it is out of file handles, most likely.
const PAUSE: Duration = Duration::from_millis(50);
/// What streams get to say goodbye once their time is up.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves connections until `stop`; then takes no more and waits for those that are busy, at most
/// for `http.drain_s`.
pub async fn accept(listener: TcpListener, app: &App, stop: CancellationToken) {
    let http = &app.config.http;
    let router = http::router(app.clone());
    let builder = Arc::new(builder(http));
    let slots = Arc::new(Semaphore::new(http.max_connections));
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let accepting = async {
        loop {
            // Closed is what this semaphore never is.
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let connection = Connection {
                builder: Arc::clone(&builder),
                router: router.clone(),
                app: app.clone(),
                watcher: graceful.watcher(),
                header_timeout: http.header_timeout,
                _slot: slot,
            };
            let cut = cut.clone();
            tasks.spawn(async move {
                cut.run_until_cancelled(connection.serve(stream)).await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    tasks.close();
    let patience = http.drain + FAREWELL;
    if tokio::time::timeout(patience, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = tasks.len(),
            "cut connections that were still busy"
        );
        cut.cancel();
    }
    tasks.wait().await;
}

fn builder(http: &Http) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(http.header_timeout)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HTTP2_HEAD_BYTES)
        .max_concurrent_streams(HTTP2_STREAMS)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

struct Connection {
    builder: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    app: App,
    watcher: Watcher,
    header_timeout: Duration,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // A delay of 40 ms on every small answer is the price of not asking for this.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let course = Arc::new(Course::default());
        let socket = Socket::new(stream, Arc::clone(&course), self.app);
        let (router, requests) = (self.router, Arc::clone(&course));
        let service = service_fn(move |request: Request<Incoming>| {
            let course = Arc::clone(&requests);
            course.begin();
            let answer = router.clone().call(request);
            answer.map_ok(|answer: Response<_>| answer.map(|body| Answered::new(body, course)))
        });
        let connection = self.builder.serve_connection(TokioIo::new(socket), service);
        let connection = self.watcher.watch(connection.into_owned());
        // Hyper's timer starts once it knows the version of HTTP; a client may never tell.
        let silent = async {
            tokio::time::sleep(self.header_timeout).await;
            if course.has_begun() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            result = connection => if let Err(error) = result {
                tracing::debug!(error, "a connection broke");
            },
            () = silent => tracing::debug!("a connection never sent a request"),
        }
    }
}
