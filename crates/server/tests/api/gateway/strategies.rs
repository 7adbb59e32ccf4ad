//! Which providers a strategy asks, told by counting what they received.

use serde_json::json;

use super::stage::{PROVIDER_KEYS, Stage, refused, said, to, words};
use crate::app::Answer;

#[tokio::test]
async fn single_asks_the_first_target_alone() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(500));
    let config = json!({"strategy": {"mode": "single"}, "targets": [to("one"), to("two")]});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"]["message"], "provider says 500");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn fallback_goes_on_until_one_answers_well() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(401));
    stage.providers[1].push(refused(503));
    stage.providers[2].push(said("three"));
    let targets = json!([to("one"), to("two"), to("three")]);
    let config = json!({"strategy": {"mode": "fallback"}, "targets": targets});
    let answer = stage.chat(&config).await;
    assert_eq!(words(&answer), "three");
    assert_eq!(stage.counts(), [1, 1, 1]);
    let index = answer.header("x-portkey-last-used-option-index");
    assert_eq!(index, "config.targets[2]");
    for (provider, key) in stage.providers.iter().zip(PROVIDER_KEYS) {
        let authorization = format!("Bearer {key}");
        let request = provider.next_request().await;
        assert_eq!(request.header("authorization"), Some(&*authorization));
    }
    stage.stop().await;
}

#[tokio::test]
async fn fallback_returns_the_last_answer_when_all_fail() {
    let stage = Stage::start().await;
    for (provider, status) in stage.providers.iter().zip([500, 502, 418]) {
        provider.push(refused(status));
    }
    let targets = json!([to("one"), to("two"), to("three")]);
    let config = json!({"strategy": {"mode": "fallback"}, "targets": targets});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 418);
    assert_eq!(answer.json()["error"]["message"], "provider says 418");
    assert_eq!(stage.counts(), [1, 1, 1]);
    stage.stop().await;
}

#[tokio::test]
async fn fallback_on_named_statuses_hands_out_all_others() {
    let stage = Stage::start().await;
    let strategy = json!({"mode": "fallback", "on_status_codes": [429]});
    let config = json!({"strategy": strategy, "targets": [to("one"), to("two")]});
    stage.providers[0].push(refused(401));
    assert_eq!(stage.chat(&config).await.status, 401);
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.providers[0].push(refused(429));
    stage.providers[1].push(said("two"));
    assert_eq!(words(&stage.chat(&config).await), "two");
    assert_eq!(stage.counts(), [2, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn fallback_counts_answers_that_the_gateway_gave_itself() {
    let limited = "[virtual_keys.limited]\nprovider = 'openai'\nbase_url = '{one}'\n\
                   rate_limits = [{ type = 'requests', unit = 'rph', value = 1 }]\n\
                   [virtual_keys.nobody]\nprovider = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n";
    let stage = Stage::start_with(limited).await;
    stage.providers[0].push(said("one"));
    stage.providers[1].always(said("two"));
    let on = |codes: serde_json::Value, first: &str| {
        let strategy = json!({"mode": "fallback", "on_status_codes": codes});
        json!({"strategy": strategy, "targets": [to(first), to("two")]})
    };
    // The limit of a virtual key is 429 as if its provider had said so.
    assert_eq!(
        words(&stage.chat(&on(json!([429]), "limited")).await),
        "one"
    );
    assert_eq!(
        words(&stage.chat(&on(json!([429]), "limited")).await),
        "two"
    );
    assert_eq!(stage.chat(&on(json!([500]), "limited")).await.status, 429);
    // So are a provider that can not be reached, a timeout, and a guardrail's denial.
    assert_eq!(words(&stage.chat(&on(json!([502]), "nobody")).await), "two");
    let strategy = json!({"mode": "fallback", "on_status_codes": [446]});
    let guarded = json!({
        "virtual_key": "one",
        "input_guardrails": [{"default.contains": {"operator": "none", "words": ["Hello"]}, "deny": true}],
    });
    let config = json!({"strategy": strategy, "targets": [guarded, to("two")]});
    assert_eq!(words(&stage.chat(&config).await), "two");
    assert_eq!(stage.counts(), [1, 3, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_thousand_picks_are_as_the_weights_say() {
    let stage = Stage::start().await;
    for provider in &stage.providers {
        provider.always(said("ok"));
    }
    let weighted = |slug: &str, weight: u32| json!({"virtual_key": slug, "weight": weight});
    let targets = [
        weighted("one", 7),
        weighted("two", 2),
        weighted("three", 1),
        // Never chosen: it would answer 500.
        weighted("scripted", 0),
    ];
    let config = json!({"strategy": {"mode": "loadbalance"}, "targets": targets});
    for _ in 0..50 {
        let calls = (0..20).map(|_| stage.chat(&config));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    let counts = stage.counts();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert_eq!(stage.app.upstream.count(), 0);
    // Six standard deviations: one run in a hundred million fails by chance.
    for (count, (expected, deviation)) in counts.iter().zip([(700, 87), (200, 76), (100, 57)]) {
        assert!(count.abs_diff(expected) <= deviation, "{counts:?}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn strategies_nest_and_say_where_they_ended() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(500));
    stage.providers[1].push(refused(429));
    stage.providers[2].push(said("three"));
    let inner = json!({
        "strategy": {"mode": "fallback", "on_status_codes": [429]},
        "targets": [to("two"), to("three")],
    });
    let balanced = json!({"strategy": {"mode": "loadbalance"}, "targets": [inner]});
    let config = json!({"strategy": {"mode": "fallback"}, "targets": [to("one"), balanced]});
    let answer = stage.chat(&config).await;
    assert_eq!(words(&answer), "three");
    assert_eq!(
        answer.header("x-portkey-last-used-option-index"),
        "config.targets[1].targets[0].targets[1]"
    );
    assert_eq!(stage.counts(), [1, 1, 1]);
    stage.stop().await;
}

#[tokio::test]
async fn a_saved_config_is_named_by_its_slug_and_a_key_has_a_default() {
    let options = "[configs.pc-two]\njson = '{\"virtual_key\": \"two\"}'\n\
                   [[api_keys]]\nname = 'c'\nkey = 'lg-key-with-a-config-0123456789'\n\
                   default_config = 'pc-two'\nallow_config_override = false\n";
    let stage = Stage::start_with(options).await;
    stage.providers[1].always(said("two"));
    let saved = stage
        .post("/v1/chat/completions", &super::stage::question())
        .header("x-portkey-config", "pc-two");
    assert_eq!(words(&Answer::of(saved).await), "two");
    let by_key = || {
        let request = stage
            .app
            .bare(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.bearer_auth("lg-key-with-a-config-0123456789");
        request.json(&super::stage::question())
    };
    assert_eq!(words(&Answer::of(by_key()).await), "two");
    let other = by_key().header("x-portkey-config", to("one").to_string());
    let answer = Answer::of(other).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(
        answer.json()["error"]["code"],
        "config_override_not_allowed"
    );
    assert_eq!(stage.counts(), [0, 2, 0]);
    stage.stop().await;
}
