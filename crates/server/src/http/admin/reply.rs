//! Answers of the admin API. An object stands in the answer twice, itself and below `data`, because
//! Portkey's documents have the one and its SDKs read the other.

use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::query::Query;
use crate::{
    error::{AdminError, ApiError},
    http::reply,
};

/// The most objects of a page, and how many a page has that nobody asked to be shorter.
const PAGE: u32 = 1_000;

/// `{"success":true, ..object, "data":{..object}}`
pub(super) fn object(object: &impl Serialize) -> Result<Response, AdminError> {
    Ok(reply::json(&body(object)?)?)
}

/// The same, for those who answer with it.
pub(super) fn body(object: &impl Serialize) -> Result<Map<String, Value>, AdminError> {
    let value = serde_json::to_value(object).map_err(|error| ApiError::internal(&error))?;
    let mut body = Map::new();
    body.insert("success".to_owned(), Value::Bool(true));
    if let Value::Object(fields) = &value {
        body.extend(fields.clone());
    }
    body.insert("data".to_owned(), value);
    Ok(body)
}

/// `{"success":true,"data":{}}`
pub(super) fn done() -> Result<Response, AdminError> {
    Ok(reply::json(&json!({"success": true, "data": {}}))?)
}

/// The part of a list that `current_page` (from 0) and `page_size` ask for.
pub(super) fn page(query: &mut Query, objects: &[Value]) -> Result<Response, AdminError> {
    let size = query.whole("page_size", 1..=PAGE)?.unwrap_or(PAGE) as usize;
    let page = query.whole("current_page", 0..=u32::MAX)?.unwrap_or(0) as usize;
    query.clone().finish()?;
    let first = page.saturating_mul(size).min(objects.len());
    let last = first.saturating_add(size).min(objects.len());
    let body = json!({
        "success": true,
        "object": "list",
        "total": objects.len(),
        "current_page": page,
        "page_size": size,
        "data": objects.get(first..last).unwrap_or_default(),
    });
    Ok(reply::json(&body)?)
}
