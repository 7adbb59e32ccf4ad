//! Chat completions, their streams and their refusals in one form.

use loomgate_testkit::upstream::Reply;
use serde_json::{Value, json};

use super::{VENDORS, asked, chat, chunks, stage};

#[tokio::test]
async fn a_chat_with_a_function_comes_back_in_one_form() {
    let stage = stage().await;
    for vendor in &VENDORS {
        stage.providers[0].push(vendor.says("Let me see.", Some(&json!({"a": 1}))));
        let answer = chat(&stage, vendor, &asked(vendor)).await;
        assert_eq!(answer.status, 200, "{}: {}", vendor.slug, answer.text);
        vendor.check_head(&stage.received(), false);
        assert_eq!(answer.header("x-portkey-provider"), vendor.provider);
        assert_eq!(answer.header("content-type"), "application/json");
        let completion = answer.json();
        assert_eq!(completion["object"], "chat.completion");
        assert_eq!(completion["model"], vendor.model);
        let choice = &completion["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{completion}");
        assert_eq!(choice["message"]["content"], "Let me see.");
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "f");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(arguments).unwrap(),
            json!({"a": 1})
        );
        assert!(!call["id"].as_str().unwrap().is_empty());
        let usage = &completion["usage"];
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"]),
            (&json!(10), &json!(2))
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_streamed_chat_comes_back_in_one_form() {
    let stage = stage().await;
    for vendor in &VENDORS {
        let mut body = asked(vendor);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        stage.providers[0].push(vendor.streams("Hello there", None));
        let answer = chat(&stage, vendor, &body).await;
        vendor.check_head(&stage.received(), true);
        assert!(
            answer
                .header("content-type")
                .starts_with("text/event-stream")
        );
        let chunks = chunks(&answer);
        let said = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
        assert_eq!(said.collect::<String>(), "Hello there", "{}", vendor.slug);
        let reasons: Vec<_> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str())
            .collect();
        assert_eq!(reasons, ["stop"], "{}", vendor.slug);
        let usage = &chunks.last().unwrap()["usage"];
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"]),
            (&json!(10), &json!(2))
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn refusals_come_back_in_openais_words() {
    let stage = stage().await;
    for vendor in &VENDORS {
        for (status, kind, code) in [
            (400, "invalid_request_error", "INVALID_ARGUMENT"),
            (401, "authentication_error", "UNAUTHENTICATED"),
            (429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (529, "overloaded_error", "UNAVAILABLE"),
        ] {
            let message = format!("refused with {status}");
            let body = match vendor.provider {
                "anthropic" => {
                    json!({"type": "error", "error": {"type": kind, "message": message}})
                }
                "google" => {
                    json!({"error": {"code": status, "message": message, "status": code}})
                }
                _ => {
                    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
                }
            };
            stage.providers[0].push(Reply::status(status, body, &[("retry-after", "7")]));
            let answer = chat(&stage, vendor, &asked(vendor)).await;
            assert_eq!(answer.status, status, "{}", vendor.slug);
            assert_eq!(answer.header("retry-after"), "7");
            let error = answer.json()["error"].clone();
            assert_eq!(error["message"], *message, "{}", vendor.slug);
            let keys: Vec<_> = error.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["message", "type", "param", "code"]);
            let expected = match (vendor.speaks_openai(), vendor.provider, status) {
                (true, ..) => (kind, code),
                (_, "anthropic", 529) => ("server_error", kind),
                (_, "anthropic", _) => (kind, kind),
                (_, _, 529) => ("server_error", code),
                _ => (kind, code),
            };
            assert_eq!(
                (
                    error["type"].as_str().unwrap(),
                    error["code"].as_str().unwrap()
                ),
                expected,
                "{}",
                vendor.slug
            );
        }
    }
    stage.stop().await;
}
