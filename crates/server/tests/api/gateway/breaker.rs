//! The circuit breaker: a provider that keeps failing is left alone for a while.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, question, refused, said, words};
use crate::app::{Answer, KEY_A};

fn config() -> Value {
    json!({
        "strategy": {
            "mode": "fallback",
            "cb_config": {
                "failure_threshold": 2, "cooldown_interval": 30_000, "failure_status_codes": [500],
            },
        },
        "targets": [{"virtual_key": "one"}, {"virtual_key": "two"}],
    })
}

#[tokio::test]
async fn it_opens_is_skipped_and_closes_again() {
    let stage = Stage::start().await;
    stage.providers[0].always(refused(500));
    stage.providers[1].always(said("two"));
    for _ in 0..5 {
        assert_eq!(words(&stage.chat(&config()).await), "two");
    }
    // The second failure opened it.
    assert_eq!(stage.counts(), [2, 5, 0]);

    stage.app.pass(Duration::from_secs(31));
    stage.providers[0].always(said("one"));
    assert_eq!(words(&stage.chat(&config()).await), "one");
    assert_eq!(words(&stage.chat(&config()).await), "one");
    assert_eq!(stage.counts(), [4, 5, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_trial_that_fails_keeps_it_open() {
    let stage = Stage::start().await;
    stage.providers[0].always(refused(500));
    stage.providers[1].always(said("two"));
    for _ in 0..2 {
        stage.chat(&config()).await;
    }
    stage.app.pass(Duration::from_secs(31));
    for _ in 0..3 {
        assert_eq!(words(&stage.chat(&config()).await), "two");
    }
    assert_eq!(stage.counts(), [3, 5, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn when_all_are_open_all_are_asked() {
    let stage = Stage::start().await;
    for provider in &stage.providers {
        provider.always(refused(500));
    }
    for _ in 0..4 {
        assert_eq!(stage.chat(&config()).await.status, 500);
    }
    assert_eq!(stage.counts(), [4, 4, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn other_statuses_are_no_failures_and_other_configs_know_nothing_of_it() {
    let stage = Stage::start().await;
    stage.providers[0].always(refused(503));
    stage.providers[1].always(said("two"));
    for _ in 0..4 {
        stage.chat(&config()).await;
    }
    assert_eq!(stage.counts(), [4, 4, 0]);
    stage.providers[0].always(refused(500));
    for _ in 0..3 {
        stage.chat(&config()).await;
    }
    assert_eq!(stage.counts(), [6, 7, 0]);
    let mut other = config();
    other["strategy"]["cb_config"]["failure_threshold"] = json!(3);
    stage.chat(&other).await;
    assert_eq!(stage.counts(), [7, 8, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_target_that_is_never_drawn_is_no_way_out() {
    let stage = Stage::start().await;
    stage.providers[0].always(refused(503));
    let breaker = json!({"failure_threshold": 1, "cooldown_interval": 30_000});
    let config = json!({
        "strategy": {"mode": "loadbalance", "cb_config": breaker},
        "targets": [{"virtual_key": "one"}, {"virtual_key": "two", "weight": 0}],
    });
    for _ in 0..2 {
        assert_eq!(stage.chat(&config).await.status, 503);
    }
    // The only one that is drawn is open, so it is asked all the same.
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn an_account_that_takes_the_place_of_a_broken_one_begins_anew() {
    let stage = Stage::start().await;
    stage.providers[0].always(refused(500));
    stage.providers[1].always(said("two"));
    stage.providers[2].always(said("three"));
    let saved = json!({"name": "x", "slug": "pc-mended", "config": config()});
    assert_eq!(stage.app.post("/v1/configs", &saved).await.status, 200);
    let call = async || {
        let request = stage.app.bare(Method::POST, "/v1/chat/completions");
        let request = request.bearer_auth(KEY_A).json(&question());
        Answer::of(request.header("x-portkey-config", "pc-mended")).await
    };
    for _ in 0..3 {
        assert_eq!(words(&call().await), "two");
    }
    assert_eq!(stage.counts(), [2, 3, 0]);
    // Somebody mends the config: nothing is known of the account that is there now.
    let mut mended = config();
    mended["targets"][0] = json!({"virtual_key": "three"});
    let change = stage.app.request(Method::PUT, "/v1/configs/pc-mended");
    let changed = Answer::of(change.json(&json!({"config": mended}))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(words(&call().await), "three");
    stage.stop().await;
}
