//! The text of requests and answers that checks look at.

use serde_json::Value;

/// The text of a request: the last message of the user, else the last message; a completion's
/// `prompt`; an embedding's `input`. Parts and lists are joined by line ends. What a body has of
/// these is all taken, so that a field that the endpoint ignores hides nothing.
pub fn request_text(body: &Value) -> String {
    let mut texts = Vec::new();
    for (field, value) in ["messages", "prompt", "input"]
        .into_iter()
        .filter_map(|field| Some((field, body.get(field)?)))
    {
        match value {
            Value::Array(messages)
                if field == "messages" || messages.iter().any(Value::is_object) =>
            {
                collect(last_of_the_user(messages), &mut texts);
            }
            other => collect(Some(other), &mut texts),
        }
    }
    texts.join("\n")
}

/// The text of an answer: of each choice its message's content, or its `text`; of a response its
/// `output`; of a message its `content`.
pub fn response_text(body: &Value) -> String {
    let mut texts = Vec::new();
    for choice in body["choices"].as_array().into_iter().flatten() {
        collect(choice.get("text"), &mut texts);
        collect(choice["message"].get("content"), &mut texts);
    }
    for item in body["output"].as_array().into_iter().flatten() {
        collect(item.get("content"), &mut texts);
    }
    collect(body.get("content"), &mut texts);
    texts.join("\n")
}

/// The words of an event of a stream.
pub fn chunk_text(chunk: &Value) -> Vec<&str> {
    let choices = chunk["choices"].as_array().into_iter().flatten();
    let of_choices =
        choices.flat_map(|choice| [choice["delta"].get("content"), choice.get("text")]);
    // Of `/responses` the delta is a text; of `/messages` it has one.
    let delta = chunk.get("delta").filter(|_| {
        let kind = chunk["type"].as_str();
        matches!(
            kind,
            Some("response.output_text.delta" | "content_block_delta")
        )
    });
    let of_delta = delta.map(|delta| delta.get("text").unwrap_or(delta));
    of_choices
        .chain([of_delta])
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn last_of_the_user(messages: &[Value]) -> Option<&Value> {
    let of_the_user = |message: &&Value| message["role"] == "user";
    let message = messages
        .iter()
        .rev()
        .find(of_the_user)
        .or(messages.last())?;
    // An item of `input` may be a text by itself.
    Some(message.get("content").unwrap_or(message))
}

/// Texts, and the `text` of parts; whatever else there is (tokens, images) has none.
fn collect<'v>(content: Option<&'v Value>, texts: &mut Vec<&'v str>) {
    match content {
        Some(Value::String(text)) if !text.is_empty() => texts.push(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                match part {
                    Value::String(text) if !text.is_empty() => texts.push(text),
                    Value::Object(part) => collect(part.get("text"), texts),
                    _ => {}
                }
            }
        }
        Some(Value::Object(part)) => {
            if let Some(Value::String(text)) = part.get("text") {
                texts.push(text);
            }
        }
        _ => {}
    }
}
