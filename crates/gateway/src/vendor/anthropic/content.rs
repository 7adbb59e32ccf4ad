//! A conversation in Anthropic's blocks.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::vendor::{
    Unsupported,
    content::{Part, Source},
    turns::{Conversation, Output, Piece, Role, Turn},
};

/// The images that Anthropic looks at.
const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// The instructions as blocks of `system`.
pub(super) fn system(instructions: &[Part<'_>]) -> Vec<Value> {
    let texts = instructions.iter().filter_map(|part| match part {
        Part::Text {
            text,
            cache_control,
        } => Some(text_block(text, *cache_control)),
        Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => None,
    });
    texts.collect()
}

/// The turns as `messages`. What tools gave is the person's turn there, before the person's words.
pub(super) fn messages(conversation: &Conversation<'_>) -> Result<Value, Unsupported> {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for turn in &conversation.turns {
        let role = match turn.role {
            Role::User | Role::Tool => "user",
            Role::Model => "assistant",
        };
        let blocks = blocks(turn)?;
        match messages.last_mut() {
            Some((last, content)) if *last == role => content.extend(blocks),
            _ => messages.push((role, blocks)),
        }
    }
    let messages = messages
        .into_iter()
        .map(|(role, content)| json!({"role": role, "content": content}));
    Ok(messages.collect())
}

fn blocks(turn: &Turn<'_>) -> Result<Vec<Value>, Unsupported> {
    let pieces = turn.pieces.iter().filter(|piece| !is_unsigned(piece));
    let blocks = pieces.map(|piece| match piece {
        Piece::Part(part) => block(part),
        Piece::Block(block) => Ok((*block).clone()),
        Piece::Call(call) => Ok(json!({
            "type": "tool_use",
            "id": tool_id(call.id),
            "name": call.name,
            "input": call.arguments,
        })),
        Piece::Output(output) => result(output),
    });
    blocks.collect()
}

/// Whether a piece is a thought that Anthropic does not take back: another model's.
fn is_unsigned(piece: &Piece<'_>) -> bool {
    let has = |block: &Value, name: &str| block[name].as_str().is_some_and(|it| !it.is_empty());
    matches!(piece, Piece::Block(block)
        if block["type"] == "thinking" && !has(block, "signature"))
}

/// Whether the model's last turn begins with what it thought, so that it may go on thinking.
pub(super) fn thought_before(conversation: &Conversation<'_>) -> bool {
    let mut turns = conversation.turns.iter().rev();
    let last = turns.find(|turn| turn.role == Role::Model);
    let first = last.and_then(|turn| turn.pieces.iter().find(|piece| !is_unsigned(piece)));
    let thought =
        |block: &Value| block["type"] == "thinking" || block["type"] == "redacted_thinking";
    matches!(first, Some(Piece::Block(block)) if thought(block))
}

fn block(part: &Part<'_>) -> Result<Value, Unsupported> {
    match part {
        Part::Text {
            text,
            cache_control,
        } => Ok(text_block(text, *cache_control)),
        Part::Image {
            source: Source::Url(url),
            ..
        } => Ok(json!({"type": "image", "source": {"type": "url", "url": url}})),
        Part::Image {
            source: Source::Data(data),
            path,
        } => {
            let media_type = data.media_type.to_ascii_lowercase();
            if !IMAGES.contains(&media_type.as_str()) {
                let message = "Anthropic's API takes JPEG, PNG, GIF and WebP images.";
                return Err(Unsupported::new(path, message));
            }
            let source = json!({"type": "base64", "media_type": media_type, "data": data.base64});
            Ok(json!({"type": "image", "source": source}))
        }
        Part::File { source, name, path } => {
            if !source.media_type.eq_ignore_ascii_case("application/pdf") {
                let message = "Anthropic's API takes PDF files only.";
                return Err(Unsupported::new(path, message));
            }
            let source =
                json!({"type": "base64", "media_type": "application/pdf", "data": source.base64});
            let mut block = json!({"type": "document", "source": source});
            if let Some(name) = name {
                block["title"] = json!(name);
            }
            Ok(block)
        }
        Part::Audio { path, .. } => {
            let message = "Anthropic's API cannot hear.";
            Err(Unsupported::new(path, message))
        }
    }
}

fn text_block(text: &str, cache_control: Option<&Value>) -> Value {
    let mut block = json!({"type": "text", "text": text});
    if let Some(mark) = cache_control {
        block["cache_control"] = mark.clone();
    }
    block
}

fn result(output: &Output<'_>) -> Result<Value, Unsupported> {
    let mut block = json!({"type": "tool_result", "tool_use_id": tool_id(output.id)});
    let said: Vec<_> = output
        .parts
        .iter()
        .filter(|part| part.says_something())
        .collect();
    match said.as_slice() {
        [] => {}
        [
            Part::Text {
                text,
                cache_control: None,
            },
        ] => block["content"] = json!(text),
        parts => {
            let blocks: Result<Vec<_>, _> = parts.iter().map(|part| self::block(part)).collect();
            block["content"] = json!(blocks?);
        }
    }
    Ok(block)
}

/// An id of a call in the letters that Anthropic takes; another provider may have made it.
fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if id.is_empty() {
        Cow::Borrowed("_")
    } else if id.chars().all(fits) {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(id.replace(|letter| !fits(letter), "_"))
    }
}
