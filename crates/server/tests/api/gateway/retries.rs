//! What is tried again, how often, and what the caller is told of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::{Stage, refused, said, words};
use loomgate_testkit::upstream::Reply;

fn config(retry: &Value) -> Value {
    json!({"virtual_key": "one", "retry": retry})
}

#[tokio::test]
async fn without_a_retry_in_the_config_nothing_is_repeated() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(503));
    let answer = stage.chat(&json!({"virtual_key": "one"})).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "0");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn the_retry_that_succeeded_is_counted() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(503));
    stage.providers[0].push(said("at last"));
    let answer = stage.chat(&config(&json!({"attempts": 3}))).await;
    assert_eq!(words(&answer), "at last");
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "1");
    let requests = stage.providers[0].requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].bytes, requests[1].bytes);
    stage.stop().await;
}

#[tokio::test]
async fn when_all_attempts_are_used_up_the_last_answer_is_handed_out() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(500));
    stage.providers[0].push(Reply::status(
        502,
        json!({"last": true}),
        &[("x-last", "yes")],
    ));
    let answer = stage.chat(&config(&json!({"attempts": 1}))).await;
    assert_eq!((answer.status, answer.json()), (502, json!({"last": true})));
    assert_eq!(answer.header("x-last"), "yes");
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "-1");
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn only_the_named_statuses_are_repeated() {
    let stage = Stage::start().await;
    let retry = json!({"attempts": 1, "on_status_codes": [418]});
    stage.providers[0].push(refused(503));
    let answer = stage.chat(&config(&retry)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "0");
    stage.providers[0].push(refused(418));
    stage.providers[0].push(said("tea"));
    assert_eq!(words(&stage.chat(&config(&retry)).await), "tea");
    assert_eq!(stage.counts(), [3, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_pause_that_the_provider_asks_for_is_kept_in_both_spellings() {
    let stage = Stage::start().await;
    for (spelling, header, value) in [
        ("use_retry_after_header", "retry-after", "1"),
        ("use_retry_after_headers", "retry-after-ms", "1000"),
        ("use_retry_after_header", "x-ms-retry-after-ms", "1000"),
    ] {
        stage.providers[0].push(Reply::status(429, json!({}), &[(header, value)]));
        stage.providers[0].push(said("now"));
        let before = Instant::now();
        let retry = json!({"attempts": 1, spelling: true});
        assert_eq!(words(&stage.chat(&config(&retry)).await), "now");
        // A pause of our own choice is half a second at most.
        assert!(before.elapsed() >= Duration::from_secs(1), "{header}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_pause_that_is_too_long_ends_the_attempts() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::status(429, json!({}), &[("retry-after", "61")]));
    let retry = json!({"attempts": 5, "use_retry_after_header": true});
    let answer = stage.chat(&config(&retry)).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "61");
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "-1");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}
