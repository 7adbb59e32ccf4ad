//! Embeddings of Gemini.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::google::*;

#[test]
fn inputs_become_one_batch() {
    let body = json!({"model": "asked", "input": ["a", "b"], "dimensions": 2, "user": "u"});
    let request = embeddings_request(&body, "gemini-embedding-001").unwrap();
    assert_eq!(
        request.path,
        "models/gemini-embedding-001:batchEmbedContents"
    );
    let one = |text: &str| json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
    assert_eq!(request.body, json!({"requests": [one("a"), one("b")]}));
    let body = json!({"input": "a", "encoding_format": "base64"});
    let request = embeddings_request(&body, "models/x").unwrap();
    let one = json!({"model": "models/x", "content": {"parts": [{"text": "a"}]}});
    assert_eq!(request.body, json!({"requests": [one]}));
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    for (body, param) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [1, 2]}), "input"),
        (json!({"input": [[1, 2]]}), "input"),
        (
            json!({"input": "a", "encoding_format": "hex"}),
            "encoding_format",
        ),
        (json!({"input": "a", "dimensions": "many"}), "dimensions"),
        (json!({"input": "a", "made_up": 1}), "made_up"),
    ] {
        let refusal = embeddings_request(&body, "x").unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
    }
    assert!(embeddings_request(&json!({"input": "a"}), "../x").is_err());
}

#[test]
fn vectors_come_back_in_order_and_of_length_1() {
    let body = json!({"embeddings": [{"values": [3.0, 4.0]}, {"values": [0.0, 1.0]}, {"values": [0.0, 0.0]}], "usageMetadata": {"promptTokenCount": 5}});
    let request = json!({"input": ["a", "b", "c"]});
    let answer = embeddings_response(&body, &EmbeddingFacts::of(&request, "asked")).unwrap();
    let expected = json!({
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.6, 0.8]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 1.0]},
            {"object": "embedding", "index": 2, "embedding": [0.0, 0.0]}
        ],
        "model": "asked",
        "usage": {"prompt_tokens": 5, "total_tokens": 5}
    });
    assert_eq!(answer, expected);
}

#[test]
fn base64_holds_little_endian_floats() {
    let body = json!({"embeddings": [{"values": [0.0, -1.0]}]});
    let request = json!({"input": "a", "encoding_format": "base64"});
    let answer = embeddings_response(&body, &EmbeddingFacts::of(&request, "asked")).unwrap();
    let bytes = STANDARD
        .decode(answer["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        bytes,
        [0.0_f32.to_le_bytes(), (-1.0_f32).to_le_bytes()].concat()
    );
}

#[test]
fn answers_that_are_none_are_errors() {
    let facts = EmbeddingFacts::of(&json!({}), "asked");
    for body in [
        json!({}),
        json!({"embeddings": [{}]}),
        json!({"embeddings": [{"values": ["x"]}]}),
    ] {
        assert!(embeddings_response(&body, &facts).is_err(), "{body}");
    }
}
