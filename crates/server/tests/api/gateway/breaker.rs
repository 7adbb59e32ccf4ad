//! The circuit breaker: a provider that keeps failing is left alone for a while.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Stage, refused, said, words};

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
