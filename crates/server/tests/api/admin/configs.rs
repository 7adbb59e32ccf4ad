//! `/v1/configs`.

use serde_json::{Value, json};

use super::{CANARY, MANAGER_A, delete, get, ids, invalid, ok, post, put, refused, start};
use crate::app::{Answer, KEY_A, TestApp};

const PATH: &str = "/v1/configs";

async fn made(app: &TestApp, body: &Value) -> String {
    let made = ok(&post(app, MANAGER_A, PATH, body).await);
    for name in ["id", "version_id", "slug"] {
        assert!(made[name].is_string(), "{made}");
        assert_eq!(made[name], made["data"][name]);
    }
    made["slug"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_config_is_saved_changed_and_deleted() {
    let app = start().await;
    let config = json!({"strategy": {"mode": "fallback"}, "targets": [
        {"virtual_key": "echo"}, {"virtual_key": "scripted"}]});
    // As the Python SDK sends it.
    let slug = made(
        &app,
        &json!({"name": "Fast", "config": config, "is_default": 0}),
    )
    .await;
    assert!(slug.starts_with("pc-fast-") && slug.len() == 14, "{slug}");
    let path = format!("{PATH}/{slug}");
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(shown["config"], config);
    assert_eq!(shown["name"], "Fast");
    assert_eq!(
        (&shown["status"], &shown["is_default"]),
        (&json!("active"), &json!(0))
    );
    let first = shown["version_id"].clone();

    let other = json!({"virtual_key": "echo"});
    let change = json!({"slug": slug, "name": "Plain", "config": other.to_string(),
                        "status": "active"});
    let changed = ok(&put(&app, MANAGER_A, &path, &change).await);
    assert_eq!(
        (&changed["name"], &changed["config"]),
        (&json!("Plain"), &other)
    );
    assert_ne!(changed["version_id"], first);
    let renamed = ok(&put(&app, MANAGER_A, &path, &json!({"name": "Third"})).await);
    assert_eq!(renamed["version_id"], changed["version_id"]);

    let versions = get(&app, MANAGER_A, &format!("{path}/versions")).await;
    let found = ids(&versions, "version_id");
    assert_eq!(json!(found), json!([changed["version_id"], first]));
    assert_eq!(versions.json()["data"][1]["config"], config);

    assert_eq!(
        ids(&get(&app, MANAGER_A, PATH).await, "slug"),
        ["fixed", &slug]
    );
    ok(&delete(&app, MANAGER_A, &path).await);
    refused(&get(&app, MANAGER_A, &path).await, 404, "AB08");
    refused(&delete(&app, MANAGER_A, &path).await, 404, "AB08");
    refused(
        &put(&app, MANAGER_A, &path, &json!({"name": "x"})).await,
        404,
        "AB08",
    );
    refused(
        &get(&app, MANAGER_A, &format!("{path}/versions")).await,
        404,
        "AB08",
    );
    app.stop().await;
}

#[tokio::test]
async fn a_config_routes_at_once_and_its_change_too() {
    let app = start().await;
    let body = json!({"name": "x", "slug": "mine", "config": {"virtual_key": "echo"}});
    made(&app, &body).await;
    let chat = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    let call = async || {
        let request = app.bare(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.header("x-portkey-api-key", MANAGER_A);
        Answer::of(request.header("x-portkey-config", "mine").json(&chat)).await
    };
    let answer = call().await;
    assert_eq!(
        (answer.status, answer.header("x-portkey-provider")),
        (200, "echo")
    );
    assert_eq!(app.upstream.count(), 0);
    let change = json!({"config": {"virtual_key": "scripted"}});
    ok(&put(&app, MANAGER_A, &format!("{PATH}/mine"), &change).await);
    app.upstream.push(loomgate_testkit::upstream::Reply::status(
        400,
        json!({}),
        &[],
    ));
    call().await;
    assert_eq!(app.upstream.count(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    let echo = json!({"virtual_key": "echo"});
    for (body, param, words) in [
        (json!({"config": echo}), "name", "Missing"),
        (json!({"name": "x"}), "config", "Missing"),
        (json!({"name": "x", "config": []}), "config", "an object"),
        (json!({"name": "x", "config": "{"}), "config", "no JSON"),
        (
            json!({"name": "x", "config": {"strategy": {"mode": "random"}, "targets": [echo]}}),
            "config",
            "strategy",
        ),
        (
            json!({"name": "x", "config": {"virtual_key": "nowhere"}}),
            "config",
            "'nowhere'",
        ),
        (
            json!({"name": "x", "config": {"provider": "openai", "api_key": CANARY}}),
            "config",
            "config.api_key",
        ),
        (
            json!({"name": "x", "config": echo, "is_default": 1}),
            "is_default",
            "config_id",
        ),
        (
            json!({"name": "x", "config": echo, "isDefault": true}),
            "isDefault",
            "config_id",
        ),
        (
            json!({"name": "x", "config": echo, "confg": 1}),
            "confg",
            "Did you mean 'config'?",
        ),
        (
            json!({"name": "x", "config": echo, "slug": "\u{e9}"}),
            "slug",
            "letters",
        ),
    ] {
        let answer = post(&app, MANAGER_A, PATH, &body).await;
        invalid(&answer, param, words);
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let body = json!({"name": "x", "slug": "fixed", "config": echo});
    refused(&post(&app, MANAGER_A, PATH, &body).await, 409, "AB07");
    made(&app, &json!({"name": "x", "slug": "mine", "config": echo})).await;
    let again = json!({"name": "x", "slug": "mine", "config": echo});
    refused(&post(&app, MANAGER_A, PATH, &again).await, 409, "AB07");
    let path = format!("{PATH}/mine");
    let archived = put(&app, MANAGER_A, &path, &json!({"status": "archived"})).await;
    invalid(&archived, "status", "'active'");
    app.stop().await;
}

#[tokio::test]
async fn those_of_the_configuration_file_are_shown_and_not_changed() {
    let app = start().await;
    let path = format!("{PATH}/fixed");
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(shown["read_only"], true);
    assert_eq!(shown["config"], json!({"virtual_key": "echo"}));
    assert_eq!(
        ok(&get(&app, MANAGER_A, &format!("{path}/versions")).await)["total"],
        1
    );
    for answer in [
        put(&app, KEY_A, &path, &json!({"name": "x"})).await,
        delete(&app, KEY_A, &path).await,
    ] {
        let error = refused(&answer, 403, "AB03");
        assert!(error.message.contains("[configs.fixed]"), "{error:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn credentials_of_the_configuration_file_are_not_shown() {
    let file =
        format!("[configs.loose]\njson = '{{\"provider\":\"openai\",\"api_key\":\"{CANARY}\"}}'\n");
    let app = TestApp::start_with(&file).await;
    for path in [
        "/v1/configs",
        "/v1/configs/loose",
        "/v1/configs/loose/versions",
    ] {
        let answer = get(&app, KEY_A, path).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.text.contains("****") && !answer.text.contains("canary"),
            "{}",
            answer.text
        );
    }
    app.stop().await;
}
