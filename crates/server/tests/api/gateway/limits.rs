//! Limits of API keys and virtual keys on relayed calls: rates, budgets, places.

use std::time::Duration;

use loomgate_testkit::upstream::{Gate, Reply};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    errors::FIVE,
    stage::{Stage, question, refused, said, words},
};
use crate::app::Answer;

/// How long before its renewal a budget is looked at, and how long after.
const NEARLY: Duration = Duration::from_mins(1);

/// A stage with the virtual key `tight`, limited by a line of TOML, to the first provider.
async fn stage(limit: &str) -> Stage {
    let options = format!(
        "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{{one}}'\n{limit}\n\
         [[prices]]\nprovider = 'openai'\nmodel = 'gpt-4o-mini'\ninput = 1000.0\noutput = 1000.0\n"
    );
    let stage = Stage::start_with(&options).await;
    // Calls that follow each other are within one second, and one minute, on any machine.
    stage.app.stop_clock();
    stage.providers[0].always(said("ok"));
    stage
}

async fn tight(stage: &Stage) -> Answer {
    stage.chat(&json!({"virtual_key": "tight"})).await
}

/// Refused, in words for every client, and told when to come back.
#[track_caller]
fn expect_rate(answer: &Answer, start: &str, seconds: std::ops::RangeInclusive<u64>) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(start), "{message}");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds.contains(&wait), "{wait}");
    for name in FIVE {
        assert_ne!(answer.header(name), "", "{name}");
    }
}

#[tokio::test]
async fn requests_of_a_virtual_key_have_a_rate() {
    let stage = stage("rate_limits = [{ type = 'requests', unit = 'rpm', value = 2 }]").await;
    for _ in 0..2 {
        assert_eq!(words(&tight(&stage).await), "ok");
    }
    let refused = tight(&stage).await;
    let told = "The virtual key has reached its limit of 2 requests per minute.";
    expect_rate(&refused, told, 1..=60);
    assert_eq!(refused.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(refused.header("x-portkey-provider"), "openai");
    assert_eq!(refused.json()["status"], "failure");
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.app.pass(Duration::from_secs(121));
    assert_eq!(words(&tight(&stage).await), "ok");
    stage.stop().await;
}

#[tokio::test]
async fn tokens_of_a_virtual_key_have_a_rate_streamed_or_not() {
    let stage = stage("rate_limits = [{ type = 'tokens', unit = 'rpm', value = 20 }]").await;
    assert_eq!(tight(&stage).await.status, 200);
    // 12 of 20 are used; the call that passes the limit is still let through.
    stage.providers[0].push(Reply::text("one two"));
    let mut body = question();
    body["stream"] = json!(true);
    let call = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-virtual-key", "tight");
    assert_eq!(Answer::of(call).await.status, 200);
    let refused = tight(&stage).await;
    let told = "The virtual key has reached its limit of 20 tokens per minute.";
    expect_rate(&refused, told, 1..=120);
    assert_eq!(refused.header("x-ratelimit-limit-tokens"), "20");
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn rates_of_an_api_key_hold_over_all_its_calls() {
    let stage = stage("").await;
    let rate = json!({"type": "requests", "unit": "rpm", "value": 2});
    let defaults = json!({"virtual_key": "one"});
    let key = stage
        .make_key(json!({"rate_limits": [rate], "defaults": defaults}))
        .await;
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 200);
    // A native call counts as a relayed one does.
    let native = stage.app.bare(reqwest::Method::GET, "/v1/assistants");
    assert_eq!(Answer::of(native.bearer_auth(&key)).await.status, 200);
    let refused = Answer::of(stage.call_with(&key)).await;
    let told = "The API key has reached its limit of 2 requests per minute.";
    expect_rate(&refused, told, 1..=60);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(stage.counts(), [1, 0, 0]);
    // Others are not held up by it.
    assert_eq!(tight(&stage).await.status, 200);
    stage.stop().await;
}

#[tokio::test]
async fn every_span_holds_requests_and_tokens_back_until_it_is_over() {
    let spans = [
        ("rps", "second", 1),
        ("rpm", "minute", 60),
        ("rph", "hour", 3_600),
        ("rpd", "day", 86_400),
        ("rpw", "week", 604_800),
    ];
    for (unit, name, seconds) in spans {
        // A call uses 12 tokens.
        for (kind, value) in [("requests", 1), ("tokens", 10)] {
            let limit =
                format!("rate_limits = [{{ type = '{kind}', unit = '{unit}', value = {value} }}]");
            let stage = stage(&limit).await;
            assert_eq!(tight(&stage).await.status, 200);
            let kind = if value == 1 { "request" } else { kind };
            let told =
                format!("The virtual key has reached its limit of {value} {kind} per {name}.");
            expect_rate(&tight(&stage).await, &told, 1..=2 * seconds);
            stage.app.pass(Duration::from_secs(2 * seconds));
            assert_eq!(tight(&stage).await.status, 200, "{unit} of {kind}");
            assert_eq!(stage.counts(), [2, 0, 0]);
            stage.stop().await;
        }
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_412() {
    for (limit, told) in [
        ("type = 'tokens', credit_limit = 20", "20 tokens"),
        // 12 tokens at 1,000 dollars a million are 1.2 cents.
        ("type = 'cost', credit_limit = 0.02", "$0.02"),
    ] {
        let stage = stage(&format!("usage_limits = {{ {limit} }}")).await;
        for _ in 0..2 {
            assert_eq!(tight(&stage).await.status, 200);
        }
        let answer = tight(&stage).await;
        assert_eq!(answer.status, 412, "{}", answer.text);
        assert_eq!(answer.json()["error"]["code"], "usage_limit_exceeded");
        let told = format!("The virtual key has used up its budget of {told}.");
        let message = answer.json()["error"]["message"].clone();
        assert!(message.as_str().unwrap().starts_with(&told), "{message}");
        assert_eq!(stage.counts(), [2, 0, 0]);
        stage.stop().await;
    }
}

#[tokio::test]
async fn a_model_without_a_price_costs_nothing_and_says_so() {
    let stage = stage("usage_limits = { type = 'cost', credit_limit = 0.000001 }").await;
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2});
    let answer = json!({"model": "nobody-knows", "usage": usage});
    stage.providers[0].always(Reply::status(200, answer, &[]));
    let body = json!({"model": "nobody-knows", "messages": []});
    for _ in 0..2 {
        let call = stage
            .post("/v1/chat/completions", &body)
            .header("x-portkey-virtual-key", "tight")
            .header("x-portkey-trace-id", "unpriced");
        assert_eq!(Answer::of(call).await.status, 200);
    }
    let records = loop {
        let logs = stage.request(reqwest::Method::GET, "/v1/logs?trace_id=unpriced");
        let logs = Answer::of(logs).await.json();
        if logs["data"].as_array().unwrap().len() == 2 {
            break logs["data"].clone();
        }
    };
    assert_eq!(records[0]["cost"], Value::Null, "{records}");
    assert_eq!(records[0]["usage"]["prompt_tokens"], 10, "{records}");
    let shown = stage.app.get("/v1/virtual-keys/tight").await.json();
    assert_eq!(shown["usage"]["used"], 0.0, "{shown}");
    stage.stop().await;
}

#[tokio::test]
async fn a_provider_that_counts_without_end_uses_the_budget_up() {
    let stage = stage("usage_limits = { type = 'tokens', credit_limit = 20 }").await;
    let usage = json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX});
    stage.providers[0].push(Reply::status(200, json!({"usage": usage}), &[]));
    assert_eq!(tight(&stage).await.status, 200);
    assert_eq!(tight(&stage).await.status, 412);
    stage.stop().await;
}

