//! Serving as little over HTTP as a measurement needs: stand-ins for providers, and the loop below them.

use std::{error::Error, net::SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

/// A provider that serves until it is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<anyhow::Result<()>>,
}

impl StandIn {
    /// On a free port. `answer` makes JSON of a request, or says why it does not fit (status 400).
    pub(crate) async fn start<A, F>(answer: A) -> anyhow::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    {
        Self::serving(move |request| {
            let made = answer(request);
            async { Ok(response(made.await)) }
        })
        .await
    }

    /// The same for any answer.
    pub(crate) async fn serving<A, F, B>(answer: A) -> anyhow::Result<Self>
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = anyhow::Result<Response<B>>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, answer));
        Ok(Self {
            address,
            _serving: serving,
        })
    }
}

fn response(made: anyhow::Result<Bytes>) -> Response<Full<Bytes>> {
    let (status, body) = match made {
        Ok(body) => (StatusCode::OK, body),
        Err(reason) => (StatusCode::BAD_REQUEST, reason.to_string().into()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Serves for ever. A request whose answer fails ends its connection.
pub(crate) async fn serve<A, F, B>(listener: TcpListener, answer: A) -> anyhow::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = anyhow::Result<Response<B>>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(answer.clone());
        connections.spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that went away is no fault of anybody's.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}
