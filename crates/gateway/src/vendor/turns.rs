//! A conversation in turns: what both vendors want instead of a list of messages.
//!
//! Instructions stand apart, wherever they stood; neighbours of one role are one turn; the first
//! turn and the last are the person's. Where a conversation does not begin or end so, a short
//! sentence is put there, because vendors refuse it otherwise (or continue the last answer instead
//! of giving a new one).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    Unsupported,
    content::{self, Part},
    fields,
};

/// Stands before a conversation that begins with the model's words.
const OPENING: &str = "(The conversation begins with your message.)";

/// Stands after a conversation that ends with the model's words.
const CONTINUATION: &str = "Continue.";

/// The whole conversation.
#[derive(Debug, PartialEq)]
pub(super) struct Conversation<'a> {
    /// System and developer messages in their order; texts only.
    pub(super) instructions: Vec<Part<'a>>,
    /// Never empty; no turn is empty.
    pub(super) turns: Vec<Turn<'a>>,
}

/// What one side says until the other speaks.
#[derive(Debug, PartialEq)]
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) pieces: Vec<Piece<'a>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Model,
    Tool,
}

/// A piece of a turn.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Part(Part<'a>),
    /// A block of Anthropic's that has no word here, as it came: a thought, or what its server's
    /// own tools did. Other vendors are not told of it.
    Block(&'a Value),
    Call(Call<'a>),
    Output(Output<'a>),
}

/// A call that the model made.
#[derive(Debug, PartialEq)]
pub(super) struct Call<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Map<String, Value>,
    /// Gemini's, from `extra_content.google.thought_signature`, or where Portkey's clients have it.
    pub(super) signature: Option<&'a str>,
}

/// What came of a call.
#[derive(Debug, PartialEq)]
pub(super) struct Output<'a> {
    pub(super) id: &'a str,
    /// The function, where the call is part of the conversation.
    pub(super) name: Option<&'a str>,
    pub(super) parts: Vec<Part<'a>>,
    /// Where the message stands: `messages[3]`.
    pub(super) path: String,
}

impl<'a> Conversation<'a> {
    /// Reads `messages`.
    pub(super) fn read(body: &'a Map<String, Value>) -> Result<Self, Unsupported> {
        let mut conversation = Self {
            instructions: Vec::new(),
            turns: Vec::new(),
        };
        let mut names = HashMap::new();
        for (index, message) in fields::list(body, "messages")?.iter().enumerate() {
            conversation.message(message, &format!("messages[{index}]"), &mut names)?;
        }
        conversation.complete()
    }

    fn message(
        &mut self,
        message: &'a Value,
        path: &str,
        names: &mut HashMap<&'a str, &'a str>,
    ) -> Result<(), Unsupported> {
        let content = format!("{path}.content");
        match message["role"].as_str() {
            Some("system" | "developer") => {
                let parts = content::words(&message["content"], &content)?;
                self.instructions
                    .extend(parts.into_iter().filter(Part::says_something));
            }
            Some("user") => {
                let parts = content::parts(&message["content"], &content)?;
                self.say(Role::User, parts);
            }
            Some("assistant") => {
                self.spoken(message, path)?;
                if let Some(refusal) = message["refusal"].as_str() {
                    self.say(Role::Model, vec![Part::text(refusal)]);
                }
                for (index, value) in calls(message, path)?.iter().enumerate() {
                    let call = call(value, &format!("{path}.tool_calls[{index}]"))?;
                    names.insert(call.id, call.name);
                    self.push(Role::Model, Piece::Call(call));
                }
            }
            Some("tool") => {
                let id = message["tool_call_id"].as_str().ok_or_else(|| {
                    let param = format!("{path}.tool_call_id");
                    let message = format!("'{param}' must be a string.");
                    Unsupported::new(param, message)
                })?;
                let output = Output {
                    id,
                    name: names.get(id).copied(),
                    parts: content::parts(&message["content"], &content)?,
                    path: path.to_owned(),
                };
                self.push(Role::Tool, Piece::Output(output));
            }
            _ => {
                let param = format!("{path}.role");
                let message = format!(
                    "'{param}' must be 'system', 'developer', 'user', 'assistant' or 'tool' for this provider."
                );
                return Err(Unsupported::new(param, message));
            }
        }
        Ok(())
    }

