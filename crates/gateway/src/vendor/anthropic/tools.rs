//! Tools, and whether they must be used.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema;
use crate::vendor::{
    Unsupported,
    fields::{self, Choice},
    turns::Conversation,
};

/// What is said of tools.
#[derive(Debug)]
pub(super) struct Tools {
    /// `tools` and `tool_choice`, where there is something to say.
    pub(super) fields: Map<String, Value>,
    /// The model must call something.
    pub(super) forced: bool,
}

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn read(
    body: &Map<String, Value>,
    conversation: &Conversation<'_>,
) -> Result<Tools, Unsupported> {
    let given = fields::list(body, "tools")?;
    let tools: Result<Vec<_>, _> = given
        .iter()
        .enumerate()
        .map(|(index, value)| tool(value, &format!("tools[{index}]")))
        .collect();
    let mut tools = tools?;
    let choice = fields::tool_choice(body, !tools.is_empty())?;
    let parallel = fields::flag(body, "parallel_tool_calls")?;
    let mut out = Map::new();
    if tools.is_empty() {
        // Calls that were made must be of declared tools, even if no more can be made.
        tools = stand_ins(conversation);
        if !tools.is_empty() {
            out.insert("tools".to_owned(), json!(tools));
            out.insert("tool_choice".to_owned(), json!({"type": "none"}));
        }
        return Ok(Tools {
            fields: out,
            forced: false,
        });
    }
    out.insert("tools".to_owned(), json!(tools));
    let one_by_one = parallel == Some(false);
    let said = match choice {
        None if one_by_one => Some(json!({"type": "auto"})),
        None => None,
        Some(Choice::Auto) => Some(json!({"type": "auto"})),
        Some(Choice::None) => Some(json!({"type": "none"})),
        Some(Choice::Required) => Some(json!({"type": "any"})),
        Some(Choice::Function(name)) => Some(json!({"type": "tool", "name": name})),
    };
    if let Some(mut said) = said {
        if one_by_one && choice != Some(Choice::None) {
            said["disable_parallel_tool_use"] = json!(true);
        }
        out.insert("tool_choice".to_owned(), said);
    }
    Ok(Tools {
        fields: out,
        forced: choice.is_some_and(Choice::forces),
    })
}

fn tool(value: &Value, path: &str) -> Result<Value, Unsupported> {
    let kind = value["type"].as_str().unwrap_or_default();
    // `web_search_20250305`: only Anthropic names tools so.
    let is_own = kind.rsplit_once('_').is_some_and(|(_, date)| {
        date.len() == 8 && date.bytes().all(|letter| letter.is_ascii_digit())
    });
    if is_own {
        return Ok(value.clone());
    }
    if kind != "function" {
        let param = format!("{path}.type");
        let message = format!("'{param}' must be 'function' for this provider.");
        return Err(Unsupported::new(param, message));
    }
    let function = &value["function"];
    let Some(name) = function["name"].as_str() else {
        let param = format!("{path}.function.name");
        let message = format!("'{param}' must be a string.");
        return Err(Unsupported::new(param, message));
    };
    let mut tool = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(description) = function["description"].as_str() {
        tool.insert("description".to_owned(), json!(description));
    }
    let is_strict = function["strict"] == true;
    let mut parameters = match &function["parameters"] {
        Value::Null => json!({"type": "object", "properties": {}}),
        schema @ Value::Object(_) if is_strict => schema::closed(schema),
        schema @ Value::Object(_) => schema.clone(),
        _ => {
            let param = format!("{path}.function.parameters");
            let message = format!("'{param}' must be an object.");
            return Err(Unsupported::new(param, message));
        }
    };
    if parameters["type"].is_null() {
        parameters["type"] = json!("object");
    }
    if is_strict && function["parameters"].is_null() {
        parameters["additionalProperties"] = json!(false);
    }
    tool.insert("input_schema".to_owned(), parameters);
    if is_strict {
        tool.insert("strict".to_owned(), json!(true));
    }
    if let Some(mark) = value.get("cache_control").filter(|mark| !mark.is_null()) {
        tool.insert("cache_control".to_owned(), mark.clone());
    }
    Ok(Value::Object(tool))
}

fn stand_ins(conversation: &Conversation<'_>) -> Vec<Value> {
    let names: BTreeSet<_> = conversation.calls().map(|call| call.name).collect();
    let tools = names
        .into_iter()
        .map(|name| json!({"name": name, "input_schema": {"type": "object"}}));
    tools.collect()
}
