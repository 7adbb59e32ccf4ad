//! Replies on the wire.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, header::HeaderName},
};
use futures::{Stream, stream};
use serde_json::{Value, json};

use super::{
    Unfinished,
    reply::{Cut, Exact, Gate, Kind, Reply, Turn},
};

/// One write: bytes, after a gate where there is one, or the break of the connection.
struct Piece {
    gate: Option<Gate>,
    bytes: io::Result<Bytes>,
}

pub(super) async fn respond(
    reply: Reply,
    wants_usage: bool,
    mut unfinished: Unfinished,
) -> Response<Body> {
    match reply.0 {
        Kind::Turn(turn) => event_stream(pieces(&turn, wants_usage), unfinished),
        Kind::Raw(chunks) => {
            let pieces = chunks.into_iter().map(|bytes| Piece {
                gate: None,
                bytes: Ok(bytes),
            });
            event_stream(pieces.collect(), unfinished)
        }
        Kind::Status {
            status,
            body,
            headers,
        } => {
            unfinished.finished();
            with_status(status, &body, &headers)
        }
        Kind::Exact(exact) => with_bytes(exact, unfinished),
        Kind::Hang => {
            // Ends only by being dropped, which `unfinished` reports.
            std::future::pending::<()>().await;
            unfinished.finished();
            Response::default()
        }
    }
}

fn with_status(status: u16, body: &Value, headers: &[(String, String)]) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    with_head(response, status, headers)
}

fn with_bytes(exact: Exact, mut unfinished: Unfinished) -> Response<Body> {
    let Exact {
        status,
        headers,
        mut pieces,
        breaks,
    } = exact;
    let body = if pieces.len() == 1 && !breaks {
        unfinished.finished();
        Body::from(pieces.remove(0))
    } else {
        let pieces = pieces.into_iter().map(Ok);
        let end = breaks.then(|| Err(io::ErrorKind::ConnectionReset.into()));
        let pieces = pieces.chain(end).map(|bytes| Piece { gate: None, bytes });
        Body::from_stream(written(pieces.collect(), unfinished))
    };
    with_head(Response::new(body), status, &headers)
}

#[expect(clippy::expect_used, reason = "a test that asks for nonsense fails")]
fn with_head(
    mut response: Response<Body>,
    status: u16,
    headers: &[(String, String)],
) -> Response<Body> {
    *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
    let mut named = Vec::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(name).expect("a header's name");
        let value = HeaderValue::try_from(value).expect("a header's value");
        // The first of a name replaces what was there, the others go beside it.
        if named.contains(&name) {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name.clone(), value);
            named.push(name);
        }
    }
    response
}

fn event_stream(pieces: Vec<Piece>, unfinished: Unfinished) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(written(pieces, unfinished)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The pieces, each a write of its own. With the last one the answer counts as finished: a client
/// may hang up on `[DONE]`.
fn written(
    pieces: Vec<Piece>,
    unfinished: Unfinished,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let state = (pieces.into_iter(), unfinished);
    stream::unfold(state, |(mut pieces, mut unfinished)| async move {
        let piece = pieces.next()?;
        if let Some(gate) = piece.gate {
            gate.pass().await;
        } else {
            // Lets what was written leave, so that pieces are not joined into one packet.
            tokio::task::yield_now().await;
        }
        if pieces.len() == 0 {
            unfinished.finished();
        }
        Some((piece.bytes, (pieces, unfinished)))
    })
}

fn pieces(turn: &Turn, wants_usage: bool) -> Vec<Piece> {
    let total = turn.deltas.len();
    let (sent, cut) = turn
        .cut
        .map_or((total, None), |(after, cut)| (after.min(total), Some(cut)));
    let mut pieces = vec![event(&chunk(
        &json!({ "role": "assistant", "content": "" }),
        None,
    ))];
    for delta in &turn.deltas[..sent] {
        pieces.push(Piece {
            gate: turn.gate.clone(),
            ..event(&chunk(delta, None))
        });
    }
    match cut {
        Some(Cut::End) => {}
        Some(Cut::Reset) => pieces.push(Piece {
            gate: None,
            bytes: Err(io::ErrorKind::ConnectionReset.into()),
        }),
        None => {
            pieces.push(event(&chunk(&json!({}), Some(turn.finish_reason))));
            if wants_usage {
                pieces.push(event(&usage(turn)));
            }
            pieces.push(line("[DONE]"));
        }
    }
    pieces
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": "fake",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }]
    })
}

fn usage(turn: &Turn) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": "fake",
        "choices": [],
        "usage": {
            "prompt_tokens": turn.prompt_tokens,
            "completion_tokens": turn.completion_tokens,
            "total_tokens": turn.prompt_tokens + turn.completion_tokens
        }
    })
}

fn event(data: &Value) -> Piece {
    line(&data.to_string())
}

fn line(data: &str) -> Piece {
    Piece {
        gate: None,
        bytes: Ok(Bytes::from(format!("data: {data}\n\n"))),
    }
}
