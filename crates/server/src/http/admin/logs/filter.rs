//! Which records are meant, in Portkey's words and a few of our own.

use loomgate_domain::{Id, IdKind, log::RecordKind};
use loomgate_store::LogFilter;
use serde_json::{Map, Value};

use super::super::{moment, query::Query};
use crate::error::{AdminError, ApiError};

/// Takes all filters out of a query.
///
/// Errors: 400 for a value that makes no sense, or several where one can be looked for.
pub(in crate::http::admin) fn filters(query: &mut Query) -> Result<LogFilter, AdminError> {
    let (status_min, status_max) = status(query)?;
    let (provider, model) = model(query)?;
    Ok(LogFilter {
        from_ms: time(query, "time_of_generation_min")?,
        to_ms: time(query, "time_of_generation_max")?,
        kind: kind(query)?,
        api_key: id(query, "api_key_ids")?,
        virtual_key: one(query, "virtual_keys")?,
        config: one(query, "configs")?,
        provider,
        model,
        status_min,
        status_max,
        trace_id: query.text("trace_id"),
        run: id(query, "run_id")?,
        thread: id(query, "thread_id")?,
        metadata: metadata(query)?,
        errors_only: flag(query, "errors_only")?,
        cache: cache(query)?,
    })
}

fn invalid(name: &'static str, expected: &str) -> AdminError {
    ApiError::invalid(format!("Invalid '{name}': expected {expected}."))
        .param(name)
        .into()
}

fn time(query: &mut Query, name: &'static str) -> Result<Option<i64>, AdminError> {
    let Some(text) = query.text(name) else {
        return Ok(None);
    };
    let ms = moment::parse_ms(&text);
    let expected = "a time such as '2026-01-31T12:00:00Z'";
    ms.map(Some).ok_or_else(|| invalid(name, expected))
}

/// Portkey takes several, separated by commas.
fn one(query: &mut Query, name: &'static str) -> Result<Option<String>, AdminError> {
    let text = query.text(name);
    if text.as_ref().is_some_and(|text| text.contains(',')) {
        return Err(invalid(name, "one value: make a request for each"));
    }
    Ok(text)
}

fn id<K: IdKind>(query: &mut Query, name: &'static str) -> Result<Option<Id<K>>, AdminError> {
    let Some(text) = one(query, name)? else {
        return Ok(None);
    };
    let expected = format!("an id that begins with '{}'", K::PREFIX);
    Id::parse(&text)
        .map(Some)
        .map_err(|_| invalid(name, &expected))
}

/// `429`, or `4xx`.
fn status(query: &mut Query) -> Result<(Option<u16>, Option<u16>), AdminError> {
    let Some(text) = one(query, "status_code")? else {
        return Ok((None, None));
    };
    let hundreds = text.strip_suffix("xx").and_then(|first| first.parse().ok());
    if let Some(first @ 1_u16..=5) = hundreds {
        return Ok((Some(first * 100), Some(first * 100 + 99)));
    }
    match text.parse() {
        Ok(code @ 100..=599) => Ok((Some(code), Some(code))),
        _ => Err(invalid("status_code", "a status such as '429' or '4xx'")),
    }
}

/// `openai__gpt-4o`, or the two apart.
fn model(query: &mut Query) -> Result<(Option<String>, Option<String>), AdminError> {
    let joined = one(query, "ai_org_model")?;
    let (provider, model) = (one(query, "provider")?, query.text("ai_model"));
    let Some(joined) = joined else {
        return Ok((provider, model));
    };
    if provider.is_some() || model.is_some() {
        return Err(invalid(
            "ai_org_model",
            "it without 'provider' and 'ai_model'",
        ));
    }
    let expected = "a provider and a model, as in 'openai__gpt-4o'";
    let (provider, model) = joined
        .split_once("__")
        .ok_or_else(|| invalid("ai_org_model", expected))?;
    Ok((Some(provider.to_owned()), Some(model.to_owned())))
}

/// `{"_user":"someone"}`
fn metadata(query: &mut Query) -> Result<Option<(String, String)>, AdminError> {
    let Some(text) = query.text("metadata") else {
        return Ok(None);
    };
    let expected = "an object with one pair of texts, as in '{\"_user\":\"someone\"}'";
    let pairs: Map<String, Value> =
        serde_json::from_str(&text).map_err(|_| invalid("metadata", expected))?;
    let mut pairs = pairs.into_iter();
    match (pairs.next(), pairs.next()) {
        (Some((key, Value::String(value))), None) => Ok(Some((key, value))),
        _ => Err(invalid("metadata", expected)),
    }
}

fn kind(query: &mut Query) -> Result<Option<RecordKind>, AdminError> {
    let Some(text) = query.text("kind") else {
        return Ok(None);
    };
    match text.as_str() {
        "request" => Ok(Some(RecordKind::Request)),
        "model_call" => Ok(Some(RecordKind::ModelCall)),
        "inserted" => Ok(Some(RecordKind::Inserted)),
        _ => Err(invalid("kind", "'request', 'model_call' or 'inserted'")),
    }
}

fn cache(query: &mut Query) -> Result<Option<String>, AdminError> {
    let Some(text) = one(query, "cache_status")? else {
        return Ok(None);
    };
    let status = text.to_ascii_uppercase();
    match status.as_str() {
        "HIT" | "MISS" | "REFRESH" | "DISABLED" => Ok(Some(status)),
        _ => Err(invalid(
            "cache_status",
            "'HIT', 'MISS', 'REFRESH' or 'DISABLED'",
        )),
    }
}

fn flag(query: &mut Query, name: &'static str) -> Result<bool, AdminError> {
    match query.text(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(name, "'true' or 'false'")),
    }
}