#[tokio::test]
async fn a_key_over_its_budget_can_be_looked_at_and_reset() {
    let stage = stage("").await;
    let budget = json!({"type": "tokens", "credit_limit": 10});
    let key = stage
        .make_key(json!({"usage_limits": budget, "scopes": ["completions.write", "logs.list"]}))
        .await;
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 200);
    let answer = Answer::of(stage.call_with(&key)).await;
    assert_eq!(answer.status, 412, "{}", answer.text);
    let message = answer.json()["error"]["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("The API key has used up"),
        "{message}"
    );
    let logs = stage.app.bare(reqwest::Method::GET, "/v1/logs");
    assert_eq!(Answer::of(logs.bearer_auth(&key)).await.status, 200);

    let listed = stage.app.get("/v1/api-keys").await.json();
    let made = listed["data"].as_array().unwrap().iter();
    let made: Vec<&Value> = made.filter(|key| key["name"] == "made by a test").collect();
    assert_eq!(made[0]["status"], "exhausted");
    let path = format!("/v1/api-keys/{}", made[0]["id"].as_str().unwrap());
    let reset = stage.app.request(reqwest::Method::PUT, &path);
    let reset = Answer::of(reset.json(&json!({"reset_usage": true}))).await;
    assert_eq!(reset.status, 200, "{}", reset.text);
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 200);
    stage.stop().await;
}

