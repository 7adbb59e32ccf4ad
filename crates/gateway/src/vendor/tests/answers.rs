//! Whole answers, errors, lists of models.

use serde_json::json;

use super::*;

#[test]
fn whole_answers_come_back_as_recorded() {
    let message = json(include_str!("../fixtures/anthropic/message.json"));
    let answer = anthropic::chat_response(&message, &facts()).unwrap();
    golden!(json "anthropic_message", answer);
    let refusal = json(include_str!("../fixtures/anthropic/refusal.json"));
    let answer = anthropic::chat_response(&refusal, &facts()).unwrap();
    golden!(json "anthropic_refusal", answer);
    let response = json(include_str!("../fixtures/google/response.json"));
    let answer = google::chat_response(&response, &facts()).unwrap();
    golden!(json "google_response", answer);
    let searched = json(include_str!("../fixtures/anthropic/searched.json"));
    let answer = anthropic::chat_response(&searched, &facts()).unwrap();
    golden!(json "anthropic_searched", answer);
    let grounded = json(include_str!("../fixtures/google/grounded.json"));
    let answer = google::chat_response(&grounded, &facts()).unwrap();
    golden!(json "google_grounded", answer);
    let blocked = json(include_str!("../fixtures/google/blocked.json"));
    let answer = google::chat_response(&blocked, &facts()).unwrap();
    golden!(json "google_blocked", answer);
}

#[test]
fn a_signed_call_goes_back_with_its_signature() {
    let response = json(include_str!("../fixtures/google/response.json"));
    let answer = google::chat_response(&response, &facts()).unwrap();
    let message = &answer["choices"][0]["message"];
    let mut messages = vec![json!({"role": "user", "content": "Hi"}), message.clone()];
    for call in message["tool_calls"].as_array().unwrap() {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "x"}));
    }
    let body = json!({"messages": messages});
    let said = google::chat_request(&body, "gemini-3.8-flash")
        .unwrap()
        .body;
    let parts = &said["contents"][1]["parts"];
    assert_eq!(parts[1]["thoughtSignature"], "c2lnbmVk");
    assert_eq!(parts[2]["functionCall"]["id"], "own_1");
    assert!(parts[2]["thoughtSignature"].is_null());
    // The same without what only Google knows.
    let mut body = body;
    for call in body["messages"][1]["tool_calls"].as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("extra_content");
    }
    let signature = |model| {
        let said = google::chat_request(&body, model).unwrap().body;
        said["contents"][1]["parts"][1]["thoughtSignature"].clone()
    };
    assert_eq!(
        signature("gemini-3.8-flash"),
        "skip_thought_signature_validator"
    );
    assert_eq!(signature("gemini-2.5-flash"), Value::Null);
}

#[test]
fn every_reason_has_its_word() {
    let claude = |reason: &str| {
        let body = json!({"content": [{"type": "text", "text": "x"}], "stop_reason": reason});
        let answer = anthropic::chat_response(&body, &facts()).unwrap();
        answer["choices"][0]["finish_reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (reason, word) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ] {
        assert_eq!(claude(reason), word, "{reason}");
    }
    let gemini = |reason: &str| {
        let body = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason, "finishMessage": "Oh."}]});
        let answer = google::chat_response(&body, &facts())?;
        Ok::<_, String>(
            answer["choices"][0]["finish_reason"]
                .as_str()
                .unwrap()
                .to_owned(),
        )
    };
    for (reason, word) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("OTHER", "stop"),
    ] {
        assert_eq!(gemini(reason).unwrap(), word, "{reason}");
    }
    assert_eq!(
        gemini("MALFORMED_FUNCTION_CALL").unwrap_err(),
        "The model's answer was of no use (MALFORMED_FUNCTION_CALL). Oh."
    );
    assert!(gemini("MISSING_THOUGHT_SIGNATURE").is_err());
}

