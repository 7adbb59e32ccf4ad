//! Google's Gemini API, v1beta.

mod content;
mod embeddings;
mod model;
mod request;
mod response;
mod schema;
mod stream;

pub(crate) use embeddings::{EmbeddingFacts, embeddings_request, embeddings_response};
pub(crate) use request::chat_request;
pub(crate) use response::{chat_response, error_body, model, models};
pub(crate) use stream::ChatStream;

/// The query of `GET models`: all on one page.
pub(crate) const MODELS_QUERY: (&str, &str) = ("pageSize", "1000");
