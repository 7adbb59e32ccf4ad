//! A relay without logic, out of the same library: what passing on costs at the least.

use std::{io::Write, net::SocketAddr};

use hyper::{
    Request, Response, Uri,
    body::Incoming,
    http::uri::{Authority, Scheme},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::listen;
use crate::stand_in;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to pass on to.
    #[arg(long)]
    upstream: SocketAddr,
}

type Upstream = Client<HttpConnector, Incoming>;

/// Serves until the process is ended.
pub(crate) async fn serve(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let listener = listen(out).await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let authority: Authority = options.upstream.to_string().parse()?;
    stand_in::serve(listener, move |request| {
        pass_on(client.clone(), authority.clone(), request)
    })
    .await
}

async fn pass_on(
    client: Upstream,
    authority: Authority,
    mut request: Request<Incoming>,
) -> anyhow::Result<Response<Incoming>> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(uri)?;
    Ok(client.request(request).await?)
}
