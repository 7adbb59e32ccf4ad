//! Answers with one event and holds the stream: what an open stream costs at the least.

use std::{convert::Infallible, io::Write};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header,
};

use super::listen;
use crate::stand_in;

/// Serves until the process is ended.
pub(crate) async fn serve(out: &mut impl Write) -> anyhow::Result<()> {
    stand_in::serve(listen(out).await?, hold).await
}

async fn hold(
    _: Request<Incoming>,
) -> anyhow::Result<Response<impl Body<Data = Bytes, Error = Infallible>>> {
    let event = Bytes::from_static(b"event: thread.run.created\ndata: {}\n\n");
    let begun = stream::iter([Ok(Frame::data(event))]);
    let mut response = Response::new(StreamBody::new(begun.chain(stream::pending())));
    let kind = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
