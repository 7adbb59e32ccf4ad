//! Which answers come out of the cache, told by what the provider received.

use std::time::Duration;

use loomgate_testkit::upstream::Reply;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::stage::{Stage, question, refused, said};
use crate::app::{Answer, KEY_A};

fn cached(slug: &str) -> Value {
    json!({"virtual_key": slug, "cache": {"mode": "simple", "max_age": 60}})
}

async fn status_of(request: RequestBuilder) -> String {
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-portkey-cache-status").to_owned()
}

#[tokio::test]
async fn the_same_call_is_answered_once_by_the_provider() {
    let stage = Stage::start().await;
    stage.providers[0].push(said("first"));
    stage.providers[0].push(said("second"));
    let first = stage.chat(&cached("one")).await;
    let second = stage.chat(&cached("one")).await;
    assert_eq!(first.header("x-portkey-cache-status"), "MISS");
    assert_eq!(second.header("x-portkey-cache-status"), "HIT");
    assert_eq!(first.text, second.text);
    assert_eq!(stage.counts(), [1, 0, 0]);

    let refresh = stage
        .call(&cached("one"))
        .header("x-portkey-cache-force-refresh", "true");
    assert_eq!(status_of(refresh).await, "REFRESH");
    // The new answer has taken the place of the old one.
    let third = stage.chat(&cached("one")).await;
    assert!(third.text.contains("second"), "{}", third.text);
    let not = stage
        .call(&cached("one"))
        .header("x-portkey-cache-force-refresh", "false");
    assert_eq!(status_of(not).await, "HIT");
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    assert_eq!(status_of(stage.call(&cached("one"))).await, "MISS");
    stage.app.pass(Duration::from_secs(55));
    assert_eq!(status_of(stage.call(&cached("one"))).await, "HIT");
    stage.app.pass(Duration::from_secs(6));
    assert_eq!(status_of(stage.call(&cached("one"))).await, "MISS");
    stage.stop().await;
}

#[tokio::test]
async fn what_differs_in_anything_that_counts_is_another_call() {
    let stage = Stage::start().await;
    for provider in &stage.providers {
        provider.always(said("ok"));
    }
    let config = cached("one").to_string();
    assert_eq!(status_of(stage.call(&cached("one"))).await, "MISS");
    let with = |path: &str, body: &Value| {
        let request = stage.post(path, body);
        request.header("x-portkey-config", &config)
    };
    let mut other_model = question();
    other_model["model"] = json!("gpt-4o");
    let other_workspace = stage
        .app
        .bare(Method::POST, "/v1/chat/completions")
        .bearer_auth(KEY_A)
        .json(&question())
        .header("x-portkey-config", &config);
    let chat = || with("/v1/chat/completions", &question());
    for (what, request) in [
        ("model", with("/v1/chat/completions", &other_model)),
        ("path", with("/v1/completions", &question())),
        ("workspace", other_workspace),
        ("virtual key", stage.call(&cached("two"))),
        ("namespace", chat().header("x-portkey-cache-namespace", "n")),
        ("project", chat().header("openai-project", "p")),
        (
            "organization",
            chat().header("x-portkey-openai-organization", "o"),
        ),
        (
            "metadata",
            chat().header("x-portkey-metadata", "{\"user\":\"u\"}"),
        ),
    ] {
        assert_eq!(status_of(request).await, "MISS", "{what}");
    }
    assert_eq!(status_of(chat()).await, "HIT");
    let named = chat().header("x-portkey-cache-namespace", "n");
    assert_eq!(status_of(named).await, "HIT");
    stage.stop().await;
}

#[tokio::test]
async fn some_calls_are_never_cached() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let config = cached("up-one").to_string();
    let with = |request: RequestBuilder| request.header("x-portkey-config", &config);
    let thread = || with(stage.post("/v1/threads", &json!({})));
    let run = || with(stage.post("/v1/threads/thread_1/runs/run_1", &json!({"metadata": {}})));
    let file = || with(stage.post("/v1/vector_stores", &json!({})));
    let models = || with(stage.request(Method::GET, "/v1/models"));
    let batch = || with(stage.post("/v1/batches", &json!({})));
    let debug = || {
        stage
            .call(&cached("one"))
            .header("x-portkey-debug", "false")
    };
    let calls: [&dyn Fn() -> RequestBuilder; 6] = [&thread, &run, &file, &models, &batch, &debug];
    for (index, call) in calls.iter().enumerate() {
        for _ in 0..2 {
            assert_eq!(status_of(call()).await, "DISABLED", "{index}");
        }
        assert_eq!(stage.providers[0].count(), 2 * (index + 1));
    }
    stage.stop().await;
}

