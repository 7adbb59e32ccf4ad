//! What the scripted server answers.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// One answer. Streamed answers end with usage (when the request asks for it) and `[DONE]`, as
/// OpenAI's do.
#[derive(Debug, Clone)]
pub struct Reply(pub(super) Kind);

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A model's answer, streamed.
    Turn(Turn),
    /// A status with a JSON body.
    Status {
        status: u16,
        body: Value,
        headers: Vec<(String, String)>,
    },
    /// An event stream of exactly these bytes, a write each.
    Raw(Vec<Bytes>),
    /// Exactly these headers and bytes.
    Exact(Exact),
    /// No answer at all.
    Hang,
}

#[derive(Debug, Clone)]
pub(super) struct Exact {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// One piece goes with its length, several are chunked.
    pub(super) pieces: Vec<Bytes>,
    /// The connection breaks behind the last piece.
    pub(super) breaks: bool,
    /// Opened for the last piece.
    pub(super) gate: Option<Gate>,
}

#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// The deltas of the answer.
    pub(super) deltas: Vec<Value>,
    pub(super) finish_reason: &'static str,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    /// Opened once for each delta.
    pub(super) gate: Option<Gate>,
    /// Only so many deltas are sent.
    pub(super) cut: Option<(usize, Cut)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The connection breaks.
    Reset,
    /// The response ends properly, but without finish reason and `[DONE]`.
    End,
}

impl Reply {
    /// A text, streamed word by word. Usage: 10 prompt tokens, and a completion token a word.
    pub fn text(words: &str) -> Self {
        let deltas: Vec<_> = words
            .split_inclusive(' ')
            .map(|word| json!({ "content": word }))
            .collect();
        let tokens = deltas.len();
        Self::turn(deltas, "stop", tokens)
    }

    /// Function calls `(id, name, arguments)`, one after another, the arguments in two pieces.
    /// Usage: 10 prompt tokens, and a completion token a call.
    pub fn calls(calls: &[(&str, &str, &str)]) -> Self {
        let mut deltas = Vec::new();
        for (index, (id, name, arguments)) in calls.iter().enumerate() {
            deltas.push(json!({ "tool_calls": [{
                "index": index, "id": id, "type": "function",
                "function": { "name": name, "arguments": "" }
            }]}));
            let middle = (0..=arguments.len() / 2)
                .rev()
                .find(|at| arguments.is_char_boundary(*at))
                .unwrap_or(0);
            for piece in [&arguments[..middle], &arguments[middle..]] {
                deltas.push(json!({ "tool_calls": [{
                    "index": index, "function": { "arguments": piece }
                }]}));
            }
        }
        Self::turn(deltas, "tool_calls", calls.len())
    }

    /// A text whose words wait for [`Gate::release`], one permit a word. The response's headers
    /// are sent at once.
    pub fn gated(words: &str, gate: &Gate) -> Self {
        Self::text(words).with_turn(|turn| turn.gate = Some(gate.clone()))
    }

    /// A status with a JSON body: an error, a list of models, an answer that is no stream.
    pub fn status(status: u16, body: Value, headers: &[(&str, &str)]) -> Self {
        Self(Kind::Status {
            status,
            body,
            headers: owned(headers),
        })
    }

    /// Exactly these headers and bytes, with a `content-length`.
    pub fn exact(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        Self(Kind::Exact(Exact {
            status,
            headers: owned(headers),
            pieces: vec![body.into()],
            breaks: false,
            gate: None,
        }))
    }

    /// Exactly these headers and bytes, chunked, a write each.
    pub fn chunked(headers: &[(&str, &str)], pieces: &[&str]) -> Self {
        let pieces = pieces.iter().map(|piece| (*piece).to_owned().into());
        Self(Kind::Exact(Exact {
            status: 200,
            headers: owned(headers),
            pieces: pieces.collect(),
            breaks: false,
            gate: None,
        }))
    }

