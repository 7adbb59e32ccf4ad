//! Conditional routing: every operator, on metadata, parameters and the path.

use serde_json::{Value, json};

use super::stage::{Stage, said, words};
use crate::app::Answer;

/// A config that goes to `one` where the condition holds, and to `two` where not.
fn config(query: &Value) -> Value {
    let named = |name: &str| json!({"name": name, "virtual_key": name});
    json!({
        "strategy": {
            "mode": "conditional", "default": "two",
            "conditions": [{"query": query, "then": "one"}],
        },
        "targets": [named("one"), named("two")],
    })
}

#[tokio::test]
async fn every_operator_decides_on_metadata() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("one"));
    stage.providers[1].always(said("two"));
    let metadata = json!({"plan": "pro", "seats": "12", "region": "eu-west"}).to_string();
    for (query, way) in [
        (json!({"metadata.plan": "pro"}), "one"),
        (json!({"metadata.plan": {"$eq": "pro"}}), "one"),
        (json!({"metadata.plan": {"$eq": "free"}}), "two"),
        (json!({"metadata.plan": {"$ne": "free"}}), "one"),
        (json!({"metadata.seats": {"$gt": 11}}), "one"),
        (json!({"metadata.seats": {"$gt": 12}}), "two"),
        (json!({"metadata.seats": {"$gte": 12}}), "one"),
        (json!({"metadata.seats": {"$lt": 12}}), "two"),
        (json!({"metadata.seats": {"$lte": 12}}), "one"),
        (json!({"metadata.plan": {"$in": ["pro", "max"]}}), "one"),
        (json!({"metadata.plan": {"$nin": ["pro", "max"]}}), "two"),
        (json!({"metadata.region": {"$regex": "^eu-"}}), "one"),
        (json!({"metadata.region": {"$regex": "^us-"}}), "two"),
        (
            json!({"$and": [{"metadata.plan": "pro"}, {"metadata.seats": {"$lt": 5}}]}),
            "two",
        ),
        (
            json!({"$or": [{"metadata.plan": "free"}, {"metadata.seats": {"$gt": 5}}]}),
            "one",
        ),
        (
            json!({"metadata.plan": "pro", "metadata.region": "us"}),
            "two",
        ),
        (json!({"metadata.nothing": "pro"}), "two"),
    ] {
        let call = stage
            .call(&config(&query))
            .header("x-portkey-metadata", &metadata);
        assert_eq!(words(&Answer::of(call).await), way, "{query}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn parameters_and_the_path_decide_too() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("one"));
    stage.providers[1].always(said("two"));
    for (query, way) in [
        (json!({"params.model": "gpt-4o-mini"}), "one"),
        (json!({"params.model": "gpt-4o"}), "two"),
        (json!({"url.pathname": "/v1/chat/completions"}), "one"),
        (json!({"url.pathname": {"$regex": "embeddings$"}}), "two"),
    ] {
        let answer = stage.chat(&config(&query)).await;
        assert_eq!(words(&answer), way, "{query}");
    }
    // A call without a body has no parameters, and is routed all the same.
    let models = stage.request(reqwest::Method::GET, "/v1/models").header(
        "x-portkey-config",
        config(&json!({"params.model": "x"})).to_string(),
    );
    assert_eq!(Answer::of(models).await.status, 200);
    assert_eq!(stage.counts(), [2, 3, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn nothing_that_holds_and_a_wrong_name_are_told() {
    let stage = Stage::start().await;
    let mut nothing = config(&json!({"metadata.plan": "pro"}));
    nothing["strategy"]
        .as_object_mut()
        .unwrap()
        .remove("default");
    let answer = stage.chat(&nothing).await;
    assert_eq!(answer.status, 400);
    let told = "Query router did not resolve to any valid target";
    assert_eq!(answer.json()["message"], told);
    let mut wrong = config(&json!({"metadata.plan": "pro"}));
    wrong["strategy"]["default"] = json!("nowhere");
    let answer = stage.chat(&wrong).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let told = "Invalid target name found in the query router: nowhere";
    assert!(answer.text.contains(told), "{}", answer.text);
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}
