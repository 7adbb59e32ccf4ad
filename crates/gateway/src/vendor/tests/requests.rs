//! Requests: each in the words of each vendor, and of two generations of models where they differ.

use serde_json::{Map, json};

use super::{accounts::ACCOUNTS, *};
use crate::Endpoint;

#[test]
fn every_request_is_said_as_recorded() {
    for (name, text) in REQUESTS {
        let mut all = Map::new();
        for at in ACCOUNTS {
            all.insert(at.name.to_owned(), at.is_sent(Endpoint::Chat, text));
        }
        golden!(json format!("request_{name}"), Value::Object(all));
    }
}

#[test]
fn what_a_vendor_knows_by_itself_is_passed() {
    let body = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "reasoning_effort": "high",
        "temperature": 0.5,
        "top_k": 3,
        "output_config": {"effort": "low"},
        "cache_control": {"type": "ephemeral"},
        "service_tier": "default",
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    });
    let said = anthropic::chat_request(&body, "claude-opus-4-5")
        .unwrap()
        .body;
    let expected = json!({
        "model": "claude-opus-4-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low"},
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        "service_tier": "standard_only",
        "cache_control": {"type": "ephemeral"}
    });
    assert_eq!(said, expected);

    let body = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "reasoning_effort": "high",
        "top_k": 3,
        "thinking_config": {"thinkingBudget": 0},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1"
    });
    let said = google::chat_request(&body, "tunedModels/mine").unwrap();
    assert_eq!(said.path, "tunedModels/mine:generateContent");
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"topK": 3, "thinkingConfig": {"thinkingBudget": 0}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1"
    });
    assert_eq!(said.body, expected);
}

#[test]
fn gemini_hears_and_reads() {
    let body = json!({"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ=="}}
    ]}]});
    let said = google::chat_request(&body, "gemini-2.5-pro").unwrap().body;
    let parts = json!([
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
        {"inlineData": {"mimeType": "text/plain", "data": "QQ=="}}
    ]);
    assert_eq!(said["contents"][0]["parts"], parts);
}
