//! A provider of embeddings that costs little: the vector of a text follows from its bytes.

use std::{fmt::Write as _, sync::LazyLock};

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

/// What a text is known by: FNV-1a.
pub(super) fn key(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The numbers that a vector may have, and how they are written: to write one anew each time would be
/// measured with every search.
static NUMBERS: LazyLock<Vec<(f32, String)>> = LazyLock::new(|| {
    let number = |step: u16| f32::from(step) / 1_000.0 - 1.0;
    (0..=2_000)
        .map(|step| (number(step), number(step).to_string()))
        .collect()
});

fn numbers(text: &str) -> impl Iterator<Item = &'static (f32, String)> {
    let mut dice = Dice::new(key(text));
    (0..DIMENSIONS).map(move |_| &NUMBERS[dice.below(NUMBERS.len())])
}

/// The vector of a text.
pub(super) fn vector(text: &str) -> Vec<f32> {
    numbers(text).map(|(number, _)| *number).collect()
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
        write!(
            answer,
            r#"{comma}{{"object":"embedding","index":{index},"embedding":["#
        )
        .context("writing to a String")?;
        for (place, (_, number)) in numbers(text).enumerate() {
            answer.push_str(if place == 0 { "" } else { "," });
            answer.push_str(number);
        }
        answer.push_str("]}");
    }
    answer.push_str(r#"],"usage":{"prompt_tokens":1,"total_tokens":1}}"#);
    Ok(answer.into())
}
