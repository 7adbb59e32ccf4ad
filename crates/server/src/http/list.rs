//! Lists: from the query to a page, and back (contract section 4).

use axum::response::Response;
use loomgate_domain::{Id, IdKind, PageRequest};
use loomgate_wire::{object, request::ListQuery};
use serde::Serialize;

use crate::{error::ApiError, http::reply};

/// The page that a query asks for.
pub fn page<K: IdKind>(query: &ListQuery) -> PageRequest<Id<K>> {
    PageRequest {
        limit: query.limit,
        order: query.order,
        after: query.after.as_deref().map(Id::trusted),
        before: query.before.as_deref().map(Id::trusted),
    }
}

/// A cursor that points at nothing is the client's mistake; everything else is ours.
pub fn cursor<I: CursorKind>(error: loomgate_store::Error) -> ApiError {
    match error {
        loomgate_store::Error::NoSuchCursor(id) => ApiError::no_such_cursor(I::NOUN, &id),
        other => other.into(),
    }
}

/// The kind of object that a list holds.
pub trait CursorKind {
    /// What error texts call it.
    const NOUN: &'static str;
}

impl<K: IdKind> CursorKind for Id<K> {
    const NOUN: &'static str = K::NOUN;
}

/// A page as JSON.
pub fn reply<T: Serialize + object::Identified>(
    items: impl Iterator<Item = T>,
    has_more: bool,
) -> Result<Response, ApiError> {
    reply::json(&object::List::new(items.collect(), has_more))
}
