//! A model turn as OpenAI's chat completions want it.
//!
//! Fields that say what is the default anyway are left out (`parallel_tool_calls: true`,
//! `tool_choice: "auto"`, `strict: false`, a text format): many compatible servers refuse fields
//! that they do not know.

use loomgate_domain::tool::{self, ReasoningEffort, ResponseFormat, ToolChoice};
use loomgate_wire::chat::{ChatMessage, ChatRequest, ChatToolCall};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::MaxTokensField;

/// What a server takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) max_tokens_field: MaxTokensField,
    /// Whether `stream_options` may be sent, which asks for usage.
    pub(crate) stream_options: bool,
}

/// The body of `POST /chat/completions`.
#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a ToolChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a ResponseFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tool<'a> {
    Function { function: Function<'a> },
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Converts; `model` is the provider's name for the model.
pub(crate) fn body<'a>(request: &'a ChatRequest, model: &'a str, dialect: Dialect) -> Body<'a> {
    let has_tools = !request.tools.is_empty();
    let (max_completion_tokens, max_tokens) = match dialect.max_tokens_field {
        MaxTokensField::MaxCompletionTokens => (request.max_completion_tokens, None),
        MaxTokensField::MaxTokens => (None, request.max_completion_tokens),
    };
    Body {
        model,
        messages: &request.messages,
        stream: true,
        stream_options: dialect.stream_options.then_some(StreamOptions {
            include_usage: true,
        }),
        tools: request.tools.iter().map(function).collect(),
        tool_choice: Some(&request.tool_choice).filter(|choice| has_tools && is_sent(choice)),
        parallel_tool_calls: (has_tools && !request.parallel_tool_calls).then_some(false),
        response_format: match &request.response_format {
            ResponseFormat::Auto | ResponseFormat::Text => None,
            format @ (ResponseFormat::JsonObject | ResponseFormat::JsonSchema(_)) => Some(format),
        },
        temperature: request.temperature,
        top_p: request.top_p,
        reasoning_effort: request.reasoning_effort,
        max_completion_tokens,
        max_tokens,
    }
}

/// Gives the calls of a body their signatures back, where Google's compatible endpoint has them.
pub(crate) fn sign(body: &mut Value, messages: &[ChatMessage]) {
    for (at, message) in messages.iter().enumerate() {
        let ChatMessage::Assistant { tool_calls, .. } = message else {
            continue;
        };
        for (index, ChatToolCall::Function { signature, .. }) in tool_calls.iter().enumerate() {
            let call = body.pointer_mut(&format!("/messages/{at}/tool_calls/{index}"));
            if let (Some(signature), Some(call)) = (signature, call) {
                call["extra_content"] = json!({"google": {"thought_signature": signature}});
            }
        }
    }
}

/// The last two name tools that a provider of chat completions does not have.
fn is_sent(choice: &ToolChoice) -> bool {
    match choice {
        ToolChoice::None | ToolChoice::Required | ToolChoice::Function(_) => true,
        ToolChoice::Auto | ToolChoice::FileSearch | ToolChoice::CodeInterpreter => false,
    }
}

fn function(function: &tool::Function) -> Tool<'_> {
    Tool::Function {
        function: Function {
            name: &function.name,
            description: function.description.as_deref(),
            parameters: &function.parameters,
            strict: function.strict.then_some(true),
        },
    }
}

#[cfg(test)]
mod tests;
