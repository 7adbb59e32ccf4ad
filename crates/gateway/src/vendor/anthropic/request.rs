//! A chat completion, asked of Anthropic.
//!
//! * **Instructions** go into `system`, wherever they stood in the conversation: Anthropic's own
//!   compatible endpoint does the same, and older models know no other place.
//! * **`max_tokens`** is compulsory there: unlimited becomes what the model can write, at most
//!   64,000 (see `model`).
//! * **`temperature`** above 1 becomes 1, the most there is. `top_p` is left out beside it: models
//!   of 4.x refuse both together. Models from 4.7 on take neither (nor `top_k`), and a model that
//!   thinks takes none either: there they are left out, because they are preferences and refusing
//!   would keep every caller that sets them from falling back to such a model.
//! * **`reasoning_effort`** becomes `output_config.effort` with adaptive thinking (from 4.6) or a
//!   token budget of 1,024 (minimal, low), 8,192 (medium) or 24,576 (high and above), half of
//!   `max_tokens` at most. With a budget, thinking is left out when a tool is forced, and between
//!   a tool's output and the answer, where the API wants thinking blocks back, unless the caller
//!   brings them.
//! * **Thoughts** that come back in an assistant's `content_blocks` (as lenient answers have them) or
//!   `content` go as they came, and so do the blocks of Anthropic's own tools; thoughts without a
//!   signature are another model's, and are left out.
//! * **`response_format`**: a JSON schema becomes `output_config.format`, which every model that
//!   Anthropic still serves knows (4.5 and later), rather than a forced tool, which does not go
//!   together with thinking or with the caller's tools. A schema that leaves an object open cannot
//!   be said there, nor can `json_object`: both become an instruction.
//! * **Passed as they are**: `thinking`, `top_k`, `output_config` (what it says wins), and
//!   `cache_control` on a request, a text part or a tool.
//! * **Without effect here**: `seed` (best effort by its own definition), `store`, `metadata`,
//!   `prompt_cache_key` and `prompt_cache_retention` (they concern OpenAI's own storage),
//!   `stream_options` (usage always comes), an image's `detail`, a message's `name`.
//!
//! Everything else that says something is refused.

use serde_json::{Map, Value, json};

use super::{
    VERSION, content,
    model::Model,
    schema,
    thinking::{self, Situation},
    tools,
};
use crate::vendor::{
    Unsupported, VendorRequest,
    fields::{self, Format},
    turns::Conversation,
};

const VENDOR: &str = "Anthropic's API";

const SAID: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "stream",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "user",
    "safety_identifier",
    "service_tier",
];
const PASSED: &[&str] = &["thinking", "top_k", "output_config", "cache_control"];
const WITHOUT_EFFECT: &[&str] = &[
    "seed",
    "store",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
];

