//! What configs and virtual keys change in a body, and what goes out as it came.

use loomgate_testkit::upstream::Reply;
use serde_json::json;

use super::stage::{Stage, question, refused, said};
use crate::app::Answer;

#[tokio::test]
async fn defaults_give_way_overrides_do_not_and_drops_come_last() {
    let stage = Stage::start().await;
    stage.providers[0].push(said("ok"));
    let config = json!({
        "virtual_key": "one",
        "default_params": {"temperature": 0, "top_p": 1},
        "override_params": {"max_tokens": 5, "seed": 1},
        "drop_params": ["seed", "user"],
    });
    let body = json!({
        "model": "m", "messages": [], "top_p": 0.5, "max_tokens": 9, "user": "u", "unknown": [1],
    });
    let call = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-config", config.to_string());
    assert_eq!(Answer::of(call).await.status, 200);
    let expected = json!({
        "model": "m", "messages": [], "top_p": 0.5, "max_tokens": 5, "unknown": [1],
        "temperature": 0,
    });
    assert_eq!(stage.received().body, expected);
    stage.stop().await;
}

#[tokio::test]
async fn a_targets_own_overrides_win_over_inherited_ones() {
    let stage = Stage::start().await;
    stage.providers[0].push(said("ok"));
    let config = json!({
        "strategy": {"mode": "single"},
        "override_params": {"model": "parent", "seed": 1},
        "targets": [{"virtual_key": "one", "override_params": {"model": "child"}}],
    });
    assert_eq!(stage.chat(&config).await.status, 200);
    let body = stage.received().body;
    assert_eq!(
        (&body["model"], &body["seed"]),
        (&json!("child"), &json!(1))
    );
    stage.stop().await;
}

#[tokio::test]
async fn aliases_of_a_virtual_key_replace_the_model() {
    let options = "[virtual_keys.aliased]\nprovider = 'openai'\nbase_url = '{one}'\n\
                   model_aliases = { 'gpt-4o-mini' = 'qwen3' }\n";
    let stage = Stage::start_with(options).await;
    stage.providers[0].push(said("ok"));
    let answer = stage.chat(&json!({"virtual_key": "aliased"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stage.received().body["model"], "qwen3");
    stage.stop().await;
}

#[tokio::test]
async fn a_virtual_key_may_be_named_in_the_model() {
    let stage = Stage::start().await;
    stage.providers[1].push(said("ok"));
    let mut body = question();
    body["model"] = json!("@two/gpt-4o");
    let answer = Answer::of(stage.post("/v1/chat/completions", &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(stage.providers[1].requests()[0].body["model"], "gpt-4o");
    body["model"] = json!("@nowhere/gpt-4o");
    let answer = Answer::of(stage.post("/v1/chat/completions", &body)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "invalid_virtual_key");
    assert_eq!(stage.counts(), [0, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_config_names_virtual_keys_in_the_model_too() {
    let stage = Stage::start().await;
    stage.providers[1].push(refused(503));
    stage.providers[2].push(said("ok"));
    let by_model = |model: &str| json!({"override_params": {"model": model}});
    let targets = json!([by_model("@two/gpt-4o"), by_model("@three/claude/haiku")]);
    let config = json!({"strategy": {"mode": "fallback"}, "targets": targets});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(stage.counts(), [0, 1, 1]);
    let model = |index: usize| stage.providers[index].requests()[0].body["model"].clone();
    assert_eq!(model(1), "gpt-4o");
    assert_eq!(model(2), "claude/haiku");
    let nowhere = stage.chat(&by_model("@nowhere/gpt-4o")).await;
    assert_eq!(nowhere.status, 400, "{}", nowhere.text);
    assert_eq!(nowhere.json()["error"]["code"], "invalid_virtual_key");
    stage.stop().await;
}

#[tokio::test]
async fn a_body_that_nothing_changes_goes_out_byte_for_byte() {
    let stage = Stage::start().await;
    let odd = " {\"model\" :\"m\",\t\"messages\": [ ],\"n\":1.0, \"big\":123456789012345678901234567890}\n";
    for path in [
        "chat/completions",
        "embeddings",
        "responses",
        "moderations",
        "images/generations",
    ] {
        stage.providers[0].push(Reply::exact(
            200,
            &[("content-type", "application/json")],
            "{}",
        ));
        let call = stage
            .request(reqwest::Method::POST, &format!("/v1/{path}"))
            .header("content-type", "application/json")
            .header("x-portkey-virtual-key", "one")
            .body(odd);
        let answer = Answer::of(call).await;
        assert_eq!((answer.status, &*answer.text), (200, "{}"));
        let request = stage.received();
        assert_eq!(request.path, format!("/v1/{path}"));
        assert_eq!(request.bytes, odd, "{path}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn parameters_are_for_model_calls_alone() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::status(200, json!({"id": "run_1"}), &[]));
    let config = json!({
        "virtual_key": "up-one",
        "override_params": {"model": "x"}, "default_params": {"temperature": 0},
        "drop_params": ["metadata"],
    });
    let body = json!({"metadata": {"a": "b"}});
    let call = stage
        .post("/v1/threads/thread_1/runs/run_1", &body)
        .header("x-portkey-config", config.to_string());
    assert_eq!(Answer::of(call).await.status, 200);
    assert_eq!(stage.received().bytes, body.to_string());
    stage.stop().await;
}
