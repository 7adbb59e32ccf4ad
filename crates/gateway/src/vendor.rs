//! Vendors whose JSON is not OpenAI's: pure conversions, both ways.
//!
//! The gateway's one form is OpenAI's chat completions JSON, of a run's model call and of a relayed
//! one alike. A request in that form becomes a [`VendorRequest`]; the vendor's answer becomes a
//! `chat.completion` object, or `chat.completion.chunk` frames. No IO, no clock, no credential:
//! what an answer needs and the vendor may not give comes as [`AnswerFacts`].
//!
//! Start at `anthropic::chat_request` and `anthropic::ChatStream`; `google` has the same shape,
//! `azure` only addresses. What a conversion cannot say is refused ([`Unsupported`]) rather than
//! dropped; the few fields without a counterpart whose loss does no harm are listed, with the
//! reason, at the top of each vendor's `request` module.
//!
//! Invariant: no input makes a conversion panic, and none makes it grow beyond a constant factor
//! (references in schemas are counted).
//! Invariant: what a model thought is not in the answer's content, and nowhere in a strict answer.
//! Invariant: wherever a stream was cut into events and bytes, the same text comes out.

pub(crate) mod anthropic;
pub(crate) mod azure;
pub(crate) mod google;

mod answer;
mod chunks;
mod content;
mod fields;
mod turns;

#[cfg(test)]
mod tests;

use serde_json::Value;

/// What goes to the vendor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VendorRequest {
    /// Appended to the base address: `messages`, `models/gemini-2.5-flash:generateContent`. Safe as
    /// it is: no `..`, no `?`, nothing to be escaped.
    pub(crate) path: String,
    /// Added to the query: `alt=sse`.
    pub(crate) query: Vec<(&'static str, String)>,
    /// Headers that the vendor wants: `anthropic-version`. Never the credential.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body, in JSON.
    pub(crate) body: Value,
}

/// A request that this vendor cannot be asked: 400 for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// A sentence for the caller.
    pub(crate) message: String,
    /// Which field: `messages[2].content[0].type`.
    pub(crate) param: Option<String>,
}

impl Unsupported {
    fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            param: Some(param.into()),
        }
    }
}

/// What an answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnswerFacts {
    /// `chatcmpl-...`; used when the vendor gives no id, and to make ids of tool calls.
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) created: i64,
    /// Used when the vendor does not name the model.
    pub(crate) model: String,
    /// Whether a stream ends with a chunk that holds the usage.
    pub(crate) include_usage: bool,
    /// Whether it may have fields that OpenAI does not have, in the shapes of Portkey's gateway:
    /// `content_blocks` of messages and deltas, with what was thought, and whatever else a vendor
    /// tells beside its answer.
    pub(crate) lenient: bool,
}

/// A stream that brought an error, or nonsense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamError {
    /// The status that the vendor would have given, had it failed earlier: 529 for an overload.
    /// `None` where it said none, or where the stream is broken.
    pub(crate) status: Option<u16>,
    /// A sentence; where the vendor gave one, its own, at most 1,000 characters. May hold whatever
    /// the vendor repeats, so the key is to be taken out before it is shown.
    pub(crate) message: String,
}

impl StreamError {
    fn nonsense(message: impl Into<String>) -> Self {
        Self {
            status: None,
            message: message.into(),
        }
    }
}
