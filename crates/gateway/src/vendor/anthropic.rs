//! Anthropic's Messages API, version 2023-06-01. That version is pinned on purpose: later ones
//! refuse `temperature` and its kin for every model.

mod content;
mod model;
mod request;
mod response;
mod schema;
mod stream;
mod thinking;
mod tools;

pub(crate) use request::chat_request;
pub(crate) use response::{chat_response, error_body, model, models};
pub(crate) use stream::ChatStream;

/// The header that every request carries, the one for models included.
pub(crate) const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The query of `GET models`: all on one page.
pub(crate) const MODELS_QUERY: (&str, &str) = ("limit", "1000");
