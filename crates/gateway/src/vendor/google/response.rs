//! What Gemini answers.

use serde_json::{Map, Value, json};

use crate::{
    error::presentable,
    vendor::{
        AnswerFacts,
        answer::{self, Answer, Finish, More, Tokens, given, tokens},
    },
};

/// Who made the models.
const OWNER: &str = "google";

/// The longest id of a call that is taken over.
const ID_BYTES: usize = 256;

/// A response as a `chat.completion`; what was thought only stands in a lenient one. `Err` says what is wrong with
/// it, a call that the model got wrong included: another try may do better.
pub(crate) fn chat_response(body: &Value, facts: &AnswerFacts) -> Result<Value, String> {
    let mut text = String::new();
    let mut calls = Calls::default();
    let mut made = Vec::new();
    let ending = ending(body);
    let mut more = More {
        grounding: grounding(body),
        ..More::default()
    };
    for part in parts(body) {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Thought(_) | Part::Image(_) => {}
            Part::Call(call) => made.push(Value::Object(calls.convert(call, facts)?)),
        }
        more.blocks
            .extend(facts.lenient.then(|| block(part)).flatten());
    }
    let finish = match ending {
        Some(ending) => ending.finish(!made.is_empty())?,
        None => return Err("The provider sent something else than an answer.".to_owned()),
    };
    let answer = Answer {
        id: given(&body["responseId"]),
        model: given(&body["modelVersion"]),
        text,
        calls: made,
        finish,
        tokens: usage(&body["usageMetadata"]),
        more,
    };
    Ok(answer.into_json(facts))
}

/// An error's body in OpenAI's form; the code is Google's status. Streams put it into a list.
pub(crate) fn error_body(status: u16, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = match &body {
        Value::Array(list) => list.first().map_or(&Value::Null, |body| &body["error"]),
        body => &body["error"],
    };
    answer::error(status, given(&error["message"]), given(&error["status"]))
}

/// The answer to `GET models`. Google does not say when a model was made.
pub(crate) fn models(body: &Value) -> Result<Value, String> {
    let models = body["models"]
        .as_array()
        .ok_or("The provider sent something else than a model list.")?;
    Ok(answer::models(models.iter().filter_map(entry), OWNER))
}

/// The answer to `GET models/{id}`.
pub(crate) fn model(body: &Value) -> Result<Value, String> {
    let entry = entry(body).ok_or("The provider sent something else than a model.")?;
    Ok(answer::model(entry, OWNER))
}

fn entry(model: &Value) -> Option<(&str, i64)> {
    let name = given(&model["name"])?;
    Some((name.strip_prefix("models/").unwrap_or(name), 0))
}

/// A part of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Thought(&'a str),
    /// Its type and its bytes in base64.
    Image(&'a Value),
    /// The whole part: the call, and the signature beside it.
    Call(&'a Value),
}

/// What the first candidate thinks, says and calls.
pub(super) fn parts(body: &Value) -> impl Iterator<Item = Part<'_>> {
    let parts = body["candidates"][0]["content"]["parts"].as_array();
    parts.into_iter().flatten().filter_map(|part| {
        if part["functionCall"].is_object() {
            Some(Part::Call(part))
        } else if part["inlineData"].is_object() {
            Some(Part::Image(&part["inlineData"]))
        } else {
            let is_thought = part["thought"] == true;
            let kind = if is_thought {
                Part::Thought
            } else {
                Part::Text
            };
            given(&part["text"]).map(kind)
        }
    })
}

/// A part as a lenient answer has it; calls stand elsewhere.
fn block(part: Part<'_>) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Thought(thought) => json!({"type": "thinking", "thinking": thought}),
        Part::Image(data) => image(data),
        Part::Call(_) => return None,
    })
}

/// A picture as a part of a message.
pub(super) fn image(data: &Value) -> Value {
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let url = format!("data:{};base64,{}", text("mimeType"), text("data"));
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// Where the words come from, when the model has looked them up.
pub(super) fn grounding(body: &Value) -> Option<&Value> {
    let grounding = &body["candidates"][0]["groundingMetadata"];
    grounding.is_object().then_some(grounding)
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    Said,
    Length,
    Filtered,
    /// The model went wrong: a sentence.
    Failed(String),
}

impl Ending {
    /// In OpenAI's words; `Err` where they have none.
    pub(super) fn finish(self, has_calls: bool) -> Result<Finish, String> {
        match self {
            Self::Said if has_calls => Ok(Finish::ToolCalls),
            Self::Said => Ok(Finish::Stop),
            Self::Length => Ok(Finish::Length),
            Self::Filtered => Ok(Finish::ContentFilter),
            Self::Failed(message) => Err(message),
        }
    }
}

/// Reads why an answer ended; `None` where it does not say.
pub(super) fn ending(body: &Value) -> Option<Ending> {
    let candidate = &body["candidates"][0];
    let Some(reason) = given(&candidate["finishReason"]) else {
        // The question was refused; there is no candidate then.
        let blocked = given(&body["promptFeedback"]["blockReason"]);
        return blocked.map(|_| Ending::Filtered);
    };
    Some(match reason {
        "MAX_TOKENS" | "CONTINUATION" => Ending::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "PUP_LIMITED_DISABLED" => Ending::Filtered,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => {
            let detail = given(&candidate["finishMessage"]).unwrap_or_default();
            let message = format!("The model's answer was of no use ({reason}). {detail}");
            Ending::Failed(presentable(message.trim_end(), None))
        }
        _ => Ending::Said,
    })
}

/// Gives calls their ids: Gemini's own where there is one, otherwise one made of the answer's id,
/// so that the same answer always gives the same ids.
#[derive(Debug, Default)]
pub(super) struct Calls {
    made: usize,
    ids: Vec<String>,
}

impl Calls {
    /// One call in OpenAI's form, with its signature beside it.
    pub(super) fn convert(
        &mut self,
        part: &Value,
        facts: &AnswerFacts,
    ) -> Result<Map<String, Value>, String> {
        let call = &part["functionCall"];
        let name =
            given(&call["name"]).ok_or("The provider sent a function call without a name.")?;
        let own = given(&call["id"])
            .filter(|id| id.len() <= ID_BYTES && !self.ids.iter().any(|known| known == id));
        let answer = facts.id.strip_prefix("chatcmpl-").unwrap_or(&facts.id);
        let id = own.map_or_else(|| format!("call_{answer}_{}", self.made), str::to_owned);
        self.made += 1;
        let arguments = match &call["args"] {
            Value::Null => "{}".to_owned(),
            arguments => arguments.to_string(),
        };
        let mut converted = answer::call(&id, name, &arguments);
        if let Some(signature) = given(&part["thoughtSignature"]) {
            let extra = json!({"google": {"thought_signature": signature}});
            converted.insert("extra_content".to_owned(), extra);
            if facts.lenient {
                // Where Portkey's clients look for it.
                converted["function"]["thought_signature"] = json!(signature);
            }
        }
        self.ids.push(id);
        Ok(converted)
    }
}

/// Google counts thoughts beside the answer, and what tools brought beside the question.
pub(super) fn usage(usage: &Value) -> Tokens {
    let prompt = tokens(&usage["promptTokenCount"]);
    let reasoning = tokens(&usage["thoughtsTokenCount"]);
    Tokens {
        prompt: prompt.saturating_add(tokens(&usage["toolUsePromptTokenCount"])),
        cached: tokens(&usage["cachedContentTokenCount"]),
        cache_creation: None,
        completion: tokens(&usage["candidatesTokenCount"]).saturating_add(reasoning),
        reasoning,
    }
}
