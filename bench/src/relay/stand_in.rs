//! A provider that answers at once, and refuses what does not come as it should.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming, header};

use super::call::{CALLS, Call, Numbered};
use crate::{frame::NO_KEY, stand_in::StandIn};

/// A call with its bodies.
struct Known {
    call: Call,
    request: Numbered,
    answer: Numbered,
}

/// Starts it.
pub(crate) async fn start() -> anyhow::Result<StandIn> {
    let known: Arc<[Known]> = CALLS
        .iter()
        .map(|call| Known {
            call: *call,
            request: call.request(),
            answer: call.answer(),
        })
        .collect();
    StandIn::start(move |request| answer(Arc::clone(&known), request)).await
}

async fn answer(known: Arc<[Known]>, request: Request<Incoming>) -> anyhow::Result<Bytes> {
    let (parts, body) = request.into_parts();
    let key = parts.headers.get(header::AUTHORIZATION).context("no key")?;
    let key = key.as_bytes().strip_prefix(b"Bearer ");
    anyhow::ensure!(key == Some(NO_KEY.as_bytes()), "not the provider's key");
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
    Ok(answer.bytes.into())
}
