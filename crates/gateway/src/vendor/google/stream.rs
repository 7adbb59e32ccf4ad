//! A streamed response, as chunks.

use serde_json::{Value, json};

use super::response::{self, Calls, Ending, Part};
use crate::{
    error::presentable,
    vendor::{
        AnswerFacts, StreamError,
        answer::{Tokens, given},
        chunks::Chunks,
    },
};

/// Turns the events of one response into chunks. After an error it is of no further use.
#[derive(Debug)]
pub(crate) struct ChatStream {
    chunks: Chunks,
    /// What the caller gave, for ids of calls: the vendor's id is told to the caller only.
    facts: AnswerFacts,
    calls: Calls,
    tokens: Tokens,
    /// Thoughts came: they are the first block of a lenient answer, and the words are the second.
    thought: bool,
    /// The last one that was said: some models say `STOP` in every event.
    ending: Option<Ending>,
}

impl ChatStream {
    pub(crate) fn new(facts: AnswerFacts) -> Self {
        Self {
            chunks: Chunks::new(facts.clone()),
            facts,
            calls: Calls::default(),
            tokens: Tokens::default(),
            thought: false,
            ending: None,
        }
    }

    /// Takes the data of one event and appends the frames that it makes. Events have no names.
    pub(crate) fn event(
        &mut self,
        _name: Option<&str>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        let event: Value = serde_json::from_slice(data).map_err(|error| {
            let column = error.column();
            StreamError::nonsense(format!(
                "The provider sent something else than JSON in its stream (column {column})."
            ))
        })?;
        if let Some(error) = error(&event) {
            return Err(error);
        }
        let (id, model) = (given(&event["responseId"]), given(&event["modelVersion"]));
        self.chunks.begin(id, model, out);
        for part in response::parts(&event) {
            let index = u64::from(self.thought);
            match part {
                Part::Text(text) => self
                    .chunks
                    .block(index, || json!({"text": text}), text, out),
                Part::Thought(thought) => {
                    self.thought = true;
                    self.chunks
                        .block(0, || json!({"thinking": thought}), "", out);
                }
                Part::Image(data) => self.chunks.block(index, || response::image(data), "", out),
                Part::Call(call) => {
                    let call = self.calls.convert(call, &self.facts);
                    self.chunks
                        .call(call.map_err(StreamError::nonsense)?, out)?;
                }
            }
        }
        if let Some(grounding) = response::grounding(&event) {
            self.chunks.grounding(grounding, out);
        }
        if event["usageMetadata"].is_object() {
            self.tokens = response::usage(&event["usageMetadata"]);
        }
        match response::ending(&event) {
            Some(Ending::Failed(message)) => return Err(StreamError::nonsense(message)),
            Some(ending) => self.ending = Some(ending),
            None => {}
        }
        Ok(())
    }

    /// The provider's stream has ended; an answer without its end is an error. Why the model ended
    /// its turn is said here, because only the end shows which event was the last.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamError> {
        let ending = self
            .ending
            .take()
            .ok_or_else(|| StreamError::nonsense("The provider's answer was cut off."))?;
        let has_calls = self.chunks.calls() > 0;
        let finish = ending.finish(has_calls).map_err(StreamError::nonsense)?;
        self.chunks.finish(finish, out);
        self.chunks.end(self.tokens, out);
        Ok(())
    }
}

/// An error where an answer should be; some proxies put it into a list.
fn error(event: &Value) -> Option<StreamError> {
    let error = match event {
        Value::Array(list) => &list.first()?["error"],
        event => &event["error"],
    };
    if error.is_null() {
        return None;
    }
    let status = error["code"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    Some(StreamError {
        status: status.filter(|status| (400..600).contains(status)),
        message: given(&error["message"]).map_or_else(
            || "The provider reported an error.".to_owned(),
            |message| presentable(message, None),
        ),
    })
}