#[test]
fn answers_that_are_none_are_errors() {
    for body in [
        json!(null),
        json!([]),
        json!({}),
        json!({"content": "x"}),
        json!({"error": {}}),
    ] {
        assert!(anthropic::chat_response(&body, &facts()).is_err(), "{body}");
        assert!(google::chat_response(&body, &facts()).is_err(), "{body}");
    }
    let nameless = json!({"content": [{"type": "tool_use", "id": "x"}]});
    assert!(anthropic::chat_response(&nameless, &facts()).is_err());
    let nameless = json!({"candidates": [{"content": {"parts": [{"functionCall": {}}]}, "finishReason": "STOP"}]});
    assert!(google::chat_response(&nameless, &facts()).is_err());
    let unfinished = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}}]});
    assert!(google::chat_response(&unfinished, &facts()).is_err());
}

#[test]
fn errors_take_openais_form() {
    let overloaded = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let expected = json!({"error": {"message": "Overloaded", "type": "server_error", "param": null, "code": "overloaded_error"}});
    assert_eq!(anthropic::error_body(529, overloaded), expected);
    let quota =
        br#"[{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}]"#;
    let expected = json!({"error": {"message": "Quota exceeded.", "type": "rate_limit_error", "param": null, "code": "RESOURCE_EXHAUSTED"}});
    assert_eq!(google::error_body(429, quota), expected);
    assert_eq!(
        google::error_body(429, &quota[1..quota.len() - 1]),
        expected
    );
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (500, "server_error"),
    ] {
        let expected = json!({"error": {"message": format!("The provider answered with status {status}."), "type": kind, "param": null, "code": null}});
        assert_eq!(anthropic::error_body(status, b"<html>"), expected);
        assert_eq!(google::error_body(status, b""), expected);
    }
    let long = json!({"error": {"message": "é".repeat(2_000)}}).to_string();
    let shown = anthropic::error_body(500, long.as_bytes());
    assert_eq!(
        shown["error"]["message"].as_str().unwrap().chars().count(),
        1_000
    );
}

#[test]
fn lists_of_models_take_openais_form() {
    let list = json(include_str!("../fixtures/anthropic/models.json"));
    let expected = json!({"object": "list", "data": [
        {"id": "claude-opus-5", "object": "model", "created": 1_784_851_200, "owned_by": "anthropic"},
        {"id": "claude-sonnet-4-5-20250929", "object": "model", "created": 0, "owned_by": "anthropic"}
    ]});
    assert_eq!(anthropic::models(&list).unwrap(), expected);
    let list = json(include_str!("../fixtures/google/models.json"));
    let expected = json!({"object": "list", "data": [
        {"id": "gemini-2.5-flash", "object": "model", "created": 0, "owned_by": "google"},
        {"id": "tunedModels/mine", "object": "model", "created": 0, "owned_by": "google"}
    ]});
    assert_eq!(google::models(&list).unwrap(), expected);
    let one = json!({"id": "claude-opus-5", "created_at": "2026-07-24T00:00:00Z"});
    let expected = json!({"id": "claude-opus-5", "object": "model", "created": 1_784_851_200, "owned_by": "anthropic"});
    assert_eq!(anthropic::model(&one).unwrap(), expected);
    let one = json!({"name": "models/gemini-2.5-flash"});
    let expected =
        json!({"id": "gemini-2.5-flash", "object": "model", "created": 0, "owned_by": "google"});
    assert_eq!(google::model(&one).unwrap(), expected);
    assert!(anthropic::model(&json!({})).is_err() && google::model(&json!([])).is_err());
    assert!(anthropic::models(&json!({})).is_err());
    assert!(google::models(&json!({"models": 1})).is_err());
}

#[test]
fn what_every_call_for_models_carries_is_known() {
    assert_eq!(anthropic::VERSION, ("anthropic-version", "2023-06-01"));
    assert_eq!(anthropic::MODELS_QUERY, ("limit", "1000"));
    assert_eq!(google::MODELS_QUERY, ("pageSize", "1000"));
}
