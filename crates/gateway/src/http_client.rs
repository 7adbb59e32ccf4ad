//! The HTTP client under every call to a provider.
//!
//! What it is: two pools of connections, one for each [`Trust`], over the connector of
//! [`crate::egress`]. HTTP/1.1, or HTTP/2 where a server offers it with TLS.
//!
//! What it is not: it adds nothing to a request but `host` and `content-length`, follows no
//! redirect, reads no proxy from the environment, decompresses nothing, and does not wait for the
//! answer with a clock: timeouts after connecting are the caller's.
//!
//! Invariant: a connection that was made for a trusted request never carries a guarded one.
//! Invariant: a request that the server may have seen is not sent a second time.
//! Invariant: an answer has one word on its length at most.

mod body;
mod error;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Scheme};
use http_body::Body as _;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

pub use self::{
    body::{Body, BoxBody, BoxError},
    error::SendError,
};
use crate::{
    egress::{Connector, Dial, Exceptions, Guard, Resolve, tls},
    error::{Error, Who},
};

pub use hyper::body::Incoming;

/// Idle connections kept for each host, and for how long.
const IDLE_CONNECTIONS: usize = 256;
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// What is read at once of an HTTP/1 answer, at most; also the most that its head may be. A
/// connection keeps that much for as long as it is there.
const READ_BYTES: usize = 64 * 1024;

/// How often an HTTP/2 server with open requests is asked whether it is there, and how long it may
/// take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Headers that belong to a connection, not to a request; the client writes its own.
const CONNECTION_HEADERS: [header::HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Who chose the host of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The operator, in the config: any address may be called.
    Trusted,
    /// A caller, a user of the admin API, or a provider's answer: only public addresses and the
    /// operator's exceptions.
    Guarded,
}

/// What a client is made with.
pub struct ClientSettings {
    /// From looking up the name until the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// What guarded requests may reach although it is not public.
    pub exceptions: Exceptions,
    /// Where this server listens: never called by guarded requests, so that none comes back here.
    pub own_addresses: Vec<SocketAddr>,
    /// From names to addresses.
    pub resolver: Arc<dyn Resolve>,
}

/// Two pools of connections that share their TLS configuration. Clones share the pools.
#[derive(Clone)]
pub struct HttpClient {
    trusted: Client<Connector, Body>,
    guarded: Client<Connector, Body>,
}

impl HttpClient {
    /// A client without connections. Fails when there are no certificates to check servers by.
    pub fn new(settings: ClientSettings) -> Result<Self, Error> {
        let tls = tls::config()
            .map_err(|error| Error::new(Who::Local, false, format!("no HTTP client: {error}")))?;
        let tls = Arc::new(tls);
        let guard = Guard::new(settings.exceptions, settings.own_addresses);
        let trusted = Dial {
            resolver: settings.resolver,
            guard: None,
            timeout: settings.connect_timeout,
        };
        let guarded = Dial {
            guard: Some(Arc::new(guard)),
            ..trusted.clone()
        };
        Ok(Self {
            trusted: pool(trusted, &tls),
            guarded: pool(guarded, &tls),
        })
    }

    /// Sends a request to the `http` or `https` URL in it and gives the head of the answer, a
    /// redirect like any other. `host`, `content-length` (of a body whose length is known) and the
    /// headers of connections are set by the client, whatever the request has. Dropping the answer
    /// before its end drops the request at the server.
    pub async fn send(
        &self,
        trust: Trust,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        prepare(&mut request)?;
        let client = match trust {
            Trust::Trusted => &self.trusted,
            Trust::Guarded => &self.guarded,
        };
        let answer = client.request(request).await;
        checked(answer.map_err(|error| SendError::of_client(&error))?)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

fn pool(dial: Dial, tls: &Arc<ClientConfig>) -> Client<Connector, Body> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(READ_BYTES)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        // Only what was not begun to be written when a pooled connection turned out to be closed.
        .retry_canceled_requests(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(Connector::new(dial, Arc::clone(tls)))
}

/// Refuses what cannot be sent, and sets what the client decides.
fn prepare(request: &mut Request<Body>) -> Result<(), SendError> {
    let uri = request.uri();
    let web = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if !web
        || authority.is_empty()
        || authority.contains('@')
        || request.method() == Method::CONNECT
    {
        let text = "only http and https URLs without a user can be called";
        return Err(SendError::Connect(text.to_owned()));
    }
    // A request that came in over HTTP/2 may well go out over HTTP/1.1.
    *request.version_mut() = Version::HTTP_11;
    let length = request.body().size_hint().exact();
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    let headers = request.headers_mut();
    for name in CONNECTION_HEADERS {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    if length.is_some() {
        // The length of a stream is known to the caller alone; all others are counted.
        headers.remove(header::CONTENT_LENGTH);
    }
    if length == Some(0) && expects_body {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(())
}

/// Refuses what is no answer to what was asked, and leaves one word on how long it is.
fn checked(mut answer: Response<Incoming>) -> Result<Response<Incoming>, SendError> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let text = "the server wants another protocol, for which nobody asked";
        return Err(SendError::Broken(text.to_owned()));
    }
    // Who passed both on would let the server say where the next answer begins (RFC 9112, 6.3).
    if answer.headers().contains_key(header::TRANSFER_ENCODING) {
        answer.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
