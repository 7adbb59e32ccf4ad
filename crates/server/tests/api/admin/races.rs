//! Changes at the same time: none is lost, and none gives back what another has taken.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CANARY, MANAGER_A, get, ok, post, put, start};
use crate::app::{Answer, TestApp};

async fn made(app: &TestApp, path: &str, body: &Value) -> Value {
    ok(&post(app, MANAGER_A, path, body).await)
}

/// Changes at the same time, each of another field.
async fn all_at_once(app: &TestApp, path: &str, changes: &[Value]) -> Value {
    let calls = changes
        .iter()
        .map(|change| put(app, MANAGER_A, path, change));
    for answer in join_all(calls).await {
        ok(&answer);
    }
    ok(&get(app, MANAGER_A, path).await)
}

#[tokio::test]
async fn changes_of_an_api_key_are_all_kept() {
    let app = start().await;
    let service = "/v1/api-keys/workspace/service";
    for round in 0..10 {
        let key = made(&app, service, &json!({"name": "x"})).await;
        let path = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
        let rate = json!({"type": "requests", "unit": "rpm", "value": 7});
        let shown = all_at_once(
            &app,
            &path,
            &[
                json!({"name": "renamed"}),
                json!({"scopes": ["logs.view"]}),
                json!({"rate_limits": [rate]}),
                json!({"concurrency": 3}),
                json!({"description": "described"}),
                json!({"defaults": {"metadata": {"team": "a"}}}),
            ],
        )
        .await;
        for (name, value) in [
            ("name", json!("renamed")),
            ("scopes", json!(["logs.view"])),
            ("rate_limits", json!([rate])),
            ("concurrency", json!(3)),
            ("description", json!("described")),
        ] {
            assert_eq!(shown[name], value, "round {round}, {name}: {shown}");
        }
        assert_eq!(shown["defaults"]["metadata"], json!({"team": "a"}));
    }
    app.stop().await;
}

#[tokio::test]
async fn changes_of_a_virtual_key_are_all_kept() {
    let app = start().await;
    for round in 0..10 {
        let body = json!({"name": "x", "provider": "openai", "key": CANARY});
        let slug = made(&app, "/v1/virtual-keys", &body).await["slug"].clone();
        let path = format!("/v1/virtual-keys/{}", slug.as_str().unwrap());
        let moved =
            json!({"base_url": "https://other.example/v1", "key": "sk-other-0123456789abc"});
        let shown = all_at_once(
            &app,
            &path,
            &[
                json!({"name": "renamed"}),
                moved,
                json!({"note": "noted"}),
                json!({"concurrency": 3}),
                json!({"model_aliases": {"a": "b"}}),
            ],
        )
        .await;
        for (name, value) in [
            ("name", json!("renamed")),
            ("base_url", json!("https://other.example/v1")),
            ("masked_api_key", json!("sk-****9abc")),
            ("note", json!("noted")),
            ("concurrency", json!(3)),
            ("model_aliases", json!({"a": "b"})),
        ] {
            assert_eq!(shown[name], value, "round {round}, {name}: {shown}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn rotations_leave_the_last_two_secrets() {
    let app = start().await;
    let key = made(
        &app,
        "/v1/api-keys/workspace/service",
        &json!({"name": "x"}),
    )
    .await;
    let path = format!("/v1/api-keys/{}/rotate", key["id"].as_str().unwrap());
    let calls = (0..8).map(|_| post(&app, MANAGER_A, &path, &Value::Null));
    let answers = join_all(calls).await;
    let mut secrets = vec![key["key"].clone()];
    secrets.extend(answers.iter().map(|answer| ok(answer)["key"].clone()));
    let mut open = 0;
    for secret in &secrets {
        let request = app.bare(Method::GET, "/v1/logs");
        let answer = Answer::of(request.bearer_auth(secret.as_str().unwrap())).await;
        match answer.status {
            200 => open += 1,
            status => assert_eq!(status, 401, "{}", answer.text),
        }
    }
    assert_eq!(open, 2, "the current one and the one before it");
    app.stop().await;
}

#[tokio::test]
async fn one_slug_is_taken_once_however_many_want_it() {
    let app = start().await;
    for (path, body) in [
        (
            "/v1/virtual-keys",
            json!({"name": "x", "slug": "wanted", "provider": "echo"}),
        ),
        (
            "/v1/configs",
            json!({"name": "x", "slug": "wanted", "config": {"virtual_key": "echo"}}),
        ),
    ] {
        let calls = (0..8).map(|_| post(&app, MANAGER_A, path, &body));
        let mut statuses: Vec<_> = join_all(calls).await.iter().map(|it| it.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409], "{path}");
    }
    app.stop().await;
}
