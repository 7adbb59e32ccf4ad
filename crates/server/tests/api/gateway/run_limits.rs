//! Limits hold across a run: between its model turns too.

use loomgate_testkit::upstream::Reply;
use serde_json::json;

use super::{
    runs::{assistant, begin, path, settled},
    stage::Stage,
};
use crate::app::{Answer, KEY_B};

/// The virtual key `tight` with a limit, to the first provider.
async fn stage(limit: &str) -> Stage {
    let options = format!(
        "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{{one}}'\n{limit}\n\
         [gateway]\nretries = 0\n"
    );
    Stage::start_with(&options).await
}

#[tokio::test]
async fn a_budget_that_ends_between_two_turns_ends_the_run() {
    let stage = stage("usage_limits = { type = 'tokens', credit_limit = 10 }").await;
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    let assistant = assistant(&stage, "m").await;
    let tight = |request: reqwest::RequestBuilder| request.header("x-portkey-virtual-key", "tight");
    let run = begin(&stage, &assistant, tight).await;
    settled(&stage, &run, "requires_action").await;
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
    assert_eq!(Answer::of(submit).await.status, 200);
    let run = settled(&stage, &run, "failed").await;
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    let told = "The virtual key has used up its budget of 10 tokens.";
    let message = run["last_error"]["message"].as_str().unwrap();
    assert!(message.starts_with(told), "{message}");
    // What the first turn took is still told.
    assert_eq!(run["usage"]["total_tokens"], 11, "{run}");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn the_budget_of_the_api_key_that_made_a_run_holds_for_its_turns() {
    let stage = stage("").await;
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    let budget = json!({"type": "tokens", "credit_limit": 10});
    let made =
        json!({"usage_limits": budget, "defaults": {"virtual_key": "one"}, "workspace_id": "b"});
    let key = stage.make_key(made).await;
    let assistant = assistant(&stage, "m").await;
    let as_key = |request: reqwest::RequestBuilder| {
        let mut request = request.build().unwrap();
        request
            .headers_mut()
            .insert("x-portkey-api-key", key.parse().unwrap());
        reqwest::RequestBuilder::from_parts(crate::app::client(reqwest::Client::builder()), request)
    };
    let run = begin(&stage, &assistant, as_key).await;
    settled(&stage, &run, "requires_action").await;
    // Another key of the workspace submits: the budget is that of the key that made the run.
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    let submit = stage
        .app
        .bare(
            reqwest::Method::POST,
            &format!("{}/submit_tool_outputs", path(&run)),
        )
        .bearer_auth(KEY_B)
        .json(&outputs);
    assert_eq!(Answer::of(submit).await.status, 200);
    let run = settled(&stage, &run, "failed").await;
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    let message = run["last_error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("The API key has used up its budget of 10 tokens."),
        "{message}"
    );
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_rate_that_is_far_from_free_ends_the_run_with_its_text() {
    let stage = stage("rate_limits = [{ type = 'requests', unit = 'rph', value = 1 }]").await;
    stage.providers[0].push(Reply::text("once"));
    let assistant = assistant(&stage, "m").await;
    let tight = |request: reqwest::RequestBuilder| request.header("x-portkey-virtual-key", "tight");
    let run = begin(&stage, &assistant, tight).await;
    settled(&stage, &run, "completed").await;
    let run = begin(&stage, &assistant, tight).await;
    let run = settled(&stage, &run, "failed").await;
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    let message = run["last_error"]["message"].as_str().unwrap();
    let told = "The virtual key has reached its limit of 1 request per hour.";
    assert!(message.starts_with(told), "{message}");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_limited_target_of_a_run_falls_back_to_the_next() {
    let stage = stage("rate_limits = [{ type = 'requests', unit = 'rph', value = 1 }]").await;
    stage.providers[0].push(Reply::text("once"));
    stage.providers[1].push(Reply::text("twice"));
    let targets = json!([{"virtual_key": "tight"}, {"virtual_key": "two"}]);
    let config = json!({"strategy": {"mode": "fallback"}, "targets": targets}).to_string();
    let assistant = assistant(&stage, "m").await;
    for _ in 0..2 {
        let with = |request: reqwest::RequestBuilder| request.header("x-portkey-config", &config);
        let run = begin(&stage, &assistant, with).await;
        settled(&stage, &run, "completed").await;
    }
    assert_eq!(stage.counts(), [1, 1, 0]);
    stage.stop().await;
}
