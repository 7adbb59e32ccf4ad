//! The built-in model: deterministic, free, and steered by directives in the last user message
//! (`docs/echo.md`). For try-outs and for users' own tests.

pub(crate) mod completion;
mod directive;

use std::{collections::HashMap, time::Duration};

use futures::stream;
use loomgate_domain::{
    IdGen, Usage,
    id::{CallId, new_id},
    tool::{ResponseFormat, ToolChoice},
};
use loomgate_wire::chat::{
    ChatEvent, ChatMessage, ChatRequest, ChatToolCall, FinishReason, UserContent, UserPart,
};

use self::directive::{Call, Directives};
use serde_json::{Value, json};

use crate::{ChatStream, error::Error};

/// What the model will do, all of it decided beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Script {
    events: Vec<ChatEvent>,
    /// Wait before each word.
    pace: Duration,
}

/// The model as `GET /v1/models` lists it. Its date is that of a fixed day, 2026-01-01.
pub(crate) fn model() -> Value {
    json!({"id": "echo", "object": "model", "created": 1_767_225_600, "owned_by": "loomgate"})
}

/// One turn of the echo model.
pub(crate) fn chat(request: &ChatRequest, ids: &dyn IdGen) -> Result<ChatStream, Error> {
    let Script { events, pace } = answer(request, ids)?;
    let events = stream::unfold(events.into_iter(), move |mut events| async move {
        let event = events.next()?;
        if !pace.is_zero() && is_word(&event) {
            tokio::time::sleep(pace).await;
        }
        Some((Ok(event), events))
    });
    Ok(ChatStream::new(events))
}

fn is_word(event: &ChatEvent) -> bool {
    match event {
        ChatEvent::Text(_) | ChatEvent::Refusal(_) | ChatEvent::CallArguments { .. } => true,
        ChatEvent::CallStarted { .. } | ChatEvent::Usage(_) | ChatEvent::Finished(_) => false,
    }
}

/// Decides the whole turn. `ids` makes the ids of calls; everything else follows from the request.
fn answer(request: &ChatRequest, ids: &dyn IdGen) -> Result<Script, Error> {
    let last_user = request
        .messages
        .iter()
        .rposition(|message| matches!(message, ChatMessage::User { .. }));
    let (message, later) = match last_user {
        Some(position) => (
            user_text(&request.messages[position]),
            &request.messages[position + 1..],
        ),
        None => (String::new(), &request.messages[..]),
    };
    let directives = directive::parse(&message).map_err(|line| {
        Error::status(
            400,
            format!("The echo model does not know the directive: {line}"),
        )
    })?;
    if let Some(status) = directives.fail {
        return Err(Error::status(
            status,
            format!("The echo model was told to fail with status {status}."),
        ));
    }
    let done = History::of(later);
    let mut turn = Turn::new(&directives, request);
    match next_calls(request, &directives, &done) {
        Some(calls) => {
            if done.rounds == 0 {
                turn.text(directives.say.as_deref().unwrap_or_default());
            }
            turn.calls(calls, ids);
        }
        None => match &directives.refuse {
            Some(words) => turn.refusal(words),
            None => turn.text(&final_text(request, &directives, &done)),
        },
    }
    Ok(turn.finish(request, directives.pace))
}

/// The calls of the turn that is due, if it makes any.
fn next_calls(request: &ChatRequest, directives: &Directives, done: &History) -> Option<Vec<Call>> {
    if request.tool_choice == ToolChoice::None {
        return None;
    }
    let due = if request.parallel_tool_calls {
        directives.rounds.get(done.rounds).cloned()
    } else {
        let call = directives.rounds.iter().flatten().nth(done.rounds);
        call.map(|call| vec![call.clone()])
    };
    if due.is_some() {
        return due;
    }
    let forced = match &request.tool_choice {
        ToolChoice::Function(name) => name,
        ToolChoice::Required => &request.tools.first()?.name,
        ToolChoice::None
        | ToolChoice::Auto
        | ToolChoice::FileSearch
        | ToolChoice::CodeInterpreter => return None,
    };
    (done.rounds == 0).then(|| {
        vec![Call {
            name: forced.clone(),
            arguments: "{}".to_owned(),
        }]
    })
}

fn final_text(request: &ChatRequest, directives: &Directives, done: &History) -> String {
    let text = if done.rounds > 0 {
        done.returned.join("\n")
    } else {
        directives.say.as_ref().unwrap_or(&directives.rest).clone()
    };
    match request.response_format {
        ResponseFormat::Auto | ResponseFormat::Text => text,
        ResponseFormat::JsonObject | ResponseFormat::JsonSchema(_) => {
            json!({ "echo": text }).to_string()
        }
    }
}

