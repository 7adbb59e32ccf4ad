//! A scripted server that speaks OpenAI's chat completions.
//!
//! ```no_run
//! # async fn test() {
//! use loomgate_testkit::upstream::{FakeUpstream, Reply};
//!
//! let upstream = FakeUpstream::start().await;
//! upstream.push(Reply::text("Hello there"));
//! // ... let the code under test call `upstream.url()`, then look at what it sent:
//! let request = upstream.next_request().await;
//! assert_eq!(request.body["model"], "gpt-4o");
//! assert_eq!(request.header("authorization"), Some("Bearer sk-test"));
//! assert_eq!(upstream.count(), 1);
//! # }
//! ```
//!
//! [`FakeUpstream::embeds`] has requests for embeddings answered by a function of each text.
//!
//! Each other request, whatever its path, takes the next reply from the queue. When there is none the
//! answer is the one of [`FakeUpstream::always`]; without that it is status 500 with the message
//! `no reply scripted`: a call that the test did not foresee shows itself.

mod body;
mod reply;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

pub use self::reply::{Gate, Reply};

/// The server. It stops when it is dropped.
#[derive(Debug)]
pub struct FakeUpstream {
    address: SocketAddr,
    script: Arc<Script>,
    server: JoinHandle<std::io::Result<()>>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// `POST`.
    pub method: String,
    /// Path and query: `/v1/chat/completions`.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The JSON body; null when there was none, or no JSON.
    pub body: Value,
    /// The body's bytes.
    pub bytes: Bytes,
    /// The client's end of the connection: equal for requests that shared one.
    pub peer: SocketAddr,
}

impl Recorded {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The vector of a text.
pub type Embed = fn(&str) -> Vec<f32>;

/// What the server and its handle share.
#[derive(Debug)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    always: Mutex<Option<Reply>>,
    embeds: Mutex<Option<Embed>>,
    requests: Mutex<Vec<Recorded>>,
    /// A permit for each request that `next_request` has not given yet.
    arrived: Semaphore,
    given: AtomicUsize,
    /// A permit for each answer that a client did not take to its end.
    dropped: Semaphore,
}

impl FakeUpstream {
    /// Starts a server on a free port, with an empty queue.
    ///
    /// # Panics
    /// When the system gives no port on 127.0.0.1.
    #[expect(clippy::expect_used, reason = "only tests call this")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port on 127.0.0.1");
        let address = listener.local_addr().expect("the address of a listener");
        let script = Arc::new(Script {
            replies: Mutex::default(),
            always: Mutex::default(),
            embeds: Mutex::default(),
            requests: Mutex::default(),
            arrived: Semaphore::new(0),
            given: AtomicUsize::new(0),
            dropped: Semaphore::new(0),
        });
        let router = Router::new()
            .fallback(serve)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&script));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        #[expect(clippy::disallowed_methods, reason = "the task ends with this server")]
        let server = tokio::spawn(axum::serve(listener, service).into_future());
        Self {
            address,
            script,
            server,
        }
    }

    /// The base URL to configure: `http://127.0.0.1:PORT/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a reply to the end of the queue.
    pub fn push(&self, reply: Reply) {
        lock(&self.script.replies).push_back(reply);
    }

    /// The reply when the queue is empty.
    pub fn always(&self, reply: Reply) {
        *lock(&self.script.always) = Some(reply);
    }

    /// Answers `POST /embeddings` with what this makes of each text, while the queue is empty.
    pub fn embeds(&self, embed: Embed) {
        *lock(&self.script.embeds) = Some(embed);
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        lock(&self.script.requests).len()
    }

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.script.requests).clone()
    }

    /// Waits for a request that this method has not given yet, oldest first.
    ///
    /// # Panics
    /// Never: the server keeps what it waits on.
    #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
    pub async fn next_request(&self) -> Recorded {
        let permit = self.script.arrived.acquire().await;
        permit.expect("a semaphore that is never closed").forget();
        let position = self.script.given.fetch_add(1, Ordering::SeqCst);
        lock(&self.script.requests)[position].clone()
    }

    /// Waits until a client has left before its answer was at its end; each such answer counts for
    /// one wait.
    ///
    /// # Panics
    /// Never: the server keeps what it waits on.
    #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
    pub async fn dropped(&self) {
        let permit = self.script.dropped.acquire().await;
        permit.expect("a semaphore that is never closed").forget();
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reports a client that left early, unless the answer came to its end first.
#[derive(Debug)]
struct Unfinished(Option<Arc<Script>>);

impl Unfinished {
    fn finished(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(script) = &self.0 {
            script.dropped.add_permits(1);
        }
    }
}

async fn serve(
    State(script): State<Arc<Script>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let wants_usage = body["stream_options"]["include_usage"] == true;
    let embed = *lock(&script.embeds);
    let embed = embed.filter(|_| uri.path().ends_with("/embeddings"));
    let embedded = embed.map(|embed| Reply::embeddings(&body, embed));
    lock(&script.requests).push(Recorded {
        method: method.to_string(),
        path: uri.to_string(),
        headers,
        body,
        bytes,
        peer,
    });
    script.arrived.add_permits(1);
    let reply = lock(&script.replies).pop_front();
    let reply = reply.or(embedded);
    let reply = reply.or_else(|| lock(&script.always).clone());
    let reply = reply.unwrap_or_else(Reply::unscripted);
    body::respond(reply, wants_usage, Unfinished(Some(script))).await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
