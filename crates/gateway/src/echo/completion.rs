//! The echo model's turns as chat completions: the request read, the answer written.

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use loomgate_domain::{
    Usage,
    tool::{Function, ReasoningEffort, ResponseFormat, ToolChoice},
};
use loomgate_wire::chat::{
    CalledFunction, ChatEvent, ChatMessage, ChatRequest, ChatToolCall, FinishReason, ImageRef,
    UserContent, UserPart,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ChatStream, reading::Facts};

/// What is wrong with a request.
pub(crate) struct Wrong {
    pub(crate) param: &'static str,
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Vec<Called>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
struct Called {
    id: String,
    function: CalledSaid,
}

#[derive(Deserialize)]
struct CalledSaid {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Declared {
    function: Function,
}

/// Reads the body of `POST /chat/completions`.
pub(crate) fn parse(mut body: Map<String, Value>) -> Result<ChatRequest, Wrong> {
    let messages: Vec<Said> = required(&mut body, "messages")?;
    let messages = messages
        .into_iter()
        .enumerate()
        .map(|(index, said)| message(index, said))
        .collect::<Result<_, _>>()?;
    let tools: Option<Vec<Declared>> = optional(&mut body, "tools")?;
    let tool_choice: Option<ToolChoice> = optional(&mut body, "tool_choice")?;
    let response_format: Option<ResponseFormat> = optional(&mut body, "response_format")?;
    let effort: Option<ReasoningEffort> = optional(&mut body, "reasoning_effort")?;
    let limit: Option<u64> = optional(&mut body, "max_completion_tokens")?;
    let older_limit: Option<u64> = optional(&mut body, "max_tokens")?;
    Ok(ChatRequest {
        model: required(&mut body, "model")?,
        messages,
        tools: tools
            .into_iter()
            .flatten()
            .map(|declared| declared.function)
            .collect(),
        tool_choice: tool_choice.unwrap_or_default(),
        parallel_tool_calls: optional(&mut body, "parallel_tool_calls")?.unwrap_or(true),
        response_format: response_format.unwrap_or_default(),
        temperature: optional(&mut body, "temperature")?,
        top_p: optional(&mut body, "top_p")?,
        reasoning_effort: effort,
        max_completion_tokens: limit.or(older_limit),
    })
}

fn required<T: for<'de> Deserialize<'de>>(
    body: &mut Map<String, Value>,
    param: &'static str,
) -> Result<T, Wrong> {
    optional(body, param)?.ok_or_else(|| Wrong {
        param,
        message: format!("Missing required parameter: '{param}'."),
    })
}

fn optional<T: for<'de> Deserialize<'de>>(
    body: &mut Map<String, Value>,
    param: &'static str,
) -> Result<Option<T>, Wrong> {
    let value = body.remove(param).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| Wrong {
        param,
        message: format!("Invalid value for '{param}': {error}."),
    })
}

fn message(index: usize, said: Said) -> Result<ChatMessage, Wrong> {
    let wrong = |message: String| Wrong {
        param: "messages",
        message: format!("Invalid value for 'messages[{index}]': {message}."),
    };
    Ok(match said.role.as_str() {
        "system" | "developer" => ChatMessage::System {
            content: text(&said.content),
        },
        "user" => ChatMessage::User {
            content: user(&said.content),
        },
        "assistant" => ChatMessage::Assistant {
            content: Some(text(&said.content)).filter(|text| !text.is_empty()),
            tool_calls: said.tool_calls.into_iter().map(call).collect(),
        },
        "tool" => ChatMessage::Tool {
            tool_call_id: said
                .tool_call_id
                .ok_or_else(|| wrong("a tool message has a 'tool_call_id'".to_owned()))?,
            content: text(&said.content),
        },
        role => return Err(wrong(format!("unknown role '{role}'"))),
    })
}

fn call(called: Called) -> ChatToolCall {
    ChatToolCall::Function {
        id: called.id,
        function: CalledFunction {
            name: called.function.name,
            arguments: called.function.arguments,
        },
        signature: None,
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn user(content: &Value) -> UserContent {
    let Value::Array(parts) = content else {
        return UserContent::Text(text(content));
    };
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => Some(UserPart::Text {
            text: part["text"].as_str()?.to_owned(),
        }),
        Some("image_url") => Some(UserPart::ImageUrl {
            image_url: ImageRef {
                url: part["image_url"]["url"].as_str()?.to_owned(),
                detail: serde_json::from_value(part["image_url"]["detail"].clone())
                    .unwrap_or_default(),
            },
        }),
        _ => None,
    };
    UserContent::Parts(parts.iter().filter_map(part).collect())
}

/// The answer as server-sent events, `[DONE]` included.
pub(crate) fn frames(
    events: ChatStream,
    facts: Facts,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let chunk = move |choices: Value, usage: Option<Usage>| {
        let mut chunk = json!({
            "id": facts.id, "object": "chat.completion.chunk", "created": facts.created,
            "model": facts.model, "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = counts(usage);
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let include_usage = facts.include_usage;
    let first = chunk(
        json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
        None,
    );
    let state = (events, chunk, None::<Usage>, false);
    let rest = stream::unfold(
        state,
        move |(mut events, chunk, mut usage, done)| async move {
            if done {
                return None;
            }
            loop {
                match events.next().await {
                    Some(Ok(ChatEvent::Usage(counted))) => usage = Some(counted),
                    Some(Ok(event)) => {
                        let frame = chunk(json!([choice(&event)]), None);
                        return Some((frame, (events, chunk, usage, false)));
                    }
                    _ => {
                        let mut last = Vec::new();
                        if let Some(usage) = usage.filter(|_| include_usage) {
                            last.extend_from_slice(&chunk(json!([]), Some(usage)));
                        }
                        last.extend_from_slice(b"data: [DONE]\n\n");
                        return Some((last.into(), (events, chunk, None, true)));
                    }
                }
            }
        },
    );
    stream::iter([first]).chain(rest)
}

fn choice(event: &ChatEvent) -> Value {
    let delta = match event {
        ChatEvent::Text(text) => json!({"content": text}),
        ChatEvent::Refusal(text) => json!({"refusal": text}),
        ChatEvent::CallStarted {
            index, id, name, ..
        } => json!({"tool_calls": [{
            "index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": ""},
        }]}),
        ChatEvent::CallArguments { index, text } => json!({"tool_calls": [{
            "index": index, "function": {"arguments": text},
        }]}),
        ChatEvent::Usage(_) | ChatEvent::Finished(_) => json!({}),
    };
    let reason = match event {
        ChatEvent::Finished(reason) => Some(word(*reason)),
        _ => None,
    };
    json!({"index": 0, "delta": delta, "finish_reason": reason})
}

/// The answer in one piece.
pub(crate) async fn whole(mut events: ChatStream, facts: Facts) -> Bytes {
    let (mut content, mut refusal) = (String::new(), String::new());
    let mut calls: Vec<(String, String, String)> = Vec::new();
    let (mut usage, mut reason) = (Usage::default(), FinishReason::Stop);
    while let Some(Ok(event)) = events.next().await {
        match event {
            ChatEvent::Text(text) => content.push_str(&text),
            ChatEvent::Refusal(text) => refusal.push_str(&text),
            ChatEvent::CallStarted { id, name, .. } => calls.push((id, name, String::new())),
            ChatEvent::CallArguments { index, text } => {
                if let Some((_, _, arguments)) = calls.get_mut(index) {
                    arguments.push_str(&text);
                }
            }
            ChatEvent::Usage(counted) => usage = counted,
            ChatEvent::Finished(finished) => reason = finished,
        }
    }
    let mut message = json!({
        "role": "assistant",
        "content": Some(content).filter(|text| !text.is_empty()),
        "refusal": Some(refusal).filter(|text| !text.is_empty()),
    });
    if !calls.is_empty() {
        let calls: Vec<_> = calls
            .into_iter()
            .map(|(id, name, arguments)| {
                json!({"id": id, "type": "function",
                       "function": {"name": name, "arguments": arguments}})
            })
            .collect();
        message["tool_calls"] = calls.into();
    }
    let completion = json!({
        "id": facts.id, "object": "chat.completion", "created": facts.created,
        "model": facts.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": word(reason)}],
        "usage": counts(usage),
    });
    completion.to_string().into()
}

fn counts(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

fn word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}
