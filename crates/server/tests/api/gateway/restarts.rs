//! What keys have used, and which secrets open, after a restart.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, said};
use crate::app::Answer;

const CONFIGURED: &str = "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{one}'\n\
    usage_limits = { type = 'tokens', credit_limit = 20, periodic_reset = 'monthly' }\n\
    [virtual_keys.slow]\nprovider = 'openai'\nbase_url = '{one}'\n\
    rate_limits = [{ type = 'requests', unit = 'rpw', value = 1 }]\n\
    [virtual_keys.wordy]\nprovider = 'openai'\nbase_url = '{one}'\n\
    rate_limits = [{ type = 'tokens', unit = 'rpd', value = 10 }]\n";

async fn again(stage: Stage) -> Stage {
    let (folder, upstream, providers) = stage.end().await;
    Stage::again(folder, upstream, providers, CONFIGURED).await
}

async fn status(stage: &Stage, slug: &str) -> u16 {
    stage.chat(&json!({"virtual_key": slug})).await.status
}

#[tokio::test]
async fn limits_go_on_where_they_were() {
    let stage = Stage::start_with(CONFIGURED).await;
    stage.providers[0].always(said("ok"));
    let budget = json!({"type": "tokens", "credit_limit": 10});
    let rate = json!({"type": "requests", "unit": "rpd", "value": 1});
    let spent = stage.make_key(json!({"usage_limits": budget})).await;
    let slow = stage.make_key(json!({"rate_limits": [rate]})).await;
    for key in [&spent, &slow] {
        assert_eq!(Answer::of(stage.call_with(key)).await.status, 200);
    }
    for slug in ["tight", "tight", "slow", "wordy"] {
        assert_eq!(status(&stage, slug).await, 200, "{slug}");
    }
    let stage = again(stage).await;
    assert_eq!(Answer::of(stage.call_with(&spent)).await.status, 412);
    let refused = Answer::of(stage.call_with(&slow)).await;
    assert_eq!(refused.status, 429);
    assert_ne!(refused.header("retry-after"), "");
    for (slug, expected) in [("tight", 412), ("slow", 429), ("wordy", 429)] {
        assert_eq!(status(&stage, slug).await, expected, "{slug}");
    }
    let shown = stage.app.get("/v1/virtual-keys/tight").await.json();
    assert_eq!(
        (&shown["status"], &shown["usage"]["used"]),
        (&json!("exhausted"), &json!(24))
    );
    // Each ends at its own time: a day, a week, a month.
    stage.app.pass(Duration::from_hours(49));
    assert_eq!(status(&stage, "wordy").await, 200);
    stage.app.pass(Duration::from_hours(14 * 24));
    assert_eq!(status(&stage, "slow").await, 200);
    stage.app.pass(Duration::from_hours(31 * 24));
    assert_eq!(status(&stage, "tight").await, 200);
    assert_eq!(Answer::of(stage.call_with(&spent)).await.status, 412);
    stage.stop().await;
}

#[tokio::test]
async fn a_reset_is_not_undone() {
    let stage = Stage::start_with(CONFIGURED).await;
    stage.providers[0].always(said("ok"));
    let budget = json!({"type": "tokens", "credit_limit": 10, "periodic_reset": "weekly"});
    let key = stage.make_key(json!({"usage_limits": budget})).await;
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 200);
    let stage = again(stage).await;
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 412);
    let listed = stage.app.get("/v1/api-keys").await.json();
    let made = listed["data"].as_array().unwrap().iter();
    let made: Vec<&Value> = made.filter(|key| key["name"] == "made by a test").collect();
    let path = format!("/v1/api-keys/{}", made[0]["id"].as_str().unwrap());
    let reset = stage.app.request(Method::PUT, &path);
    let reset = Answer::of(reset.json(&json!({"reset_usage": true}))).await;
    assert_eq!(reset.json()["usage"]["used"], 0, "{}", reset.text);
    let stage = again(stage).await;
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 200);
    stage.stop().await;
}

#[tokio::test]
async fn both_secrets_of_a_rotated_key_open_until_the_transition_ends() {
    let stage = Stage::start_with(CONFIGURED).await;
    stage.providers[0].always(said("ok"));
    let made = json!({"name": "rotated"});
    let made = stage
        .app
        .post("/v1/api-keys/workspace/service", &made)
        .await;
    let first = made.json()["key"].as_str().unwrap().to_owned();
    let path = format!(
        "/v1/api-keys/{}/rotate",
        made.json()["id"].as_str().unwrap()
    );
    let rotated = json!({"key_transition_period_ms": 7_200_000});
    let rotated = stage.app.post(&path, &rotated).await.json();
    let second = rotated["key"].as_str().unwrap().to_owned();
    let stage = again(stage).await;
    let open = async |stage: &Stage| {
        let mut statuses = [0; 2];
        for (status, key) in statuses.iter_mut().zip([&first, &second]) {
            *status = Answer::of(stage.call_with(key)).await.status;
        }
        statuses
    };
    assert_eq!(open(&stage).await, [200, 200]);
    let stage = again(stage).await;
    stage.app.pass(Duration::from_secs(7_201));
    assert_eq!(open(&stage).await, [401, 200]);
    stage.stop().await;
}
