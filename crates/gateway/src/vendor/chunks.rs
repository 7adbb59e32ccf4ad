//! Writes the frames of a streamed answer in OpenAI's form: `data: {...}`, a blank line.

use serde_json::{Map, Value, json};

use super::{
    AnswerFacts, StreamError,
    answer::{Finish, Tokens},
};

/// The most calls of one turn.
const CALLS: usize = 128;

/// The frames of one answer.
#[derive(Debug)]
pub(super) struct Chunks {
    facts: AnswerFacts,
    begun: bool,
    calls: usize,
}

impl Chunks {
    pub(super) fn new(facts: AnswerFacts) -> Self {
        Self {
            facts,
            begun: false,
            calls: 0,
        }
    }

    /// Writes the first frame, which names the role; the vendor's id and model hold from here on.
    /// Later calls do nothing.
    pub(super) fn begin(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        if let Some(id) = id {
            id.clone_into(&mut self.facts.id);
        }
        if let Some(model) = model {
            model.clone_into(&mut self.facts.model);
        }
        let delta = json!({"role": "assistant", "content": "", "refusal": null});
        self.choice(&delta, None, out);
    }

    /// More words; nothing when there are none.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.begin(None, None, out);
            self.choice(&json!({"content": text}), None, out);
        }
    }

    /// More of a block, and of the words where it has any; a strict answer has only those.
    pub(super) fn block(
        &mut self,
        index: u64,
        block: impl FnOnce() -> Value,
        text: &str,
        out: &mut Vec<u8>,
    ) {
        if !self.facts.lenient {
            return self.text(text, out);
        }
        self.begin(None, None, out);
        let mut delta = Map::new();
        if !text.is_empty() {
            delta.insert("content".to_owned(), json!(text));
        }
        let blocks = json!([{"index": index, "delta": block()}]);
        delta.insert("content_blocks".to_owned(), blocks);
        self.choice(&Value::Object(delta), None, out);
    }

    /// Where the words come from, in a lenient answer.
    pub(super) fn grounding(&mut self, grounding: &Value, out: &mut Vec<u8>) {
        if self.facts.lenient {
            let choice = json!({
                "index": 0, "delta": {}, "logprobs": null, "finish_reason": null,
                "groundingMetadata": grounding,
            });
            frame(&self.chunk(&json!([choice])), out);
        }
    }

    /// How many calls have begun.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// A call begins; it is in the form of `answer::call`. Returns its index.
    pub(super) fn call(
        &mut self,
        call: Map<String, Value>,
        out: &mut Vec<u8>,
    ) -> Result<usize, StreamError> {
        let index = self.calls;
        if index == CALLS {
            let message = "The provider sent more than 128 function calls in one turn.";
            return Err(StreamError::nonsense(message));
        }
        self.begin(None, None, out);
        self.calls += 1;
        let mut delta = Map::from_iter([("index".to_owned(), json!(index))]);
        delta.extend(call);
        self.choice(&json!({"tool_calls": [delta]}), None, out);
        Ok(index)
    }

    /// More of a call's arguments; nothing when there is none.
    pub(super) fn arguments(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            let delta = json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
            self.choice(&delta, None, out);
        }
    }

    /// The turn has ended.
    pub(super) fn finish(&mut self, finish: Finish, out: &mut Vec<u8>) {
        self.begin(None, None, out);
        self.choice(&json!({}), Some(finish), out);
    }

    /// The stream has ended: usage where it was asked for, and `[DONE]`.
    pub(super) fn end(&self, tokens: Tokens, out: &mut Vec<u8>) {
        if self.facts.include_usage {
            let mut chunk = self.chunk(&json!([]));
            chunk["usage"] = tokens.to_json(&self.facts);
            frame(&chunk, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn choice(&self, delta: &Value, finish: Option<Finish>, out: &mut Vec<u8>) {
        let finish = finish.map(Finish::name);
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        frame(&self.chunk(&json!([choice])), out);
    }

    fn chunk(&self, choices: &Value) -> Value {
        let mut chunk = json!({
            "id": self.facts.id,
            "object": "chat.completion.chunk",
            "created": self.facts.created,
            "model": self.facts.model,
            "choices": choices,
        });
        if self.facts.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

fn frame(chunk: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(chunk.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}
