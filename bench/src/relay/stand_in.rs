//! A provider that answers at once, and refuses what does not come as it should.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use super::call::{CALLS, Call, Numbered};

/// The key that a provider wants.
pub(crate) const KEY: &str = "sk-stand-in-0000000000000000000000000000";

/// A call with its bodies.
struct Known {
    call: Call,
    request: Numbered,
    answer: Numbered,
}

/// A stand-in that serves until it is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<anyhow::Result<()>>,
}

impl StandIn {
    /// On a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener));
        Ok(Self {
            address,
            _serving: serving,
        })
    }
}

async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let known: Arc<[Known]> = CALLS
        .iter()
        .map(|call| Known {
            call: *call,
            request: call.request(),
            answer: call.answer(),
        })
        .collect();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let known = Arc::clone(&known);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&known), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that went away is no fault of anybody's.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    known: Arc<[Known]>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = try_answer(&known, request).await;
    Ok(answered.unwrap_or_else(|reason| {
        let mut response = Response::new(Full::from(reason.to_string()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }))
}

async fn try_answer(
    known: &[Known],
    request: Request<Incoming>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let key = parts.headers.get(header::AUTHORIZATION).context("no key")?;
    let key = key.as_bytes().strip_prefix(b"Bearer ");
    anyhow::ensure!(key == Some(KEY.as_bytes()), "not the provider's key");
    let body = body.collect().await?.to_bytes();
    let found = known
        .iter()
        .find(|known| known.call.bytes == body.len() && known.call.path() == parts.uri.path());
    let Known {
        request, answer, ..
    } = found.context("an unknown call")?;
    let number = request.number.clone();
    let same = body[..number.start] == request.bytes[..number.start]
        && body[number.end..] == request.bytes[number.end..];
    anyhow::ensure!(same, "not the body that was sent");
    let mut answer = answer.clone();
    answer.set(&body[number]);
    let mut response = Response::new(Full::from(answer.bytes));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
