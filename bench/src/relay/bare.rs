//! A relay without logic, out of the same library: what passing on costs at the least.

use std::{convert::Infallible, io::Write, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Uri, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to pass on to.
    #[arg(long)]
    upstream: SocketAddr,
}

type Upstream = Client<HttpConnector, Incoming>;

/// Serves until the process is ended; prints its address.
pub(crate) async fn serve(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let authority = options.upstream.to_string();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority) = (client.clone(), authority.clone());
        connections.spawn(async move {
            let service =
                service_fn(move |request| pass_on(client.clone(), authority.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that went away is no fault of anybody's.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(
    client: Upstream,
    authority: String,
    mut request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(hyper::http::uri::Scheme::HTTP);
    uri.authority = authority.parse().ok();
    let answered = match Uri::from_parts(uri) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            client.request(request).await.ok()
        }
        Err(_) => None,
    };
    Ok(answered.map_or_else(
        || {
            let nothing = Empty::new().map_err(|never| match never {}).boxed();
            let mut response = Response::new(nothing);
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        },
        |response| response.map(BodyExt::boxed),
    ))
}
