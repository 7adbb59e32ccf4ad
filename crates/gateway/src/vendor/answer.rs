//! An answer in OpenAI's form: a whole completion, usage, errors, lists of models.

use serde_json::{Map, Value, json};

use super::AnswerFacts;
use crate::error::presentable;

/// Why the model ended its turn, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens, counted as OpenAI counts: what was cached or thought is part of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tokens {
    pub(super) prompt: u64,
    /// Of those, read from a cache.
    pub(super) cached: u64,
    /// Of those, written to a cache; `None` where the vendor does not count them.
    pub(super) cache_creation: Option<u64>,
    pub(super) completion: u64,
    /// Of those, for thinking.
    pub(super) reasoning: u64,
}

impl Tokens {
    pub(super) fn to_json(self, facts: &AnswerFacts) -> Value {
        let mut usage = json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt.saturating_add(self.completion),
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        });
        if let Some(created) = self.cache_creation
            && facts.lenient
            && created.max(self.cached) > 0
        {
            usage["cache_read_input_tokens"] = json!(self.cached);
            usage["cache_creation_input_tokens"] = json!(created);
        }
        usage
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) text: String,
    /// In OpenAI's form: see [`call`].
    pub(super) calls: Vec<Value>,
    pub(super) finish: Finish,
    pub(super) tokens: Tokens,
    /// What lenient answers carry.
    pub(super) more: More<'a>,
}

/// What OpenAI has no field for.
#[derive(Debug, Default)]
pub(super) struct More<'a> {
    /// What was thought and said, block by block.
    pub(super) blocks: Vec<Value>,
    /// Where Gemini's words come from.
    pub(super) grounding: Option<&'a Value>,
}

impl Answer<'_> {
    /// As a `chat.completion`. The content is null when there is none but calls.
    pub(super) fn into_json(self, facts: &AnswerFacts) -> Value {
        let content = (!self.text.is_empty() || self.calls.is_empty()).then_some(self.text);
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !self.calls.is_empty() {
            message["tool_calls"] = Value::Array(self.calls);
        }
        let More { blocks, grounding } = self.more;
        if facts.lenient && !blocks.is_empty() {
            message["content_blocks"] = Value::Array(blocks);
        }
        let mut choice = json!({
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": self.finish.name(),
        });
        if let Some(grounding) = grounding.filter(|_| facts.lenient) {
            choice["groundingMetadata"] = grounding.clone();
        }
        json!({
            "id": self.id.unwrap_or(&facts.id),
            "object": "chat.completion",
            "created": facts.created,
            "model": self.model.unwrap_or(&facts.model),
            "choices": [choice],
            "usage": self.tokens.to_json(facts),
        })
    }
}

/// A call in OpenAI's form; `arguments` is JSON text.
pub(super) fn call(id: &str, name: &str, arguments: &str) -> Map<String, Value> {
    let mut call = Map::new();
    call.insert("id".to_owned(), json!(id));
    call.insert("type".to_owned(), json!("function"));
    let function = json!({"name": name, "arguments": arguments});
    call.insert("function".to_owned(), function);
    call
}

/// A text that is there and not empty.
pub(super) fn given(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A number of tokens; 0 where there is none.
pub(super) fn tokens(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// An error in OpenAI's form. The message is cut at 1,000 characters; `code` is the vendor's own
/// word for the error.
pub(super) fn error(status: u16, message: Option<&str>, code: Option<&str>) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let message = message.map_or_else(
        || format!("The provider answered with status {status}."),
        |message| presentable(message, None),
    );
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// A list of models: id, unix seconds, owner.
pub(super) fn models<'a>(entries: impl Iterator<Item = (&'a str, i64)>, owner: &str) -> Value {
    let data: Vec<_> = entries.map(|entry| model(entry, owner)).collect();
    json!({"object": "list", "data": data})
}

/// One model.
pub(super) fn model((id, created): (&str, i64), owner: &str) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": owner})
}
