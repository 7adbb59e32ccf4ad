//! A chat completion, asked of Gemini.
//!
//! * **Instructions** go into `systemInstruction`, wherever they stood in the conversation.
//! * **Schemas** of functions go as `parametersJsonSchema` and of answers as `responseJsonSchema`,
//!   not as `parameters` and `responseSchema`: those take a dialect of OpenAPI that has no types in
//!   lists, no `const`, no references, and refuse the whole request for a word that they do not
//!   know. References are resolved all the same (see `schema`).
//! * **Strict functions** become mode `VALIDATED`, which holds calls to their schemas; unless
//!   calls are forced, where they are held to them anyway.
//! * **`parallel_tool_calls: false`** cannot be said, and is refused where there are tools.
//! * **`reasoning_effort`** becomes a level from Gemini 3 on (`low`, `medium`, `high`: the ones
//!   that every model has; nothing turns thinking off there), and a budget of 1,024 (minimal, low),
//!   8,192 or 24,576 tokens for 2.5, the numbers of Google's own compatible endpoint.
//! * **`thinking`**, Anthropic's form, becomes `thinkingConfig`: `enabled` asks for thoughts and gives
//!   them a budget, `adaptive` asks for them, `disabled` turns thinking off as far as it goes.
//! * **Thoughts** of an assistant's message (`content_blocks`) are not told to Gemini, which has its own
//!   way to keep them; nor is what Anthropic's own tools did.
//! * **Thought signatures**: Gemini 3 refuses a call that comes back without its signature. It is
//!   handed out, and read, as `extra_content.google.thought_signature` of the tool call, as
//!   Google's own compatible endpoint does; runs keep it with their step. Where it is lost (a caller
//!   that drops fields that it does not know, a call that another model made), the stand-in goes
//!   that Google documents for that purpose. Signatures of texts are not kept: they are not asked
//!   for.
//! * **Passed as they are**, in either spelling: `top_k`, `safety_settings`, `cached_content`,
//!   `thinking_config` (it wins over `thinking`, which wins over `reasoning_effort`).
//! * **Without effect here**: `user` and `safety_identifier` (there is no place for them), `store`,
//!   `metadata`, `prompt_cache_key` and `prompt_cache_retention` (they concern OpenAI's own
//!   storage), `stream_options` (usage always comes), an image's `detail`, a message's `name`,
//!   `cache_control` on a text.
//!
//! Everything else that says something is refused.

use serde_json::{Map, Value, json};

use super::{
    content,
    model::{self, Thinking},
    schema,
};
use crate::vendor::{
    Unsupported, VendorRequest,
    fields::{self, Choice, Effort, Format},
    turns::Conversation,
};

const VENDOR: &str = "the Gemini API";

const SAID: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stream",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "thinking",
];
const PASSED: &[&str] = &[
    "top_k",
    "topK",
    "safety_settings",
    "safetySettings",
    "cached_content",
    "cachedContent",
    "thinking_config",
    "thinkingConfig",
];
const WITHOUT_EFFECT: &[&str] = &[
    "user",
    "safety_identifier",
    "store",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
];

/// Converts; `model` is Google's name for the model.
pub(crate) fn chat_request(body: &Value, model: &str) -> Result<VendorRequest, Unsupported> {
    let body = fields::object(body)?;
    fields::check(body, VENDOR, &[SAID, PASSED, WITHOUT_EFFECT])?;
    let resource = model::resource(model)?;
    let thinking = Thinking::of(model);
    let conversation = Conversation::read(body)?;

    let mut out = Map::new();
    if !conversation.instructions.is_empty() {
        let instruction = content::instruction(&conversation.instructions);
        out.insert("systemInstruction".to_owned(), instruction);
    }
    let contents = content::contents(&conversation, thinking == Thinking::Level)?;
    out.insert("contents".to_owned(), contents);
    tools(body, &mut out)?;
    let config = generation_config(body, thinking)?;
    if !config.is_empty() {
        out.insert("generationConfig".to_owned(), Value::Object(config));
    }
    for (name, other) in [
        ("safetySettings", "safety_settings"),
        ("cachedContent", "cached_content"),
    ] {
        let own = fields::present(body, name).or(fields::present(body, other));
        out.extend(own.map(|value| (name.to_owned(), value.clone())));
    }
    let streams = fields::flag(body, "stream")? == Some(true);
    let (method, query) = if streams {
        ("streamGenerateContent", vec![("alt", "sse".to_owned())])
    } else {
        ("generateContent", Vec::new())
    };
    Ok(VendorRequest {
        path: format!("{resource}:{method}"),
        query,
        headers: Vec::new(),
        body: Value::Object(out),
    })
}

