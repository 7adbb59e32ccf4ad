//! The fields of a request: read with their types checked, and none left over unseen.

use serde_json::{Map, Value};

use super::Unsupported;

/// The body's fields.
pub(super) fn object(body: &Value) -> Result<&Map<String, Value>, Unsupported> {
    body.as_object().ok_or_else(|| Unsupported {
        message: "The body must be a JSON object.".to_owned(),
        param: None,
    })
}

/// Refuses every field that is not in `known`, unless it is null or says what is the case anyway.
pub(super) fn check(
    body: &Map<String, Value>,
    vendor: &str,
    known: &[&[&str]],
) -> Result<(), Unsupported> {
    let unknown = body.iter().find(|(name, value)| {
        !value.is_null()
            && !known.iter().any(|names| names.contains(&name.as_str()))
            && !says_nothing(name, value)
    });
    match unknown {
        Some((name, _)) => Err(Unsupported::new(
            name,
            format!("'{name}' cannot be said to {vendor}."),
        )),
        None => Ok(()),
    }
}

/// Whether a field has the value that leaving it out has.
fn says_nothing(name: &str, value: &Value) -> bool {
    match name {
        "n" => value == 1,
        "logprobs" => value == false,
        "top_logprobs" => value == 0,
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "modalities" => value == &serde_json::json!(["text"]),
        "verbosity" => value == "medium",
        "service_tier" => value == "auto" || value == "default",
        _ => false,
    }
}

/// A field that is there and not null.
pub(super) fn present<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

/// A finite number.
pub(super) fn number(body: &Map<String, Value>, name: &str) -> Result<Option<f64>, Unsupported> {
    typed(body, name, "a number", Value::as_f64)
}

/// A whole number of at least 0.
pub(super) fn count(body: &Map<String, Value>, name: &str) -> Result<Option<u64>, Unsupported> {
    typed(body, name, "a whole number", Value::as_u64)
}

/// True or false.
pub(super) fn flag(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, Unsupported> {
    typed(body, name, "true or false", Value::as_bool)
}

/// A text.
pub(super) fn text<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, Unsupported> {
    typed(body, name, "a string", Value::as_str)
}

/// A list.
pub(super) fn list<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a [Value], Unsupported> {
    let list = typed(body, name, "an array", Value::as_array)?;
    Ok(list.map_or(&[], Vec::as_slice))
}

/// The limit on output tokens, under its newer or its older name.
pub(super) fn max_tokens(body: &Map<String, Value>) -> Result<Option<u64>, Unsupported> {
    let newer = count(body, "max_completion_tokens")?;
    Ok(newer.or(count(body, "max_tokens")?))
}

/// `stop`: a text or a list of texts.
pub(super) fn stops(body: &Map<String, Value>) -> Result<Vec<&str>, Unsupported> {
    let wrong = || Unsupported::new("stop", "'stop' must be a string or an array of strings.");
    match present(body, "stop") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(texts)) => texts
            .iter()
            .map(|text| text.as_str().ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// What `response_format` asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema { schema: &'a Value, strict: bool },
}

/// Reads `response_format`.
pub(super) fn response_format(body: &Map<String, Value>) -> Result<Format<'_>, Unsupported> {
    const NAME: &str = "response_format";
    let Some(format) = present(body, NAME) else {
        return Ok(Format::Text);
    };
    match format["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let schema = &format["json_schema"]["schema"];
            if !schema.is_object() {
                let param = "response_format.json_schema.schema";
                return Err(Unsupported::new(param, "A JSON schema must be an object."));
            }
            let strict = format["json_schema"]["strict"] == true;
            Ok(Format::JsonSchema { schema, strict })
        }
        _ => Err(Unsupported::new(
            "response_format.type",
            "'response_format.type' must be 'text', 'json_object' or 'json_schema'.",
        )),
    }
}

/// How hard to think, from nothing to as hard as the model can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// Reads `reasoning_effort`.
pub(super) fn effort(body: &Map<String, Value>) -> Result<Option<Effort>, Unsupported> {
    const NAME: &str = "reasoning_effort";
    let effort = match text(body, NAME)? {
        None => return Ok(None),
        Some("none") => Effort::None,
        Some("minimal") => Effort::Minimal,
        Some("low") => Effort::Low,
        Some("medium") => Effort::Medium,
        Some("high") => Effort::High,
        Some("xhigh") => Effort::Xhigh,
        Some("max") => Effort::Max,
        Some(_) => {
            let message = "'reasoning_effort' must be one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh' and 'max'.";
            return Err(Unsupported::new(NAME, message));
        }
    };
    Ok(Some(effort))
}

/// Whether, and which, functions must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    Auto,
    None,
    Required,
    Function(&'a str),
}

impl Choice<'_> {
    /// Whether the model has to call something.
    pub(super) fn forces(self) -> bool {
        matches!(self, Self::Required | Self::Function(_))
    }
}

/// Reads `tool_choice`; one that forces is refused without tools.
pub(super) fn tool_choice(
    body: &Map<String, Value>,
    has_tools: bool,
) -> Result<Option<Choice<'_>>, Unsupported> {
    const NAME: &str = "tool_choice";
    let Some(value) = present(body, NAME) else {
        return Ok(None);
    };
    let choice = match value {
        Value::String(mode) => match mode.as_str() {
            "auto" => Some(Choice::Auto),
            "none" => Some(Choice::None),
            "required" => Some(Choice::Required),
            _ => None,
        },
        object if object["type"] == "function" => {
            object["function"]["name"].as_str().map(Choice::Function)
        }
        _ => None,
    };
    let Some(choice) = choice else {
        let message = "'tool_choice' must be 'auto', 'none', 'required' or name a function for this provider.";
        return Err(Unsupported::new(NAME, message));
    };
    if choice.forces() && !has_tools {
        let message = "'tool_choice' is only allowed when 'tools' are specified.";
        return Err(Unsupported::new(NAME, message));
    }
    Ok(Some(choice))
}

fn typed<'a, T>(
    body: &'a Map<String, Value>,
    name: &str,
    kind: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, Unsupported> {
    let Some(value) = present(body, name) else {
        return Ok(None);
    };
    match read(value) {
        Some(value) => Ok(Some(value)),
        None => Err(Unsupported::new(name, format!("'{name}' must be {kind}."))),
    }
}
