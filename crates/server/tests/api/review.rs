//! Ways around keys, limits and guardrails that were found by looking for them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B},
    gateway::stage::{Stage, said},
};

const OPERATORS_SECRET: &str = "sk-operators-own-0123456789abcdef";

/// Refuses requests with this word.
fn no_hello() -> Value {
    json!([{"default.contains": {"operator": "none", "words": ["Hello"]}, "deny": true}])
}

/// A key of workspace `a` that can not get past its config.
async fn fixed_key(stage: &Stage, config: &Value) -> String {
    let saved = json!({"name": "fixed", "slug": "pc-fixed", "config": config});
    let answer = stage.app.post("/v1/configs", &saved).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    stage
        .make_key(json!({
            "scopes": ["completions.write"],
            "defaults": {"config_id": "pc-fixed", "allow_config_override": false},
        }))
        .await
}

async fn with(stage: &Stage, key: &str, path: &str, body: &Value) -> Answer {
    let request = stage
        .app
        .bare(Method::POST, path)
        .header("x-portkey-api-key", key)
        .json(body);
    Answer::of(request).await
}

#[tokio::test]
async fn the_model_of_a_run_does_not_lead_past_the_config_of_its_key() {
    let stage = Stage::start().await;
    for provider in &stage.providers {
        provider.always(said("hi"));
    }
    let config = json!({"virtual_key": "one", "input_guardrails": no_hello()});
    let key = fixed_key(&stage, &config).await;
    let assistant = json!({"model": "gpt-4o-mini"});
    let assistant = with(&stage, &key, "/v1/assistants", &assistant)
        .await
        .json();
    let run = json!({
        "assistant_id": assistant["id"], "model": "@two/gpt-4o-mini", "stream": true,
        "thread": {"messages": [{"role": "user", "content": "Hello?"}]},
    });
    let answer = with(&stage, &key, "/v1/threads/runs", &run).await;
    assert_eq!(stage.counts(), [0, 0, 0], "{}", answer.text);
    assert!(answer.text.contains("thread.run.failed"), "{}", answer.text);
    stage.stop().await;
}

#[tokio::test]
async fn the_model_of_a_run_names_its_virtual_key_where_no_config_does() {
    let stage = Stage::start().await;
    stage.providers[1].always(said("hi"));
    let assistant = json!({"model": "@two/gpt-4o-mini"});
    let assistant = with(&stage, KEY_B, "/v1/assistants", &assistant)
        .await
        .json();
    let run = json!({
        "assistant_id": assistant["id"], "stream": true,
        "thread": {"messages": [{"role": "user", "content": "Hello?"}]},
    });
    let answer = with(&stage, KEY_B, "/v1/threads/runs", &run).await;
    assert!(
        answer.text.contains("thread.run.completed"),
        "{}",
        answer.text
    );
    assert_eq!(stage.counts(), [0, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn the_secret_of_a_saved_config_does_not_go_where_a_caller_says() {
    let config = format!(
        "[configs.own]\njson = '{{\"provider\":\"openai\",\"api_key\":\"{OPERATORS_SECRET}\"}}'\n\
         [egress]\nallow = ['127.0.0.1']\n"
    );
    let stage = Stage::start_with(&config).await;
    stage.providers[0].always(said("hi"));
    let answer = Answer::of(
        stage
            .post("/v1/chat/completions", &crate::gateway::stage::question())
            .header("x-portkey-config", "own")
            .header("x-portkey-custom-host", stage.providers[0].url()),
    )
    .await;
    assert_eq!(stage.counts(), [0, 0, 0]);
    let error = answer.json();
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(error["error"]["code"], "custom_host_not_allowed");
    stage.stop().await;
}
