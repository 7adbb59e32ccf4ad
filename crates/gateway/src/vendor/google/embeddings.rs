//! Embeddings, asked of Gemini in one batch.
//!
//! `dimensions` becomes `outputDimensionality`. Google scales only vectors of full length to length
//! 1, OpenAI all: a vector that has another length is scaled here, because clients compare by the
//! dot product. `user` has no place there and is without effect.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::model;
use crate::vendor::{
    Unsupported, VendorRequest,
    answer::tokens,
    fields::{self, present},
};

const SAID: &[&str] = &["model", "input", "dimensions", "encoding_format", "user"];

/// How far the square of a vector's length may be from 1.
const TOLERANCE: f64 = 1e-3;

/// What the answer needs of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmbeddingFacts {
    /// The model, as the answer names it.
    pub(crate) model: String,
    /// Whether vectors go out as base64 of little-endian 32-bit floats.
    pub(crate) base64: bool,
}

impl EmbeddingFacts {
    /// Reads `encoding_format` of the request; [`embeddings_request`] refuses one that is unknown.
    pub(crate) fn of(body: &Value, model: &str) -> Self {
        Self {
            model: model.to_owned(),
            base64: body["encoding_format"] == "base64",
        }
    }
}

/// Converts; `model` is Google's name for the model.
pub(crate) fn embeddings_request(body: &Value, model: &str) -> Result<VendorRequest, Unsupported> {
    let body = fields::object(body)?;
    fields::check(body, "the Gemini API", &[SAID])?;
    let resource = model::resource(model)?;
    if !matches!(
        fields::text(body, "encoding_format")?,
        None | Some("float" | "base64")
    ) {
        let message = "'encoding_format' must be 'float' or 'base64'.";
        return Err(Unsupported::new("encoding_format", message));
    }
    let dimensions = fields::count(body, "dimensions")?;
    let requests: Vec<_> = inputs(body)?
        .into_iter()
        .map(|text| {
            let mut request = json!({"model": resource, "content": {"parts": [{"text": text}]}});
            if let Some(dimensions) = dimensions {
                request["outputDimensionality"] = json!(dimensions);
            }
            request
        })
        .collect();
    Ok(VendorRequest {
        path: format!("{resource}:batchEmbedContents"),
        query: Vec::new(),
        headers: Vec::new(),
        body: json!({"requests": requests}),
    })
}

fn inputs(body: &Map<String, Value>) -> Result<Vec<&str>, Unsupported> {
    let wrong = || {
        let message = "'input' must be a string or an array of strings for this provider; tokens cannot be sent.";
        Unsupported::new("input", message)
    };
    match present(body, "input") {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(texts)) if !texts.is_empty() => texts
            .iter()
            .map(|text| text.as_str().ok_or_else(wrong))
            .collect(),
        _ => Err(wrong()),
    }
}

/// The vectors as an OpenAI list. `Err` says what is wrong with the answer.
pub(crate) fn embeddings_response(body: &Value, facts: &EmbeddingFacts) -> Result<Value, String> {
    const WRONG: &str = "The provider sent something else than embeddings.";
    let embeddings = body["embeddings"].as_array().ok_or(WRONG)?;
    let mut data = Vec::with_capacity(embeddings.len());
    for (index, embedding) in embeddings.iter().enumerate() {
        let values = embedding["values"].as_array().ok_or(WRONG)?;
        let vector: Option<Vec<_>> = values.iter().map(Value::as_f64).collect();
        let vector = scaled(vector.ok_or(WRONG)?);
        let embedding = if facts.base64 {
            json!(STANDARD.encode(bytes(&vector)))
        } else {
            json!(vector)
        };
        data.push(json!({"object": "embedding", "index": index, "embedding": embedding}));
    }
    let prompt = tokens(&body["usageMetadata"]["promptTokenCount"]);
    Ok(json!({
        "object": "list",
        "data": data,
        "model": facts.model,
        "usage": {"prompt_tokens": prompt, "total_tokens": prompt},
    }))
}

fn scaled(vector: Vec<f64>) -> Vec<f64> {
    let square: f64 = vector.iter().map(|value| value * value).sum();
    if !square.is_normal() || (square - 1.0).abs() < TOLERANCE {
        return vector;
    }
    let length = square.sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

fn bytes(vector: &[f64]) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "32 bits are what the format has"
    )]
    let floats = vector.iter().map(|value| *value as f32);
    floats.flat_map(f32::to_le_bytes).collect()
}