/// What has come since the last user message.
struct History {
    /// Turns that made calls.
    rounds: usize,
    /// A line for each call whose output has come: `NAME returned OUTPUT`.
    returned: Vec<String>,
}

impl History {
    fn of(messages: &[ChatMessage]) -> Self {
        let mut outputs = HashMap::new();
        for message in messages {
            if let ChatMessage::Tool {
                tool_call_id,
                content,
            } = message
            {
                outputs.insert(tool_call_id.as_str(), content.as_str());
            }
        }
        let turns = messages.iter().filter_map(|message| match message {
            ChatMessage::Assistant { tool_calls, .. } if !tool_calls.is_empty() => Some(tool_calls),
            _ => None,
        });
        Self {
            rounds: turns.clone().count(),
            returned: turns
                .flatten()
                .filter_map(|ChatToolCall::Function { id, function, .. }| {
                    let output = outputs.get(id.as_str())?;
                    Some(format!("{} returned {output}", function.name))
                })
                .collect(),
        }
    }
}

/// A turn in the making.
struct Turn {
    events: Vec<ChatEvent>,
    /// Words that may still be said.
    words_left: usize,
    finish: FinishReason,
    completion_tokens: u64,
}

impl Turn {
    fn new(directives: &Directives, request: &ChatRequest) -> Self {
        let limits = [
            directives.length,
            request
                .max_completion_tokens
                .and_then(|tokens| usize::try_from(tokens).ok()),
        ];
        Self {
            events: Vec::new(),
            words_left: limits.into_iter().flatten().min().unwrap_or(usize::MAX),
            finish: FinishReason::Stop,
            completion_tokens: 0,
        }
    }

    fn text(&mut self, text: &str) {
        self.say(text, ChatEvent::Text);
    }

    fn refusal(&mut self, text: &str) {
        self.say(text, ChatEvent::Refusal);
    }

    fn say(&mut self, text: &str, event: fn(String) -> ChatEvent) {
        for word in words(text) {
            if self.words_left == 0 {
                self.finish = FinishReason::Length;
                return;
            }
            self.words_left -= 1;
            self.completion_tokens += count_words(word);
            self.events.push(event(word.to_owned()));
        }
    }

    fn calls(&mut self, calls: Vec<Call>, ids: &dyn IdGen) {
        if self.finish == FinishReason::Length {
            return;
        }
        for (index, call) in calls.into_iter().enumerate() {
            self.completion_tokens += count_words(&call.name) + count_words(&call.arguments);
            let id: CallId = new_id(ids);
            self.events.push(ChatEvent::CallStarted {
                index,
                id: id.as_str().to_owned(),
                name: call.name,
                signature: None,
            });
            let pieces = words(&call.arguments).map(|text| ChatEvent::CallArguments {
                index,
                text: text.to_owned(),
            });
            self.events.extend(pieces);
        }
        self.finish = FinishReason::ToolCalls;
    }

    fn finish(mut self, request: &ChatRequest, pace: Duration) -> Script {
        self.events.push(ChatEvent::Finished(self.finish));
        self.events.push(ChatEvent::Usage(Usage {
            prompt_tokens: request.messages.iter().map(message_words).sum(),
            completion_tokens: self.completion_tokens,
            ..Usage::default()
        }));
        Script {
            events: self.events,
            pace,
        }
    }
}

/// Pieces of a text: each a word with the space after it, the first also with the space before it.
/// Together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(rest.len());
        let space = rest[word..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |at| word + at);
        let next = rest[space..]
            .find(|c: char| !c.is_whitespace())
            .map_or(rest.len(), |at| space + at);
        let (piece, after) = rest.split_at(next);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn count_words(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

fn message_words(message: &ChatMessage) -> u64 {
    match message {
        ChatMessage::User { .. } => count_words(&user_text(message)),
        ChatMessage::System { content } | ChatMessage::Tool { content, .. } => count_words(content),
        ChatMessage::Assistant { content, .. } => content.as_deref().map_or(0, count_words),
    }
}

/// The words of a user message; its text parts stand on lines of their own.
fn user_text(message: &ChatMessage) -> String {
    let ChatMessage::User { content } = message else {
        return String::new();
    };
    match content {
        UserContent::Text(text) => text.clone(),
        UserContent::Parts(parts) => parts
            .iter()
            .filter_map(|part| match part {
                UserPart::Text { text } => Some(text.as_str()),
                UserPart::ImageUrl { .. } | UserPart::ImageFile { .. } => None,
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[cfg(test)]
mod tests;
