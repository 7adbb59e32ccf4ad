//! What a client is told of a body or a query that makes no sense.

use std::fmt::Display;

use serde_json::Value;

use crate::error::{AdminError, ApiError};

/// 400 for a name that nobody asked for.
pub(in crate::http::admin) fn unknown_name(
    what: &str,
    unknown: &str,
    path: &str,
    asked: &[&'static str],
) -> AdminError {
    let unknown: String = unknown.chars().take(64).collect();
    let nearest = asked
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&unknown, known), known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min();
    let hint = match nearest {
        Some((_, known)) => format!(" Did you mean '{path}{known}'?"),
        None => format!(" Known: {}.", asked.join(", ")),
    };
    ApiError::invalid(format!("Unknown {what} '{path}{unknown}'.{hint}"))
        .param(format!("{path}{unknown}"))
        .into()
}

/// 400 for a value that is not as it should be.
pub(super) fn wrong(place: &str, expected: impl Display, got: impl Display) -> AdminError {
    let place = if place.is_empty() { "body" } else { place };
    ApiError::invalid(format!(
        "Invalid '{place}': expected {expected}, but got {got}."
    ))
    .param(place.to_owned())
    .into()
}

/// What a value is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Short values themselves, of others their kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) if text.len() <= 64 => format!("'{text}'"),
        Value::String(text) => format!("a text of {} bytes", text.len()),
        _ => kind(value).to_owned(),
    }
}