    /// What the model said: `content`, or `content_blocks` where an answer of Anthropic's or
    /// Gemini's comes back as it was given out. Calls in them are those of `tool_calls`.
    fn spoken(&mut self, message: &'a Value, path: &str) -> Result<(), Unsupported> {
        let (name, is_blocks) = match &message["content_blocks"] {
            Value::Null => ("content", false),
            _ => ("content_blocks", true),
        };
        let path = format!("{path}.{name}");
        let Value::Array(blocks) = &message[name] else {
            self.say(Role::Model, content::words(&message[name], &path)?);
            return Ok(());
        };
        for (index, block) in blocks.iter().enumerate() {
            let at = format!("{path}[{index}]");
            match block["type"].as_str().unwrap_or_default() {
                "thinking" | "redacted_thinking" => self.push(Role::Model, Piece::Block(block)),
                "tool_use" if is_blocks => {}
                "text" | "refusal" | "image_url" if is_blocks => {
                    self.say(Role::Model, vec![content::part(block, &at)?]);
                }
                _ if is_blocks => self.push(Role::Model, Piece::Block(block)),
                _ => self.say(Role::Model, vec![content::word(block, &at, &path)?]),
            }
        }
        Ok(())
    }

    fn say(&mut self, role: Role, parts: Vec<Part<'a>>) {
        for part in parts.into_iter().filter(Part::says_something) {
            self.push(role, Piece::Part(part));
        }
    }

    fn push(&mut self, role: Role, piece: Piece<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.pieces.push(piece),
            _ => self.turns.push(Turn {
                role,
                pieces: vec![piece],
            }),
        }
    }

    /// Makes the person speak first and last. A conversation of instructions only is what the
    /// person says.
    fn complete(mut self) -> Result<Self, Unsupported> {
        if self.turns.is_empty() {
            let instructions = std::mem::take(&mut self.instructions);
            self.say(Role::User, instructions);
        }
        let (Some(first), Some(last)) = (self.turns.first(), self.turns.last()) else {
            let message = "'messages' must hold at least one message that says something.";
            return Err(Unsupported::new("messages", message));
        };
        let (opens, ends) = (first.role == Role::Model, last.role == Role::Model);
        if opens {
            let opening = Turn {
                role: Role::User,
                pieces: vec![Piece::Part(Part::text(OPENING))],
            };
            self.turns.insert(0, opening);
        }
        if ends {
            self.say(Role::User, vec![Part::text(CONTINUATION)]);
        }
        Ok(self)
    }

    /// The calls of the conversation.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call<'a>> {
        let pieces = self.turns.iter().flat_map(|turn| &turn.pieces);
        pieces.filter_map(|piece| match piece {
            Piece::Call(call) => Some(call),
            Piece::Part(_) | Piece::Block(_) | Piece::Output(_) => None,
        })
    }

    /// Whether the model has not spoken since its tools answered.
    pub(super) fn ends_with_output(&self) -> bool {
        self.turns
            .last()
            .is_some_and(|turn| turn.role == Role::Tool)
    }
}

fn calls<'a>(message: &'a Value, path: &str) -> Result<&'a [Value], Unsupported> {
    if let Some(name) = ["function_call", "audio"]
        .into_iter()
        .find(|name| !message[name].is_null())
    {
        let param = format!("{path}.{name}");
        let message = format!("'{param}' cannot be said to this provider.");
        return Err(Unsupported::new(param, message));
    }
    match &message["tool_calls"] {
        Value::Null => Ok(&[]),
        Value::Array(calls) => Ok(calls),
        _ => {
            let param = format!("{path}.tool_calls");
            let message = format!("'{param}' must be an array.");
            Err(Unsupported::new(param, message))
        }
    }
}

fn call<'a>(value: &'a Value, path: &str) -> Result<Call<'a>, Unsupported> {
    let function = &value["function"];
    let read = |field: &'a Value, name: &str| {
        field.as_str().ok_or_else(|| {
            let param = format!("{path}.{name}");
            let message = format!("'{param}' must be a string.");
            Unsupported::new(param, message)
        })
    };
    Ok(Call {
        id: read(&value["id"], "id")?,
        name: read(&function["name"], "function.name")?,
        arguments: arguments(read(&function["arguments"], "function.arguments")?),
        signature: value["extra_content"]["google"]["thought_signature"]
            .as_str()
            .or_else(|| function["thought_signature"].as_str()),
    })
}

/// The arguments as an object. What a model once wrote that is none goes as it is, under the name
/// `arguments`: a conversation must not be lost for it.
fn arguments(text: &str) -> Map<String, Value> {
    if text.trim().is_empty() {
        return Map::new();
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        _ => Map::from_iter([("arguments".to_owned(), json!(text))]),
    }
}
