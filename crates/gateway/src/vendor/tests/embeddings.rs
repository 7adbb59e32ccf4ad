//! Embeddings: of Gemini, whose form is its own, and of those that speak OpenAI's.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, json};

use super::{
    accounts::{ACCOUNTS, named},
    google::*,
    line::{Line, reply},
    *,
};
use crate::Endpoint;

const REQUESTS: &[(&str, &str)] = &[
    ("texts", include_str!("../fixtures/embeddings/texts.json")),
    ("base64", include_str!("../fixtures/embeddings/base64.json")),
    ("tokens", include_str!("../fixtures/embeddings/tokens.json")),
];

#[test]
fn every_request_is_said_as_recorded() {
    for (name, text) in REQUESTS {
        let mut all = Map::new();
        for at in ACCOUNTS {
            let said = at.is_sent(Endpoint::Embeddings, text);
            all.insert(at.name.to_owned(), said);
        }
        golden!(json format!("embeddings_request_{name}"), Value::Object(all));
    }
}

const GOOGLE: &[u8] = include_bytes!("../fixtures/google/embeddings.json");
const OPENAI: &[u8] = include_bytes!("../fixtures/openai/embeddings.json");
const AZURE: &[u8] = include_bytes!("../fixtures/azure-openai/embeddings.json");
const COMPATIBLE: &[u8] = include_bytes!("../fixtures/compatible/embeddings.json");

#[tokio::test]
async fn answers_come_back_as_recorded() {
    let line = Line::start().await;
    let usage = json!({
        "prompt_tokens": 9, "completion_tokens": 0, "cached_tokens": 0, "reasoning_tokens": 0
    });
    for (name, text) in [REQUESTS[0], REQUESTS[1]] {
        for (at, answer, model) in [
            ("openai", OPENAI, "text-embedding-3-small"),
            ("azure-openai", AZURE, "text-embedding-3-small"),
            ("azure-openai v1", AZURE, "text-embedding-3-small"),
            ("compatible", COMPATIBLE, "bge-m3.gguf"),
            ("gemini-2.5-flash", GOOGLE, "gemini-embedding-001"),
        ] {
            let mut body = json(text);
            body["model"] = json!(model);
            line.upstream.push(reply(200, false, answer));
            let (relayed, seen) = line.relay(named(at), "/v1/embeddings", &body).await;
            let expected = json!({"status": 200, "model": model, "usage": usage, "cut": null});
            assert_eq!(seen, expected, "{at}");
            if answer == GOOGLE {
                let answer: Value = serde_json::from_slice(&relayed).unwrap();
                golden!(json format!("google_embeddings_{name}"), answer);
            } else {
                assert_eq!(relayed, answer, "{at}");
            }
        }
    }
}

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
