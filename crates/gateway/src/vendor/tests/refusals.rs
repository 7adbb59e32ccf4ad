//! What cannot be said is refused with the field's name.

use serde_json::json;

use super::*;

/// The refused field when `extra` is added to a plain request.
fn refused(vendor: &str, extra: &Value) -> Option<String> {
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let fields = body.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    let result = match vendor {
        "anthropic" => anthropic::chat_request(&body, "claude-opus-5"),
        _ => google::chat_request(&body, "gemini-3.8-flash"),
    };
    result.err().map(|refusal| refusal.param.unwrap())
}

#[test]
fn both_refuse_fields_that_neither_knows() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    for (extra, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"audio": {"voice": "x", "format": "wav"}}), "audio"),
        (
            json!({"prediction": {"type": "content", "content": "x"}}),
            "prediction",
        ),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"verbosity": "low"}), "verbosity"),
        (json!({"service_tier": "flex"}), "service_tier"),
        (json!({"functions": []}), "functions"),
        (json!({"made_up": 1}), "made_up"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_k": -1}), "top_k"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stop": {}}), "stop"),
        (json!({"reasoning_effort": "hard"}), "reasoning_effort"),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format.type",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema.schema",
        ),
        (json!({"tools": {}}), "tools"),
        (
            json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}),
            "tools[0].type",
        ),
        (
            json!({"tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": 1}}]}),
            "tools[0].function.parameters",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": [tool], "tool_choice": "always"}),
            "tool_choice",
        ),
        (
            json!({"tools": [tool], "tool_choice": {"type": "allowed_tools"}}),
            "tool_choice",
        ),
    ] {
        for vendor in ["anthropic", "google"] {
            assert_eq!(
                refused(vendor, &extra).as_deref(),
                Some(param),
                "{vendor}: {extra}"
            );
        }
    }
}

#[test]
fn both_refuse_messages_that_are_none() {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (extra, param) in [
        (json!({"messages": "Hi"}), "messages"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": " "}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "function", "content": "x"}]}),
            "messages[0].role",
        ),
        (
            json!({"messages": [{"role": "user", "content": 7}]}),
            "messages[0].content",
        ),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"messages": [{"role": "assistant", "function_call": {}}]}),
            "messages[0].function_call",
        ),
        (
            json!({"messages": [{"role": "assistant", "audio": {"id": "x"}}]}),
            "messages[0].audio",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": 1}]}),
            "messages[0].tool_calls",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "x", "type": "custom"}]}]}),
            "messages[0].tool_calls[0].function.name",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}),
            "messages[0].content",
        ),
        (
            user(json!({"type": "video"})),
            "messages[0].content[0].type",
        ),
        (user(json!({"type": "text"})), "messages[0].content[0].text"),
        (
            user(json!({"type": "image_url", "image_url": {"url": "ftp://x"}})),
            "messages[0].content[0].image_url.url",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:image/png,x"}})),
            "messages[0].content[0].image_url.url",
        ),
        (
            user(json!({"type": "file", "file": {"file_id": "file-1"}})),
            "messages[0].content[0].file.file_data",
        ),
    ] {
        for vendor in ["anthropic", "google"] {
            assert_eq!(
                refused(vendor, &extra).as_deref(),
                Some(param),
                "{vendor}: {extra}"
            );
        }
    }
}

#[test]
fn each_refuses_what_only_the_other_knows() {
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (extra, anthropic, google) in [
        (
            json!({"frequency_penalty": 0.5}),
            Some("frequency_penalty"),
            None,
        ),
        (
            json!({"presence_penalty": -1}),
            Some("presence_penalty"),
            None,
        ),
        (json!({"stop": " \n"}), Some("stop"), None),
        (
            json!({"safety_settings": []}),
            Some("safety_settings"),
            None,
        ),
        (json!({"seed": 5_000_000_000_u64}), None, Some("seed")),
        (
            json!({"tools": [tool], "parallel_tool_calls": false}),
            None,
            Some("parallel_tool_calls"),
        ),
        (
            user(json!({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}})),
            Some("messages[0].content[0].input_audio.format"),
            None,
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}})),
            Some("messages[0].content[0].image_url.url"),
            None,
        ),
        (
            user(json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}})),
            Some("messages[0].content[0].file.file_data"),
            None,
        ),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "x"}]}),
            None,
            Some("messages[0].tool_call_id"),
        ),
    ] {
        assert_eq!(
            refused("anthropic", &extra).as_deref(),
            anthropic,
            "{extra}"
        );
        assert_eq!(refused("google", &extra).as_deref(), google, "{extra}");
    }
}

#[test]
fn models_that_do_not_reason_are_not_told_to() {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low"});
    let old = anthropic::chat_request(&body, "claude-3-5-haiku-20241022").unwrap_err();
    assert_eq!(old.param.as_deref(), Some("reasoning_effort"));
    let old = google::chat_request(&body, "gemini-2.0-flash").unwrap_err();
    assert_eq!(old.param.as_deref(), Some("reasoning_effort"));
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    assert!(anthropic::chat_request(&json!([]), "claude-opus-5").is_err());
    assert!(google::chat_request(&json!(null), "gemini-3.8-flash").is_err());
}
