//! Answers with what it was sent: what HTTP alone costs.

use std::io::Write;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming};

use super::listen;
use crate::stand_in;

/// Serves until the process is ended.
pub(crate) async fn serve(out: &mut impl Write) -> anyhow::Result<()> {
    stand_in::serve(listen(out).await?, echo).await
}

async fn echo(request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::from(body)))
}