    /// The connection breaks behind the last piece. Only for answers of exact bytes; with a
    /// `content-length` among the headers the body is shorter than that.
    ///
    /// # Panics
    /// When this is another kind of answer.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that asks for nonsense fails")]
    pub fn broken(mut self) -> Self {
        match &mut self.0 {
            Kind::Exact(exact) => exact.breaks = true,
            other => panic!("{other:?} is no answer of exact bytes"),
        }
        self
    }

    /// The last piece waits for [`Gate::release`]. Only for answers of exact bytes.
    ///
    /// # Panics
    /// For other answers.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that asks for nonsense fails")]
    pub fn held_at_the_end(mut self, gate: &Gate) -> Self {
        match &mut self.0 {
            Kind::Exact(exact) => exact.gate = Some(gate.clone()),
            other => panic!("{other:?} is no answer of exact bytes"),
        }
        self
    }

    /// What an embedding of each text in a request's `input` makes, ten tokens each.
    pub(super) fn embeddings(request: &Value, embed: super::Embed) -> Self {
        let input = &request["input"];
        let texts = input
            .as_array()
            .map_or_else(|| vec![input], |all| all.iter().collect());
        let data = texts.iter().enumerate().map(|(index, text)| {
            let embedding = embed(text.as_str().unwrap_or_default());
            json!({"object": "embedding", "index": index, "embedding": embedding})
        });
        let tokens = 10 * texts.len();
        let body = json!({
            "object": "list", "data": data.collect::<Vec<_>>(), "model": request["model"],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}
        });
        Self::status(200, body, &[])
    }

    /// An event stream of exactly these bytes.
    pub fn raw_chunks(chunks: Vec<Bytes>) -> Self {
        Self(Kind::Raw(chunks))
    }

    /// Never answers.
    pub fn hang() -> Self {
        Self(Kind::Hang)
    }

    /// The connection breaks after so many pieces (words of a text). Only for streamed answers.
    #[must_use]
    pub fn reset_after(self, pieces: usize) -> Self {
        self.with_turn(|turn| turn.cut = Some((pieces, Cut::Reset)))
    }

    /// The response ends properly after so many pieces, but without finish reason, usage and
    /// `[DONE]`. Only for streamed answers.
    #[must_use]
    pub fn end_after(self, pieces: usize) -> Self {
        self.with_turn(|turn| turn.cut = Some((pieces, Cut::End)))
    }

    /// Ends with another reason: `length`, `content_filter`. Only for streamed answers.
    #[must_use]
    pub fn finish_reason(self, reason: &'static str) -> Self {
        self.with_turn(|turn| turn.finish_reason = reason)
    }

    /// Other token counts. Only for streamed answers.
    #[must_use]
    pub fn usage(self, prompt_tokens: u64, completion_tokens: u64) -> Self {
        self.with_turn(|turn| {
            turn.prompt_tokens = prompt_tokens;
            turn.completion_tokens = completion_tokens;
        })
    }

    pub(super) fn unscripted() -> Self {
        let body = json!({ "error": { "message": "no reply scripted", "type": "server_error" } });
        Self::status(500, body, &[])
    }

    fn turn(deltas: Vec<Value>, finish_reason: &'static str, completion_tokens: usize) -> Self {
        Self(Kind::Turn(Turn {
            deltas,
            finish_reason,
            prompt_tokens: 10,
            completion_tokens: completion_tokens as u64,
            gate: None,
            cut: None,
        }))
    }

    #[expect(clippy::panic, reason = "a test that asks for nonsense fails")]
    fn with_turn(mut self, change: impl FnOnce(&mut Turn)) -> Self {
        match &mut self.0 {
            Kind::Turn(turn) => change(turn),
            other => panic!("{other:?} is no streamed answer"),
        }
        self
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Lets a gated reply go on, word by word. Clones open the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[expect(clippy::new_without_default, reason = "a gate is made on purpose")]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets so many more words pass, whether they wait already or come later.
    pub fn release(&self, words: usize) {
        self.0.add_permits(words);
    }

    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
