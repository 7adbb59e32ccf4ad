//! A provider of embeddings that costs little: the vector of a text follows from its bytes.

use std::{convert::Infallible, fmt::Write as _, net::SocketAddr};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use loomgate_bench::statistics::Dice;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// Numbers of a vector: as many as those of all-MiniLM-L6-v2.
pub(super) const DIMENSIONS: usize = 384;

/// Serves until it is dropped.
pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    _serving: JoinSet<anyhow::Result<()>>,
}

impl StandIn {
    /// On a free port.
    pub(super) async fn start() -> anyhow::Result<Self> {
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

/// The vector of a text.
pub(super) fn vector(text: &str) -> Vec<f32> {
    // FNV-1a.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut dice = Dice::new(hash);
    #[expect(clippy::cast_precision_loss, reason = "11 bits are exact")]
    let mut number = || dice.below(2_001) as f32 / 1_000.0 - 1.0;
    (0..DIMENSIONS).map(|_| number()).collect()
}

async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            // A client that went away is no fault of anybody's.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match embed(request).await {
        Ok(answer) => Response::new(Full::from(answer)),
        Err(reason) => {
            let mut refusal = Response::new(Full::from(reason.to_string()));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            refusal
        }
    };
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

async fn embed(request: Request<Incoming>) -> anyhow::Result<String> {
    let body = request.into_body().collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body)?;
    let texts: Vec<&str> = match &body["input"] {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => anyhow::bail!("no input"),
    };
    let mut answer = r#"{"object":"list","model":"stand-in","data":["#.to_owned();
    for (index, text) in texts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let numbers: Vec<String> = vector(text).iter().map(f32::to_string).collect();
        write!(
            answer,
            r#"{comma}{{"object":"embedding","index":{index},"embedding":[{}]}}"#,
            numbers.join(",")
        )
        .context("writing to a String")?;
    }
    answer.push_str(r#"],"usage":{"prompt_tokens":1,"total_tokens":1}}"#);
    Ok(answer)
}
