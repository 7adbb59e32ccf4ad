//! A provider that answers at once, and refuses what does not come as it should.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming, header};
use serde_json::Value;

use super::{
    call::{CALLS, Call, Numbered},
    peers::REWRITTEN,
};
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
    let is_rewritten = key == Some(REWRITTEN.as_bytes());
    anyhow::ensure!(
        is_rewritten || key == Some(NO_KEY.as_bytes()),
        "not the provider's key"
    );
    let body = body.collect().await?.to_bytes();
    if is_rewritten {
        return answer_rewritten(&known, &body);
    }
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

/// Answers a chat that says what was sent, in whatever words and order.
fn answer_rewritten(known: &[Known], body: &[u8]) -> anyhow::Result<Bytes> {
    let [model, user, text] = meaning(body)?;
    for Known {
        request, answer, ..
    } in known
    {
        let Ok([same_model, _, same_text]) = meaning(&request.bytes) else {
            continue;
        };
        if model == same_model && text == same_text && user.len() == answer.number.len() {
            let mut answer = answer.clone();
            answer.set(user.as_bytes());
            return Ok(answer.bytes.into());
        }
    }
    anyhow::bail!("an unknown chat")
}

/// Model, number and words of a chat.
fn meaning(body: &[u8]) -> anyhow::Result<[String; 3]> {
    let body: Value = serde_json::from_slice(body)?;
    let texts = [
        &body["model"],
        &body["user"],
        &body["messages"][0]["content"],
    ];
    let texts = texts.map(|text| text.as_str().map(str::to_owned));
    let [Some(model), Some(user), Some(text)] = texts else {
        anyhow::bail!("no chat");
    };
    Ok([model, user, text])
}