/// Converts; `model` is Anthropic's name for the model.
pub(crate) fn chat_request(body: &Value, model: &str) -> Result<VendorRequest, Unsupported> {
    let body = fields::object(body)?;
    fields::check(body, VENDOR, &[SAID, PASSED, WITHOUT_EFFECT])?;
    let conversation = Conversation::read(body)?;
    let abilities = Model::named(model);
    let tools = tools::read(body, &conversation)?;
    let max_tokens = fields::max_tokens(body)?.unwrap_or(abilities.max_tokens());

    let mut out = Map::new();
    out.insert("model".to_owned(), json!(model));
    out.insert("max_tokens".to_owned(), json!(max_tokens));
    let mut system = content::system(&conversation.instructions);
    let mut output = Map::new();
    answer_format(body, &mut output, &mut system)?;
    if !system.is_empty() {
        out.insert("system".to_owned(), json!(system));
    }
    out.insert("messages".to_owned(), content::messages(&conversation)?);

    let said = thinking::said(
        body,
        Situation {
            model: abilities,
            max_tokens,
            forced: tools.forced,
            after_output: conversation.ends_with_output()
                && !content::thought_before(&conversation),
        },
    )?;
    let thinks = said
        .thinking
        .as_ref()
        .is_some_and(|thinking| thinking["type"] != "disabled");
    out.extend(said.thinking.map(|value| ("thinking".to_owned(), value)));
    output.extend(said.effort.map(|word| ("effort".to_owned(), json!(word))));
    if let Some(own) = fields::present(body, "output_config") {
        let own = own.as_object().ok_or_else(|| {
            Unsupported::new("output_config", "'output_config' must be an object.")
        })?;
        output.extend(own.clone());
    }
    if !output.is_empty() {
        out.insert("output_config".to_owned(), Value::Object(output));
    }
    out.extend(tools.fields);
    sampling(body, abilities.samples() && !thinks, &mut out)?;
    stop(body, &mut out)?;
    account(body, &mut out)?;
    if let Some(mark) = fields::present(body, "cache_control") {
        out.insert("cache_control".to_owned(), mark.clone());
    }
    if fields::flag(body, "stream")? == Some(true) {
        out.insert("stream".to_owned(), json!(true));
    }
    Ok(VendorRequest {
        path: "messages".to_owned(),
        query: Vec::new(),
        headers: vec![(VERSION.0, VERSION.1.to_owned())],
        body: Value::Object(out),
    })
}

/// Puts the format into `output_config`, or an instruction behind the caller's own.
fn answer_format(
    body: &Map<String, Value>,
    output: &mut Map<String, Value>,
    system: &mut Vec<Value>,
) -> Result<(), Unsupported> {
    let instruction = match fields::response_format(body)? {
        Format::Text => return Ok(()),
        Format::JsonObject => {
            "Answer with one JSON object and nothing else: no other words, no code fence."
                .to_owned()
        }
        Format::JsonSchema { schema, strict } if strict || !schema::is_open(schema) => {
            let format = json!({"type": "json_schema", "schema": schema::closed(schema)});
            output.insert("format".to_owned(), format);
            return Ok(());
        }
        Format::JsonSchema { schema, .. } => format!(
            "Answer with one JSON value that fits this JSON schema and nothing else: no other words, no code fence.\n\n{schema}"
        ),
    };
    system.push(json!({"type": "text", "text": instruction}));
    Ok(())
}

fn sampling(
    body: &Map<String, Value>,
    samples: bool,
    out: &mut Map<String, Value>,
) -> Result<(), Unsupported> {
    let temperature = fields::number(body, "temperature")?;
    let top_p = fields::number(body, "top_p")?;
    let top_k = fields::count(body, "top_k")?;
    if !samples {
        return Ok(());
    }
    if let Some(temperature) = temperature {
        out.insert("temperature".to_owned(), json!(temperature.min(1.0)));
    } else if let Some(top_p) = top_p {
        out.insert("top_p".to_owned(), json!(top_p));
    }
    if let Some(top_k) = top_k {
        out.insert("top_k".to_owned(), json!(top_k));
    }
    Ok(())
}

fn stop(body: &Map<String, Value>, out: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let stops = fields::stops(body)?;
    if stops.iter().any(|stop| stop.trim().is_empty()) {
        let message = "Anthropic's API cannot stop at white space.";
        return Err(Unsupported::new("stop", message));
    }
    if !stops.is_empty() {
        out.insert("stop_sequences".to_owned(), json!(stops));
    }
    Ok(())
}

/// Who asks, and at which tier.
fn account(body: &Map<String, Value>, out: &mut Map<String, Value>) -> Result<(), Unsupported> {
    let user = fields::text(body, "user")?;
    if let Some(user) = fields::text(body, "safety_identifier")?.or(user) {
        out.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    match fields::text(body, "service_tier")? {
        None | Some("auto") => {}
        Some("default" | "standard_only") => {
            out.insert("service_tier".to_owned(), json!("standard_only"));
        }
        Some(_) => {
            let message = "'service_tier' must be 'auto' or 'default' for this provider.";
            return Err(Unsupported::new("service_tier", message));
        }
    }
    Ok(())
}
