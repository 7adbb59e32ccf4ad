//! The pieces of a streamed answer, as events.

use std::{collections::VecDeque, sync::Arc};

use loomgate_domain::{IdGen, Usage};
use loomgate_wire::chat::{ChatEvent, FinishReason};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{
    calls::{Calls, Piece},
    failure,
};
use crate::{
    error::{Error, Who},
    usage::RawUsage,
};

/// The most bytes of an answer: words, refusal, arguments and signatures together.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A chunk of a stream; or a whole completion, whose choice has a message instead of a delta.
#[derive(Debug, Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<RawUsage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Delta>,
    message: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    /// A text; from some servers a list of parts.
    content: Option<Value>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Deserialize)]
struct CallDelta {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionDelta>,
    /// `{"google": {"thought_signature": "..."}}`; from other servers, whatever it may be.
    extra_content: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    /// JSON text; from some servers the object itself.
    arguments: Option<Value>,
}

/// How an answer ended, where it did not name a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server said that it was done, or sent the answer in one piece.
    Said,
    /// The bytes ended.
    Cut,
}

/// Turns chunks into events.
pub(crate) struct Decoder {
    ids: Arc<dyn IdGen>,
    key: Option<SecretString>,
    calls: Calls,
    /// Some servers count in every chunk: the last one holds.
    usage: Option<Usage>,
    /// Bytes of the answer so far.
    bytes: usize,
    finished: bool,
}

impl Decoder {
    /// `key` is what error messages must not contain.
    pub(crate) fn new(ids: Arc<dyn IdGen>, key: Option<SecretString>) -> Self {
        Self {
            ids,
            key,
            calls: Calls::default(),
            usage: None,
            bytes: 0,
            finished: false,
        }
    }

    /// Whether the answer is whole; only usage may follow.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes one chunk, or a whole completion.
    pub(super) fn chunk(
        &mut self,
        data: &[u8],
        is_error: bool,
        events: &mut VecDeque<ChatEvent>,
    ) -> Result<(), Error> {
        let text = std::str::from_utf8(data)
            .map_err(|_| Error::nonsense("The provider sent bytes that are not UTF-8."))?;
        if is_error || looks_like_error(text) {
            let body = serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
            if is_error || !body["error"].is_null() || body["object"] == "error" {
                return Err(failure::of_embedded(&body, self.key.as_ref()));
            }
        }
        let chunk: Chunk = serde_json::from_str(text).map_err(|error| {
            Error::nonsense(format!(
                "The provider sent something else than a chat completion (column {}).",
                error.column()
            ))
        })?;
        if let Some(usage) = chunk.usage {
            self.usage = usage.over(self.usage);
        }
        let choice = chunk.choices.into_iter().flatten().next();
        if let Some(choice) = choice.filter(|_| !self.finished) {
            if let Some(delta) = choice.delta.or(choice.message) {
                self.delta(delta, events)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish(&reason, events)?;
            }
        }
        Ok(())
    }

    /// The stream is over.
    pub(super) fn end(
        &mut self,
        ending: Ending,
        events: &mut VecDeque<ChatEvent>,
    ) -> Result<(), Error> {
        let began = self.bytes > 0 || !self.calls.is_empty();
        match ending {
            _ if self.finished => {}
            Ending::Said if began => self.finish("stop", events)?,
            Ending::Said => {
                let message = "The provider ended its answer before it began.";
                return Err(Error::nonsense(message));
            }
            Ending::Cut => {
                let message = "The provider's answer was cut off.";
                return Err(Error::new(Who::Network, true, message));
            }
        }
        events.extend(self.usage.take().map(ChatEvent::Usage));
        Ok(())
    }

    fn delta(&mut self, delta: Delta, events: &mut VecDeque<ChatEvent>) -> Result<(), Error> {
        if let Some(text) = delta.content.map(words).filter(|text| !text.is_empty()) {
            self.bytes += text.len();
            events.push_back(ChatEvent::Text(text));
        }
        if let Some(text) = delta.refusal.filter(|text| !text.is_empty()) {
            self.bytes += text.len();
            events.push_back(ChatEvent::Refusal(text));
        }
        for call in delta.tool_calls.into_iter().flatten() {
            let piece = Piece::from(call);
            self.bytes += piece.arguments.len();
            self.bytes += piece.signature.as_ref().map_or(0, String::len);
            self.calls
                .push(piece, &*self.ids, events)
                .map_err(|broken| Error::nonsense(broken.to_string()))?;
        }
        if self.bytes > ANSWER_BYTES {
            return Err(Error::nonsense(
                "The provider sent an answer of more than 8 MB.",
            ));
        }
        Ok(())
    }

    fn finish(&mut self, reason: &str, events: &mut VecDeque<ChatEvent>) -> Result<(), Error> {
        // Servers say "stop" after calls too (OpenAI itself, when the function was prescribed).
        let reason = match reason {
            "length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ if self.calls.is_empty() => FinishReason::Stop,
            _ => FinishReason::ToolCalls,
        };
        self.calls
            .finish(reason, &*self.ids, events)
            .map_err(|broken| Error::nonsense(broken.to_string()))?;
        events.push_back(ChatEvent::Finished(reason));
        self.finished = true;
        Ok(())
    }
}

/// A cheap test that no error passes, so that only suspects are parsed twice.
fn looks_like_error(text: &str) -> bool {
    text.contains("\"error\"")
}

fn words(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts
            .iter()
            .filter(|part| part["type"] == "text")
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

impl From<CallDelta> for Piece {
    fn from(delta: CallDelta) -> Self {
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let extra = delta.extra_content.unwrap_or_default();
        let signature = extra["google"]["thought_signature"].as_str();
        let (name, arguments) = delta
            .function
            .map_or((None, None), |function| (function.name, function.arguments));
        Self {
            index: delta.index,
            id: present(delta.id),
            name: present(name),
            arguments: match arguments {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text,
                Some(object) => object.to_string(),
            },
            signature: present(signature.map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests;
