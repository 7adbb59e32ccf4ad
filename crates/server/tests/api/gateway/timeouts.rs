//! `request_timeout`: 408 with the documented text.

use loomgate_testkit::upstream::Reply;
use serde_json::json;

use super::stage::{Stage, said, words};
use crate::app::Answer;

#[tokio::test]
async fn a_provider_that_does_not_answer_in_time_is_408() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::hang());
    let config = json!({"virtual_key": "one", "request_timeout": 50});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 408);
    let body = r#"{"error":{"message":"Request exceeded the timeout sent in the request: 50ms","type":"timeout_error","param":null,"code":null}}"#;
    assert_eq!(answer.text, body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-portkey-provider"), "openai");
    // The provider's side of it is given up.
    stage.providers[0].dropped().await;
    stage.stop().await;
}

#[tokio::test]
async fn the_header_goes_before_the_config() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::hang());
    let config = json!({"virtual_key": "one", "request_timeout": 600_000});
    let call = stage
        .call(&config)
        .header("x-portkey-request-timeout", "40");
    let answer = Answer::of(call).await;
    assert_eq!(answer.status, 408);
    assert!(
        answer.text.contains("in the request: 40ms"),
        "{}",
        answer.text
    );
    for wrong in ["0", "-1", "soon"] {
        let call = stage
            .call(&config)
            .header("x-portkey-request-timeout", wrong);
        assert_eq!(Answer::of(call).await.status, 400, "{wrong}");
    }
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn each_attempt_has_the_whole_time_and_408_is_repeated_only_when_named() {
    let stage = Stage::start().await;
    let with = |codes: serde_json::Value| {
        let retry = json!({"attempts": 1, "on_status_codes": codes});
        json!({"virtual_key": "one", "request_timeout": 50, "retry": retry})
    };
    stage.providers[0].push(Reply::hang());
    assert_eq!(stage.chat(&with(json!([500]))).await.status, 408);
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.providers[0].push(Reply::hang());
    stage.providers[0].push(said("awake"));
    let answer = stage.chat(&with(json!([408]))).await;
    assert_eq!(words(&answer), "awake");
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "1");
    stage.stop().await;
}
