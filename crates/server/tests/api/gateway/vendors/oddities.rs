//! What only some have, and what only some do.

use loomgate_testkit::upstream::Reply;
use reqwest::Method;
use serde_json::{Value, json};

use super::{EVENTS, asked, chat, chunks, stage, vendor};
use crate::app::{Answer, KEY_B};

#[tokio::test]
async fn what_was_said_before_an_overload_is_said_and_the_end_is_told() {
    let stage = stage().await;
    let claude = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\"}}\n\n\
        data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Half\"}}\n\n\
        event: error\n\
        data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Half\"}]}}]}\n\n\
        data: {\"error\":{\"code\":503,\"message\":\"Overloaded\",\"status\":\"UNAVAILABLE\"}}\n\n";
    for (slug, events) in [("anthropic", claude), ("google", gemini)] {
        let mut body = asked(vendor(slug));
        body["stream"] = json!(true);
        stage.providers[0].push(Reply::chunked(&[EVENTS], &[events]));
        let answer = chat(&stage, vendor(slug), &body).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.text.contains("\"content\":\"Half\""),
            "{}",
            answer.text
        );
        let (_, error) = answer
            .text
            .split_once("event: error\ndata: ")
            .expect(&answer.text);
        let error: Value = serde_json::from_str(error.trim_end()).unwrap();
        assert_eq!(error["error"]["message"], "Overloaded");
        assert!(!answer.text.contains("[DONE]"), "{}", answer.text);
    }
    stage.stop().await;
}

#[tokio::test]
async fn nothing_and_done_are_no_nonsense_in_a_vendors_stream() {
    let stage = stage().await;
    let events = [
        ": ping\n\n",
        "data:\n\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n",
        "data: [DONE]\n\n",
    ];
    let mut body = asked(vendor("google"));
    body["stream"] = json!(true);
    stage.providers[0].push(Reply::chunked(&[EVENTS], &events));
    let answer = chat(&stage, vendor("google"), &body).await;
    let chunks = chunks(&answer);
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "Hi");
    stage.stop().await;
}

#[tokio::test]
async fn headers_that_are_named_go_to_vendors_too() {
    let stage = stage().await;
    for slug in ["anthropic", "google"] {
        let vendor = vendor(slug);
        stage.providers[0].push(vendor.says("Hi", None));
        let call = stage
            .post("/v1/chat/completions", &asked(vendor))
            .header("x-portkey-virtual-key", format!("v-{slug}"))
            .header("x-portkey-forward-headers", "x-team")
            .header("x-team", "blue")
            .header("x-other", "red");
        assert_eq!(Answer::of(call).await.status, 200);
        let received = stage.received();
        assert_eq!(received.header("x-team"), Some("blue"));
        assert_eq!(received.header("x-other"), None);
    }
    stage.stop().await;
}

#[tokio::test]
async fn models_and_embeddings_have_one_form_where_they_exist() {
    let stage = stage().await;
    let request = |slug: &str| {
        let request = stage.request(Method::GET, "/v1/models");
        request.header("x-portkey-virtual-key", format!("v-{slug}"))
    };
    let claude = json!({"data": [{"id": "claude-opus-5", "created_at": "2026-01-01T00:00:00Z"}]});
    let gemini = json!({"models": [{"name": "models/gemini-2.5-flash"}]});
    for (slug, list, path, id) in [
        (
            "anthropic",
            claude,
            "/v1/models?limit=1000",
            "claude-opus-5",
        ),
        (
            "google",
            gemini,
            "/v1/models?pageSize=1000",
            "gemini-2.5-flash",
        ),
    ] {
        stage.providers[0].push(Reply::status(200, list, &[]));
        let answer = Answer::of(request(slug)).await;
        assert_eq!(stage.received().path, path);
        assert_eq!(answer.json()["data"][0]["id"], id, "{}", answer.text);
        assert_eq!(answer.json()["data"][0]["object"], "model");
    }
    let one = |slug: &str, method: Method, id: &str| {
        let request = stage.request(method, &format!("/v1/models/{id}"));
        request.header("x-portkey-virtual-key", format!("v-{slug}"))
    };
    for (slug, model, id) in [
        (
            "anthropic",
            json!({"type": "model", "id": "claude-opus-5"}),
            "claude-opus-5",
        ),
        (
            "google",
            json!({"name": "models/gemini-2.5-flash"}),
            "gemini-2.5-flash",
        ),
    ] {
        stage.providers[0].push(Reply::status(200, model, &[]));
        let answer = Answer::of(one(slug, Method::GET, id)).await;
        assert_eq!(stage.received().path, format!("/v1/models/{id}"));
        assert_eq!(answer.json()["object"], "model", "{}", answer.text);
        assert_eq!(answer.json()["id"], id);
        // There is nothing to convert.
        stage.providers[0].push(Reply::status(200, json!({}), &[]));
        assert_eq!(Answer::of(one(slug, Method::HEAD, id)).await.status, 200);
    }
    let embed = |slug: &str| {
        let body = json!({"model": "gemini-embedding-001", "input": ["a", "b"]});
        let request = stage.post("/v1/embeddings", &body);
        request.header("x-portkey-virtual-key", format!("v-{slug}"))
    };
    let vectors = json!({"embeddings": [{"values": [1.0, 0.0]}, {"values": [0.0, 1.0]}]});
    stage.providers[0].push(Reply::status(200, vectors, &[]));
    let answer = Answer::of(embed("google")).await;
    let path = "/v1/models/gemini-embedding-001:batchEmbedContents";
    assert_eq!(stage.received().path, path);
    assert_eq!(answer.json()["data"][1]["embedding"], json!([0.0, 1.0]));
    let vectors = json!({"object": "list", "data": []});
    stage.providers[0].push(Reply::status(200, vectors, &[]));
    assert_eq!(Answer::of(embed("azure-dated")).await.status, 200);
    let path = "/openai/deployments/gpt/embeddings?api-version=2024-10-21";
    assert_eq!(stage.received().path, path);
    let before = stage.counts();
    let refused = Answer::of(embed("anthropic")).await;
    assert_eq!((refused.status, stage.counts()), (400, before));
    assert_eq!(refused.json()["error"]["code"], "unsupported_parameter");
    stage.stop().await;
}

#[tokio::test]
async fn what_azure_is_relayed_is_byte_for_byte() {
    let stage = stage().await;
    for (path, expected) in [
        (
            "/v1/batches/a%20b?x=%5B1%5D&y=[2]",
            "/openai/batches/a%20b?x=%5B1%5D&y=[2]&api-version=2024-10-21",
        ),
        ("/v1/batches/", "/openai/batches/?api-version=2024-10-21"),
        (
            "/v1/batches?api-version=preview",
            "/openai/batches?api-version=preview",
        ),
    ] {
        stage.providers[0].push(Reply::status(200, json!({}), &[]));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-portkey-api-key: {KEY_B}\r\n\
             x-portkey-virtual-key: v-azure-dated\r\n\r\n"
        );
        let answer = stage.app.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(stage.received().path, expected);
    }
    stage.stop().await;
}