#[tokio::test]
async fn a_budget_is_renewed_at_its_time() {
    for (reset, most_days) in [
        ("periodic_reset_days = 3", 3),
        ("periodic_reset = 'weekly'", 7),
        ("periodic_reset = 'monthly'", 31),
    ] {
        let limit = format!("usage_limits = {{ type = 'tokens', credit_limit = 10, {reset} }}");
        let stage = stage(&limit).await;
        stage.app.stop_clock();
        assert_eq!(tight(&stage).await.status, 200);
        assert_eq!(tight(&stage).await.status, 412);
        let shown = stage.app.get("/v1/virtual-keys/tight").await.json();
        let renewal = &shown["data"]["usage"]["resets_at"];
        let renewal = OffsetDateTime::parse(renewal.as_str().unwrap(), &Rfc3339).unwrap();
        let wait = renewal - OffsetDateTime::now_utc();
        let wait = Duration::try_from(wait).unwrap_or_default();
        assert!(
            wait <= Duration::from_hours(24 * most_days),
            "{reset}: {wait:?}"
        );
        stage.app.pass(wait.saturating_sub(NEARLY));
        assert_eq!(tight(&stage).await.status, 412, "{reset}");
        stage.app.pass(NEARLY * 2);
        assert_eq!(tight(&stage).await.status, 200, "{reset}");
        assert_eq!(stage.counts(), [2, 0, 0]);
        stage.stop().await;
    }
}

#[tokio::test]
async fn calls_at_the_same_time_have_places_streams_included() {
    let stage = stage("concurrency = 1").await;
    let gate = Gate::new();
    stage.providers[0].push(Reply::gated("one two", &gate));
    let mut body = question();
    body["stream"] = json!(true);
    let stream = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-virtual-key", "tight");
    let mut stream = stream.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let answer = tight(&stage).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    let message = answer.json()["error"]["message"].clone();
    let told = "The virtual key has reached its limit of 1 call at the same time.";
    assert!(message.as_str().unwrap().starts_with(told), "{message}");
    gate.release(2);
    while stream.chunk().await.unwrap().is_some() {}
    while tight(&stage).await.status == 429 {
        tokio::task::yield_now().await;
    }

    // An API key has places of its own.
    let key = stage.make_key(json!({"concurrency": 1})).await;
    let gate = Gate::new();
    stage.providers[0].push(Reply::gated("one", &gate));
    let mut stream = stage.call_with(&key).json(&body).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let answer = Answer::of(stage.call_with(&key)).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    // A caller that leaves gives its place back.
    drop(stream);
    while Answer::of(stage.call_with(&key)).await.status == 429 {
        tokio::task::yield_now().await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn refusals_and_cached_answers_cost_nothing() {
    let stage = stage("usage_limits = { type = 'tokens', credit_limit = 20 }").await;
    for _ in 0..3 {
        stage.providers[0].push(refused(500));
        assert_eq!(tight(&stage).await.status, 500);
    }
    let cached = json!({"virtual_key": "tight", "cache": {"mode": "simple"}});
    for _ in 0..5 {
        assert_eq!(stage.chat(&cached).await.status, 200);
    }
    // Only one of the five was paid for: 12 tokens.
    assert_eq!(tight(&stage).await.status, 200);
    assert_eq!(tight(&stage).await.status, 412);
    stage.stop().await;
}

#[tokio::test]
async fn an_expired_virtual_key_is_told() {
    let stage = stage("expires_at = '2099-01-01T00:00:00Z'").await;
    assert_eq!(tight(&stage).await.status, 200);
    stage.app.pass(Duration::from_hours(366 * 80 * 24));
    let answer = tight(&stage).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], "expired_virtual_key");
    stage.stop().await;
}

#[tokio::test]
async fn a_download_holds_the_place_of_its_api_key() {
    let stage = stage("").await;
    let key = stage.make_key(json!({"concurrency": 1})).await;
    let gate = Gate::new();
    let headers = [("content-type", "application/octet-stream")];
    let reply = Reply::chunked(&headers, &["one", "two"]).held_at_the_end(&gate);
    stage.providers[0].push(reply);
    let download = stage
        .app
        .bare(reqwest::Method::GET, "/v1/files/file-1/content")
        .header("x-portkey-api-key", &key)
        .header("x-portkey-virtual-key", "up-one");
    let mut download = download.send().await.unwrap();
    assert_eq!(download.chunk().await.unwrap().unwrap(), "one");
    let answer = Answer::of(stage.call_with(&key)).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    gate.release(1);
    assert_eq!(download.text().await.unwrap(), "two");
    while Answer::of(stage.call_with(&key)).await.status == 429 {
        tokio::task::yield_now().await;
    }
    stage.stop().await;
}
