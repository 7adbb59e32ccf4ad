//! A provider of embeddings that costs little: the vector of a text follows from its bytes.

use std::fmt::Write as _;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming};
use loomgate_bench::statistics::Dice;
use serde_json::Value;

use crate::stand_in::StandIn;

/// Numbers of a vector: as many as those of all-MiniLM-L6-v2.
pub(super) const DIMENSIONS: usize = 384;

/// Starts it.
pub(super) async fn start() -> anyhow::Result<StandIn> {
    StandIn::start(embed).await
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

async fn embed(request: Request<Incoming>) -> anyhow::Result<Bytes> {
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
    Ok(answer.into())
}
