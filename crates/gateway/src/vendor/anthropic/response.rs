//! What Anthropic answers.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    error::presentable,
    vendor::{
        AnswerFacts, StreamError,
        answer::{self, Answer, Finish, More, Tokens, given, tokens},
    },
};

/// Who made the models.
const OWNER: &str = "anthropic";

/// A message as a `chat.completion`; what was thought only stands in a lenient one. `Err` says what
/// is wrong with it.
pub(crate) fn chat_response(body: &Value, facts: &AnswerFacts) -> Result<Value, String> {
    let blocks = body["content"]
        .as_array()
        .ok_or("The provider sent something else than a message.")?;
    let mut text = String::new();
    let mut calls = Vec::new();
    let mut more = More::default();
    for block in blocks {
        if block["type"] != "tool_use" && facts.lenient {
            more.blocks.push(block.clone());
        }
        match block["type"].as_str() {
            Some("text") => text.push_str(block["text"].as_str().unwrap_or_default()),
            Some("tool_use") => {
                let (Some(id), Some(name)) = (given(&block["id"]), given(&block["name"])) else {
                    return Err("The provider sent a tool call without id or name.".to_owned());
                };
                let call = answer::call(id, name, &input(&block["input"]));
                calls.push(Value::Object(call));
            }
            _ => {}
        }
    }
    let reason = body["stop_reason"].as_str().unwrap_or_default();
    let answer = Answer {
        id: given(&body["id"]),
        model: given(&body["model"]),
        finish: finish(reason),
        text,
        calls,
        tokens: Usage::default().updated(&body["usage"]).tokens(),
        more,
    };
    Ok(answer.into_json(facts))
}

/// An error's body in OpenAI's form; the code is Anthropic's type.
pub(crate) fn error_body(status: u16, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &body["error"];
    answer::error(status, given(&error["message"]), given(&error["type"]))
}

/// The answer to `GET models`.
pub(crate) fn models(body: &Value) -> Result<Value, String> {
    let data = body["data"]
        .as_array()
        .ok_or("The provider sent something else than a model list.")?;
    Ok(answer::models(data.iter().filter_map(entry), OWNER))
}

/// The answer to `GET models/{id}`.
pub(crate) fn model(body: &Value) -> Result<Value, String> {
    let entry = entry(body).ok_or("The provider sent something else than a model.")?;
    Ok(answer::model(entry, OWNER))
}

fn entry(model: &Value) -> Option<(&str, i64)> {
    let created = model["created_at"].as_str().and_then(unix_seconds);
    Some((given(&model["id"])?, created.unwrap_or(0)))
}

/// A call's input as JSON text.
pub(super) fn input(input: &Value) -> String {
    match input {
        Value::Null => "{}".to_owned(),
        input => input.to_string(),
    }
}

/// Anthropic's reason in OpenAI's words. A turn that pauses for a server's tool is an end as well:
/// the caller may ask on.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// The status that goes with a type of error, for errors within a stream.
fn status(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

/// Anthropic's usage: what was read from and written to the cache is not part of `input_tokens`.
/// A stream counts more than once, and leaves out what has not changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    input: u64,
    cache_read: u64,
    cache_creation: u64,
    output: u64,
    thinking: u64,
}

impl Usage {
    pub(super) fn updated(self, usage: &Value) -> Self {
        let newer = |name: &str, older| usage[name].as_u64().unwrap_or(older);
        let details = &usage["output_tokens_details"];
        Self {
            input: newer("input_tokens", self.input),
            cache_read: newer("cache_read_input_tokens", self.cache_read),
            cache_creation: newer("cache_creation_input_tokens", self.cache_creation),
            output: newer("output_tokens", self.output),
            thinking: tokens(&details["thinking_tokens"]).max(self.thinking),
        }
    }

    pub(super) fn tokens(self) -> Tokens {
        let cache = self.cache_read.saturating_add(self.cache_creation);
        Tokens {
            prompt: self.input.saturating_add(cache),
            cached: self.cache_read,
            cache_creation: Some(self.cache_creation),
            completion: self.output,
            reasoning: self.thinking,
        }
    }
}

fn unix_seconds(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp())
}

/// The error of an `error` event.
pub(super) fn event_error(event: &Value) -> StreamError {
    let error = &event["error"];
    StreamError {
        status: error["type"].as_str().and_then(status),
        message: given(&error["message"]).map_or_else(
            || "The provider reported an error.".to_owned(),
            |message| presentable(message, None),
        ),
    }
}