#[tokio::test]
async fn streams_and_refusals_are_not_kept() {
    let stage = Stage::start().await;
    let mut body = question();
    body["stream"] = json!(true);
    for _ in 0..2 {
        stage.providers[0].push(Reply::text("a stream"));
        let stream = stage
            .post("/v1/chat/completions", &body)
            .header("x-portkey-config", cached("one").to_string());
        assert_eq!(status_of(stream).await, "DISABLED");
    }
    for _ in 0..2 {
        stage.providers[0].push(refused(400));
        let answer = stage.chat(&cached("one")).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("x-portkey-cache-status"), "MISS");
    }
    assert_eq!(stage.counts(), [4, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_namespace_is_what_its_bytes_say_and_an_empty_one_is_none() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let call = |namespace: &[u8], user: &str| {
        let request = stage.call(&cached("one"));
        let metadata = json!({"user": user}).to_string();
        request
            .header("x-portkey-cache-namespace", namespace)
            .header("x-portkey-metadata", metadata)
    };
    for (namespace, user, expected) in [
        (&b""[..], "a", "MISS"),
        (b"  ", "b", "MISS"),
        (b"", "a", "HIT"),
        ("m\u{fc}ller".as_bytes(), "a", "MISS"),
        ("m\u{f6}ller".as_bytes(), "a", "MISS"),
        (b"m\xfcller", "a", "MISS"),
        (b"m\xf6ller", "a", "MISS"),
        ("m\u{fc}ller".as_bytes(), "b", "HIT"),
    ] {
        let got = status_of(call(namespace, user)).await;
        assert_eq!(got, expected, "{namespace:?} {user}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_namespace_does_not_lead_past_a_guardrail_on_metadata() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    for side in ["input_guardrails", "output_guardrails"] {
        let check = json!({"metadataKeys": ["team"], "operator": "all"});
        let mut config = cached("one");
        config[side] = json!([{"default.requiredMetadataKeys": check, "deny": true}]);
        let call = |metadata: &str| {
            let request = stage.call(&config);
            request
                .header("x-portkey-cache-namespace", side)
                .header("x-portkey-metadata", metadata)
        };
        assert_eq!(status_of(call("{\"team\":\"a\"}")).await, "MISS", "{side}");
        assert_eq!(status_of(call("{\"team\":\"a\"}")).await, "HIT", "{side}");
        assert_eq!(Answer::of(call("{}")).await.status, 446, "{side}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_rules_make_of_a_call_is_kept_and_given_again_whole() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("fine"));
    let mut config = cached("one");
    config["override_params"] = json!({"model": "gpt-4o", "seed": 1});
    config["input_guardrails"] = json!([{"default.wordCount": {"maxWords": 9}, "deny": true}]);
    let first = stage.chat(&config).await;
    let second = stage.chat(&config).await;
    assert_eq!(second.header("x-portkey-cache-status"), "HIT");
    assert_eq!(first.text, second.text);
    let results = &second.json()["hook_results"]["before_request_hooks"];
    assert_eq!(results[0]["verdict"], true);
    assert_eq!(stage.counts(), [1, 0, 0]);
    assert_eq!(stage.received().body["model"], "gpt-4o");
    // A mark (246) is no answer to keep: whoever asks again is marked again.
    config["output_guardrails"] = json!([{"default.wordCount": {"minWords": 9}}]);
    for _ in 0..2 {
        let marked = stage.chat(&config).await;
        assert_eq!(marked.status, 246);
        assert_eq!(marked.header("x-portkey-cache-status"), "MISS");
    }
    assert_eq!(stage.counts(), [3, 0, 0]);
    stage.stop().await;
}
