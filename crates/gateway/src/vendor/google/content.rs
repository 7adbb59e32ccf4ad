//! A conversation in Gemini's contents.

use serde_json::{Value, json};

use crate::vendor::{
    Unsupported,
    content::{Part, Source},
    turns::{Call, Conversation, Output, Piece, Role, Turn},
};

/// Goes where a signature was lost; Google documents it for calls that Gemini did not make itself.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The instructions as one content.
pub(super) fn instruction(instructions: &[Part<'_>]) -> Value {
    let parts: Vec<_> = instructions
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(json!({"text": text})),
            Part::Image { .. } | Part::File { .. } | Part::Audio { .. } => None,
        })
        .collect();
    json!({"parts": parts})
}

/// The turns. What functions gave is a turn of its own, because it must hold as many parts as there
/// were calls; images among it follow as another. `signed` says whether the model wants signatures
/// and ids back.
pub(super) fn contents(
    conversation: &Conversation<'_>,
    signed: bool,
) -> Result<Value, Unsupported> {
    let mut contents = Vec::new();
    for turn in &conversation.turns {
        let (parts, images) = content(turn, signed)?;
        let role = match turn.role {
            Role::User | Role::Tool => "user",
            Role::Model => "model",
        };
        for parts in [parts, images] {
            if !parts.is_empty() {
                contents.push(json!({"role": role, "parts": parts}));
            }
        }
    }
    Ok(Value::Array(contents))
}

/// The parts of a turn, and what cannot stand among them.
fn content(turn: &Turn<'_>, signed: bool) -> Result<(Vec<Value>, Vec<Value>), Unsupported> {
    let (mut parts, mut images) = (Vec::new(), Vec::new());
    let mut is_first_call = true;
    for piece in &turn.pieces {
        match piece {
            Piece::Part(part) => parts.push(self::part(part)?),
            Piece::Block(_) => {}
            Piece::Call(call) => {
                parts.push(self::call(call, signed, is_first_call));
                is_first_call = false;
            }
            Piece::Output(output) => {
                let mut text = String::new();
                for part in &output.parts {
                    match part {
                        Part::Text { text: more, .. } => text.push_str(more),
                        other => images.push(self::part(other)?),
                    }
                }
                parts.push(result(output, &text, signed)?);
            }
        }
    }
    Ok((parts, images))
}

fn part(part: &Part<'_>) -> Result<Value, Unsupported> {
    match part {
        Part::Text { text, .. } => Ok(json!({"text": text})),
        Part::Image {
            source: Source::Data(data),
            ..
        }
        | Part::File { source: data, .. } => Ok(inline(data.media_type, data.base64)),
        Part::Image {
            source: Source::Url(url),
            ..
        } => {
            let mut file = json!({"fileUri": url});
            if let Some(media_type) = media_type(url) {
                file["mimeType"] = json!(media_type);
            }
            Ok(json!({"fileData": file}))
        }
        Part::Audio { data, format, path } => match *format {
            "wav" => Ok(inline("audio/wav", data)),
            "mp3" => Ok(inline("audio/mp3", data)),
            _ => {
                let message = format!("'{path}' must be 'wav' or 'mp3'.");
                Err(Unsupported::new(path, message))
            }
        },
    }
}

fn inline(media_type: &str, base64: &str) -> Value {
    json!({"inlineData": {"mimeType": media_type, "data": base64}})
}

/// What an address says of itself by its ending.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
}

/// Of calls side by side, only the first has a signature.
fn call(call: &Call<'_>, signed: bool, is_first: bool) -> Value {
    let mut function = json!({"name": call.name, "args": call.arguments});
    if signed {
        function["id"] = json!(call.id);
    }
    let mut part = json!({"functionCall": function});
    let stand_in = (signed && is_first).then_some(NO_SIGNATURE);
    if let Some(signature) = call.signature.or(stand_in) {
        part["thoughtSignature"] = json!(signature);
    }
    part
}

/// The output as text under `output`: an object of its own could hold names that mean something to
/// the API (`$ref` does).
fn result(output: &Output<'_>, text: &str, signed: bool) -> Result<Value, Unsupported> {
    let Some(name) = output.name else {
        let param = format!("{}.tool_call_id", output.path);
        let message = format!("'{param}' names no tool call of an earlier message.");
        return Err(Unsupported::new(param, message));
    };
    let mut response = json!({"name": name, "response": {"output": text}});
    if signed {
        response["id"] = json!(output.id);
    }
    Ok(json!({"functionResponse": response}))
}