fn generation_config(
    body: &Map<String, Value>,
    thinking: Thinking,
) -> Result<Map<String, Value>, Unsupported> {
    let mut config = Map::new();
    for (ours, theirs) in [
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("frequency_penalty", "frequencyPenalty"),
        ("presence_penalty", "presencePenalty"),
    ] {
        let value = fields::number(body, ours)?;
        config.extend(value.map(|value| (theirs.to_owned(), json!(value))));
    }
    let top_k = fields::count(body, "top_k")?.or(fields::count(body, "topK")?);
    let max_tokens = fields::max_tokens(body)?;
    config.extend(top_k.map(|value| ("topK".to_owned(), json!(value))));
    config.extend(max_tokens.map(|value| ("maxOutputTokens".to_owned(), json!(value))));
    if let Some(seed) = fields::present(body, "seed") {
        let seed = seed.as_i64().and_then(|seed| i32::try_from(seed).ok());
        let Some(seed) = seed else {
            let message = "'seed' must be a whole number of 32 bits for this provider.";
            return Err(Unsupported::new("seed", message));
        };
        config.insert("seed".to_owned(), json!(seed));
    }
    let stops = fields::stops(body)?;
    if !stops.is_empty() {
        config.insert("stopSequences".to_owned(), json!(stops));
    }
    let format = fields::response_format(body)?;
    if format != Format::Text {
        config.insert("responseMimeType".to_owned(), json!("application/json"));
    }
    if let Format::JsonSchema { schema, .. } = format {
        let schema = schema::resolved(schema, "response_format.json_schema.schema")?;
        config.insert("responseJsonSchema".to_owned(), schema);
    }
    let own = fields::present(body, "thinkingConfig").or(fields::present(body, "thinking_config"));
    let think = match own {
        Some(own) => Some(own.clone()),
        None => match fields::present(body, "thinking") {
            Some(asked) => think_as_asked(asked, thinking)?,
            None => match fields::effort(body)? {
                Some(effort) => think(effort, thinking)?,
                None => None,
            },
        },
    };
    config.extend(think.map(|value| ("thinkingConfig".to_owned(), value)));
    Ok(config)
}

/// Anthropic's `thinking`.
fn think_as_asked(asked: &Value, thinking: Thinking) -> Result<Option<Value>, Unsupported> {
    let mut config = json!({"includeThoughts": true});
    match asked["type"].as_str() {
        Some("enabled") => {
            if let Some(budget) = asked["budget_tokens"].as_u64() {
                config["thinkingBudget"] = json!(budget);
            }
        }
        Some("adaptive") => {}
        Some("disabled") => return think(Effort::None, thinking),
        _ => {
            let message = "'thinking.type' must be 'enabled', 'adaptive' or 'disabled'.";
            return Err(Unsupported::new("thinking.type", message));
        }
    }
    Ok(Some(config))
}

fn think(effort: Effort, thinking: Thinking) -> Result<Option<Value>, Unsupported> {
    const NAME: &str = "reasoning_effort";
    Ok(match (thinking, effort) {
        (Thinking::Never, Effort::None | Effort::Minimal) => None,
        (Thinking::Never, _) => {
            let message = "'reasoning_effort' cannot be said to a model that does not reason.";
            return Err(Unsupported::new(NAME, message));
        }
        (Thinking::Budget { least }, _) => {
            let budget = match effort {
                Effort::None => least,
                Effort::Minimal | Effort::Low => 1_024,
                Effort::Medium => 8_192,
                Effort::High | Effort::Xhigh | Effort::Max => 24_576,
            };
            Some(json!({"thinkingBudget": budget}))
        }
        (Thinking::Level, _) => {
            let level = match effort {
                Effort::None | Effort::Minimal | Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High | Effort::Xhigh | Effort::Max => "high",
            };
            Some(json!({"thinkingLevel": level}))
        }
    })
}

fn tools(body: &Map<String, Value>, out: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let given = fields::list(body, "tools")?;
    let choice = fields::tool_choice(body, !given.is_empty())?;
    let parallel = fields::flag(body, "parallel_tool_calls")?;
    if given.is_empty() {
        return Ok(());
    }
    if parallel == Some(false) && choice != Some(Choice::None) {
        let message = "'parallel_tool_calls' cannot be turned off with the Gemini API.";
        return Err(Unsupported::new("parallel_tool_calls", message));
    }
    let declarations: Result<Vec<_>, _> = given
        .iter()
        .enumerate()
        .map(|(index, value)| declaration(value, &format!("tools[{index}]")))
        .collect();
    let tools = json!([{"functionDeclarations": declarations?}]);
    out.insert("tools".to_owned(), tools);
    let strict = given.iter().any(|tool| tool["function"]["strict"] == true);
    let config = match choice {
        None | Some(Choice::Auto) if strict => json!({"mode": "VALIDATED"}),
        None => return Ok(()),
        Some(Choice::Auto) => json!({"mode": "AUTO"}),
        Some(Choice::None) => json!({"mode": "NONE"}),
        Some(Choice::Required) => json!({"mode": "ANY"}),
        Some(Choice::Function(name)) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    let config = json!({"functionCallingConfig": config});
    out.insert("toolConfig".to_owned(), config);
    Ok(())
}

fn declaration(value: &Value, path: &str) -> Result<Value, Unsupported> {
    if value["type"] != "function" {
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
    let mut declaration = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(description) = function["description"].as_str() {
        declaration.insert("description".to_owned(), json!(description));
    }
    let param = format!("{path}.function.parameters");
    match &function["parameters"] {
        Value::Null => {}
        schema @ Value::Object(_) => {
            let mut schema = schema::resolved(schema, &param)?;
            if schema["type"].is_null() {
                schema["type"] = json!("object");
            }
            declaration.insert("parametersJsonSchema".to_owned(), schema);
        }
        _ => {
            let message = format!("'{param}' must be an object.");
            return Err(Unsupported::new(param, message));
        }
    }
    Ok(Value::Object(declaration))
}
