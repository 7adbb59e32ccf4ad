//! Rules that meet: what each does is known elsewhere, here is what comes of several at once.

use std::time::Duration;

use futures::future::join_all;
use loomgate_testkit::upstream::{Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, question, refused, said, to, words};
use crate::app::Answer;

/// What the admin API tells of an API key by its name.
async fn shown(stage: &Stage, name: &str) -> Value {
    let listed = stage.app.get("/v1/api-keys").await.json();
    let keys = listed["data"].as_array().unwrap().iter();
    let mut keys = keys.filter(|key| key["name"] == name);
    keys.next().unwrap().clone()
}

#[tokio::test]
async fn a_target_is_tried_again_before_the_next_has_its_turn() {
    let stage = Stage::start().await;
    for status in [500, 500, 429] {
        stage.providers[0].push(refused(status));
    }
    stage.providers[1].always(said("two"));
    let again = json!({"attempts": 2, "on_status_codes": [500]});
    let first = json!({"virtual_key": "one", "retry": again});
    let strategy = json!({"mode": "fallback", "on_status_codes": [429]});
    let config = json!({"strategy": strategy, "targets": [first, to("two")]});
    let answer = stage.chat(&config).await;
    assert_eq!(words(&answer), "two");
    assert_eq!(stage.counts(), [3, 1, 0]);
    // The count is that of the target that answered.
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "0");
    assert_eq!(
        answer.header("x-portkey-last-used-option-index"),
        "config.targets[1]"
    );
    // A status that is tried again, but leads nowhere else, is the answer.
    for _ in 0..3 {
        stage.providers[0].push(refused(500));
    }
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.header("x-portkey-retry-attempt-count"), "-1");
    assert_eq!(stage.counts(), [6, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn inherited_rules_hold_at_each_target_below() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(503));
    stage.providers[0].push(refused(503));
    stage.providers[1].push(refused(503));
    stage.providers[2].push(said("three"));
    let inner = json!({
        "strategy": {"mode": "fallback"}, "override_params": {"seed": 2},
        "targets": [
            {"virtual_key": "two", "retry": {"attempts": 0}},
            {"virtual_key": "three", "override_params": {"seed": 3}},
        ],
    });
    let config = json!({
        "strategy": {"mode": "fallback"}, "retry": {"attempts": 1},
        "override_params": {"user": "all", "seed": 1}, "targets": [to("one"), inner],
    });
    assert_eq!(words(&stage.chat(&config).await), "three");
    assert_eq!(stage.counts(), [2, 1, 1]);
    for (index, seed) in [(0, 1), (1, 2), (2, 3)] {
        let body = &stage.providers[index].requests()[0].body;
        assert_eq!(
            (&body["seed"], &body["user"]),
            (&json!(seed), &json!("all"))
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_a_request_names_fills_in_what_its_config_leaves_open() {
    let stage = Stage::start().await;
    for (provider, name) in stage.providers.iter().zip(["one", "two", "three"]) {
        provider.always(said(name));
    }
    let saved = json!({"name": "x", "slug": "pc-three", "config": to("three")});
    assert_eq!(stage.app.post("/v1/configs", &saved).await.status, 200);
    let defaults = json!({"config_id": "pc-three", "virtual_key": "one"});
    let key = stage.make_key(json!({"defaults": defaults})).await;
    let open = json!({"retry": {"attempts": 1}}).to_string();
    let closed = to("one").to_string();
    for (headers, expected) in [
        (&[][..], "three"),
        (&[("x-portkey-virtual-key", "two")], "two"),
        (&[("x-portkey-provider", "@two")], "two"),
        // A config in the request goes before the key's own, which it leaves open or not.
        (&[("x-portkey-config", &*open)], "one"),
        (
            &[
                ("x-portkey-config", &*open),
                ("x-portkey-virtual-key", "two"),
            ],
            "two",
        ),
        (
            &[
                ("x-portkey-config", &*closed),
                ("x-portkey-virtual-key", "two"),
            ],
            "one",
        ),
        // Of two names the virtual key counts.
        (
            &[
                ("x-portkey-provider", "@three"),
                ("x-portkey-virtual-key", "two"),
            ],
            "two",
        ),
    ] {
        let mut request = stage.app.bare(Method::POST, "/v1/chat/completions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("x-portkey-api-key", &key).json(&question());
        assert_eq!(words(&Answer::of(request).await), expected, "{headers:?}");
    }
    stage.stop().await;
}

const BOTH: &str = "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{one}'\n\
                    rate_limits = [{ type = 'requests', unit = 'rpw', value = 1 }]\n\
                    usage_limits = { type = 'tokens', credit_limit = 1000 }\n";

#[tokio::test]
async fn limits_of_both_keys_count_a_call_once() {
    let stage = Stage::start_with(BOTH).await;
    stage.providers[0].push(refused(503));
    stage.providers[0].push(said("one"));
    stage.providers[1].always(said("two"));
    let budget = json!({"type": "tokens", "credit_limit": 30});
    let rate = json!({"type": "requests", "unit": "rpw", "value": 3});
    let key = stage
        .make_key(json!({"usage_limits": budget, "rate_limits": [rate]}))
        .await;
    let first = json!({"virtual_key": "tight", "retry": {"attempts": 1}});
    let config = json!({"strategy": {"mode": "fallback"}, "targets": [first, to("two")]});
    let call = || {
        stage
            .call_with(&key)
            .header("x-portkey-config", config.to_string())
    };
    // Tried twice, counted once.
    assert_eq!(words(&Answer::of(call()).await), "one");
    assert_eq!(shown(&stage, "made by a test").await["usage"]["used"], 12);
    // The virtual key refuses, the fallback pays: the API key is charged for that one alone.
    assert_eq!(words(&Answer::of(call()).await), "two");
    assert_eq!(shown(&stage, "made by a test").await["usage"]["used"], 24);
    let tight = stage.app.get("/v1/virtual-keys/tight").await.json();
    assert_eq!(tight["usage"]["used"], 12);
    // The third passes its budget, and is the last that its rate allows.
    assert_eq!(words(&Answer::of(call()).await), "two");
    assert_eq!(Answer::of(call()).await.status, 412);
    stage.app.pass(Duration::from_hours(3));
    assert_eq!(Answer::of(call()).await.status, 412);
    assert_eq!(stage.counts(), [2, 2, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn calls_at_the_same_time_are_all_counted() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let budget = json!({"type": "tokens", "credit_limit": 120});
    let key = stage.make_key(json!({"usage_limits": budget})).await;
    let calls = (0..40).map(|_| Answer::of(stage.call_with(&key)));
    let answers = join_all(calls).await;
    let paid = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|it| matches!(it.status, 200 | 412)));
    // Those under way when it ends are let through, and counted.
    assert!(paid >= 10, "{paid}");
    assert_eq!(stage.counts()[0], paid);
    let usage = &shown(&stage, "made by a test").await["usage"];
    assert_eq!(usage["used"], 12 * paid);
    assert_eq!(usage["exhausted"], true);
    stage.stop().await;
}

#[tokio::test]
async fn a_budget_holds_to_the_call_where_one_is_made_at_a_time() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let budget = json!({"type": "tokens", "credit_limit": 30});
    let key = stage
        .make_key(json!({"usage_limits": budget, "concurrency": 1}))
        .await;
    loop {
        let calls = (0..8).map(|_| Answer::of(stage.call_with(&key)));
        let answers = join_all(calls).await;
        assert!(
            answers
                .iter()
                .all(|it| matches!(it.status, 200 | 412 | 429))
        );
        if answers.iter().all(|answer| answer.status == 412) {
            break;
        }
    }
    assert_eq!(stage.counts(), [3, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_gives_the_places_back() {
    let options =
        "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{one}'\nconcurrency = 1\n";
    let stage = Stage::start_with(options).await;
    let key = stage.make_key(json!({"concurrency": 1})).await;
    let call = || {
        let request = stage.app.bare(Method::POST, "/v1/chat/completions");
        request
            .header("x-portkey-api-key", &key)
            .header("x-portkey-virtual-key", "tight")
            .json(&question())
    };
    stage.providers[0].push(Reply::hang());
    let hanging = call().send();
    tokio::select! {
        answer = hanging => panic!("{answer:?}"),
        _ = stage.providers[0].next_request() => {}
    }
    stage.providers[0].dropped().await;
    stage.providers[0].always(said("ok"));
    while Answer::of(call()).await.status == 429 {
        tokio::task::yield_now().await;
    }
    assert_eq!(words(&Answer::of(call()).await), "ok");
    stage.stop().await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_no_answer_that_has_begun() {
    let stage = Stage::start().await;
    let key = stage.make_key(json!({})).await;
    let gate = Gate::new();
    stage.providers[0].push(Reply::gated("one two three", &gate));
    let mut body = question();
    body["stream"] = json!(true);
    let mut stream = stage.call_with(&key).json(&body).send().await.unwrap();
    gate.release(1);
    assert!(stream.chunk().await.unwrap().is_some());
    let id = shown(&stage, "made by a test").await["id"].clone();
    let path = format!("/v1/api-keys/{}", id.as_str().unwrap());
    let revoked = Answer::of(stage.app.request(Method::DELETE, &path)).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    assert_eq!(Answer::of(stage.call_with(&key)).await.status, 401);
    gate.release(9);
    let rest = stream.text().await.unwrap();
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    stage.stop().await;
}
