//! A streamed message, as chunks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::response::{self, Usage};
use crate::vendor::{
    AnswerFacts, StreamError,
    answer::{self, Finish, given},
    chunks::Chunks,
};

/// Turns the events of one message into chunks. After an error it is of no further use.
#[derive(Debug)]
pub(crate) struct ChatStream {
    chunks: Chunks,
    usage: Usage,
    /// The calls whose blocks are open, by the number of the block: no more than there are calls.
    open: BTreeMap<u64, Call>,
    finish: Option<Finish>,
}

#[derive(Debug)]
struct Call {
    index: usize,
    /// What the block began with: the whole input where no piece of it follows.
    input: Value,
    has_pieces: bool,
}

impl ChatStream {
    pub(crate) fn new(facts: AnswerFacts) -> Self {
        Self {
            chunks: Chunks::new(facts),
            usage: Usage::default(),
            open: BTreeMap::new(),
            finish: None,
        }
    }

    /// Takes the data of one event and appends the frames that it makes. The event's name is not
    /// needed: the data has it as `type`.
    pub(crate) fn event(
        &mut self,
        name: Option<&str>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        let event: Value = serde_json::from_slice(data).map_err(|error| {
            let column = error.column();
            StreamError::nonsense(format!(
                "The provider sent something else than JSON in its stream (column {column})."
            ))
        })?;
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().or(name).unwrap_or_default() {
            "message_start" => {
                let message = &event["message"];
                self.usage = self.usage.updated(&message["usage"]);
                let (id, model) = (given(&message["id"]), given(&message["model"]));
                self.chunks.begin(id, model, out);
            }
            "content_block_start" => self.start(index, &event["content_block"], out)?,
            "content_block_delta" => self.delta(index, &event["delta"], out),
            "content_block_stop" => self.stop(index, out),
            "message_delta" => {
                self.usage = self.usage.updated(&event["usage"]);
                if let Some(reason) = given(&event["delta"]["stop_reason"]) {
                    self.end(response::finish(reason), out);
                }
            }
            "error" => return Err(response::event_error(&event)),
            // `ping`, `message_stop`, and whatever will be added: the API promises that it may be
            // left out.
            _ => {}
        }
        Ok(())
    }

    /// The provider's stream has ended; an answer without its end is an error.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamError> {
        if self.finish.is_none() {
            return Err(StreamError::nonsense("The provider's answer was cut off."));
        }
        self.chunks.end(self.usage.tokens(), out);
        Ok(())
    }

    fn start(&mut self, index: u64, block: &Value, out: &mut Vec<u8>) -> Result<(), StreamError> {
        match block["type"].as_str() {
            Some("tool_use") => {
                let (Some(id), Some(name)) = (given(&block["id"]), given(&block["name"])) else {
                    let message = "The provider sent a tool call without id or name.";
                    return Err(StreamError::nonsense(message));
                };
                let call = Call {
                    index: self.chunks.call(answer::call(id, name, ""), out)?,
                    input: block["input"].clone(),
                    has_pieces: false,
                };
                self.open.insert(index, call);
            }
            _ => self.block(index, block, out),
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value, out: &mut Vec<u8>) {
        // The blocks of the server's own tools stream their input too.
        match self.open.get_mut(&index) {
            Some(call) if delta["type"] == "input_json_delta" => {
                if let Some(piece) = given(&delta["partial_json"]) {
                    call.has_pieces = true;
                    self.chunks.arguments(call.index, piece, out);
                }
            }
            _ => self.block(index, delta, out),
        }
    }

    /// A block of words, thoughts or whatever else, or a piece of it; its type goes by its fields,
    /// as in Portkey's streams.
    fn block(&mut self, index: u64, piece: &Value, out: &mut Vec<u8>) {
        let text = match piece["type"].as_str() {
            Some("text" | "text_delta") => piece["text"].as_str().unwrap_or_default(),
            _ => "",
        };
        let fields = || {
            let mut fields = piece.as_object().cloned().unwrap_or_default();
            fields.shift_remove("type");
            Value::Object(fields)
        };
        self.chunks.block(index, fields, text, out);
    }

    fn stop(&mut self, index: u64, out: &mut Vec<u8>) {
        if let Some(call) = self.open.remove(&index).filter(|call| !call.has_pieces) {
            let input = response::input(&call.input);
            self.chunks.arguments(call.index, &input, out);
        }
    }

    fn end(&mut self, finish: Finish, out: &mut Vec<u8>) {
        if self.finish.is_some() {
            return;
        }
        let open: Vec<_> = self.open.keys().copied().collect();
        for index in open {
            self.stop(index, out);
        }
        self.finish = Some(finish);
        self.chunks.finish(finish, out);
    }
}
