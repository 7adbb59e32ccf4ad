//! `/v1/api-keys`.

use serde_json::{Value, json};

use super::{MANAGER_A, all_but_admin, delete, get, ids, invalid, ok, post, put, refused, start};
use crate::app::{KEY_A, KEY_B, TestApp};

const SERVICE: &str = "/v1/api-keys/workspace/service";

async fn made(app: &TestApp, by: &str, body: &Value) -> (String, String) {
    let made = ok(&post(app, by, SERVICE, body).await);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

/// Whether a key is one: what it may do is another question.
async fn opens(app: &TestApp, key: &str) -> bool {
    let status = get(app, key, "/v1/logs").await.status;
    assert!(matches!(status, 200 | 401 | 403), "{status}");
    status != 401
}

#[tokio::test]
async fn a_key_is_made_shown_once_changed_and_revoked() {
    let app = start().await;
    // As the Python SDK sends it.
    let body = json!({
        "type": "workspace", "sub-type": "service", "name": "app", "workspace_id": "a",
        "scopes": ["completions.write", "logs.view"],
        "rate_limits": [{"type": "requests", "unit": "rpm", "value": 100}],
        "defaults": {"metadata": {"team": "x"}, "config_id": "fixed",
                     "allow_config_override": false, "when_locked": "wait=5"},
    });
    let (id, key) = made(&app, MANAGER_A, &body).await;
    assert!(key.starts_with("lg-") && key.len() == 43, "{key}");
    assert!(opens(&app, &key).await);

    let path = format!("/v1/api-keys/{id}");
    let answer = get(&app, MANAGER_A, &path).await;
    assert!(!answer.text.contains(&key), "{}", answer.text);
    let shown = ok(&answer);
    for (name, value) in [
        ("id", json!(id)),
        ("key", json!(format!("{}...", &key[..7]))),
        ("name", json!("app")),
        ("type", json!("workspace-service")),
        ("status", json!("active")),
        ("workspace_id", json!("ws_a")),
        ("scopes", body["scopes"].clone()),
        ("rate_limits", body["rate_limits"].clone()),
        ("object", json!("api-key")),
        ("reset_usage", json!(0)),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
    }
    assert_eq!(shown["defaults"]["metadata"], json!({"team": "x"}));
    assert_eq!(shown["defaults"]["config_id"], "fixed");
    assert_eq!(shown["defaults"]["allow_config_override"], false);
    assert_eq!(shown["defaults"]["when_locked"], "wait=5");

    let change = json!({"id": id, "name": "other", "scopes": ["completions.write"],
        "rate_limits": null, "defaults": {"config_id": null, "when_locked": null}});
    let changed = ok(&put(&app, MANAGER_A, &path, &change).await);
    assert_eq!(changed["name"], "other");
    assert_eq!(changed["scopes"], json!(["completions.write"]));
    assert_eq!(changed["rate_limits"], json!([]));
    assert_eq!(changed["defaults"]["config_id"], Value::Null);
    assert_eq!(changed["defaults"]["metadata"], json!({"team": "x"}));
    assert_eq!(changed["defaults"]["when_locked"], "fail");

    let list = get(&app, MANAGER_A, "/v1/api-keys?current_page=0").await;
    assert!(!list.text.contains(&key), "{}", list.text);
    assert_eq!(
        ids(&list, "id"),
        ["key_config_a", "key_config_manager-a", &id]
    );
    ok(&delete(&app, MANAGER_A, &path).await);
    assert!(!opens(&app, &key).await);
    refused(&get(&app, MANAGER_A, &path).await, 404, "AB08");
    refused(&delete(&app, MANAGER_A, &path).await, 404, "AB08");
    let list = get(&app, MANAGER_A, "/v1/api-keys").await;
    assert_eq!(ids(&list, "id"), ["key_config_a", "key_config_manager-a"]);
    app.stop().await;
}

#[tokio::test]
async fn a_key_that_is_rotated_has_two_secrets_for_a_while() {
    let app = start().await;
    let (id, first) = made(&app, MANAGER_A, &json!({"name": "app"})).await;
    let path = format!("/v1/api-keys/{id}/rotate");
    for wrong in [1_799_999, 0, -1] {
        let body = json!({"key_transition_period_ms": wrong});
        invalid(
            &post(&app, MANAGER_A, &path, &body).await,
            "key_transition_period_ms",
            "from 1800000",
        );
    }
    let body = json!({"key_transition_period_ms": 1_800_000});
    let rotated = ok(&post(&app, MANAGER_A, &path, &body).await);
    let second = rotated["key"].as_str().unwrap();
    assert_eq!(rotated["id"], json!(id));
    assert_ne!(second, first);
    assert!(opens(&app, &first).await && opens(&app, second).await);
    // The next rotation forgets the first one. Its period may be left out.
    let rotated = ok(&post(&app, MANAGER_A, &path, &Value::Null).await);
    let third = rotated["key"].as_str().unwrap();
    assert!(rotated["key_transition_expires_at"].is_string());
    assert!(!opens(&app, &first).await);
    assert!(opens(&app, second).await && opens(&app, third).await);
    ok(&delete(&app, MANAGER_A, &format!("/v1/api-keys/{id}")).await);
    assert!(!opens(&app, second).await && !opens(&app, third).await);

    // The first secret of another key dies when its time is over.
    let (id, first) = made(&app, MANAGER_A, &json!({"name": "app"})).await;
    let path = format!("/v1/api-keys/{id}/rotate");
    let second = ok(&post(&app, MANAGER_A, &path, &Value::Null).await);
    app.pass(std::time::Duration::from_secs(1_801));
    // Whatever else was changed makes the server look keys up again.
    ok(&put(
        &app,
        MANAGER_A,
        &format!("/v1/api-keys/{id}"),
        &json!({"name": "x"}),
    )
    .await);
    assert!(!opens(&app, &first).await);
    assert!(opens(&app, second["key"].as_str().unwrap()).await);
    app.stop().await;
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_have() {
    let app = start().await;
    let few = json!({"name": "few", "scopes": ["workspace_service_api_keys.create",
        "workspace_service_api_keys.update", "workspace_service_api_keys.delete",
        "workspace_service_api_keys.read", "logs.view"]});
    let (_, few) = made(&app, MANAGER_A, &few).await;
    let more = json!({"name": "more", "scopes": ["logs.view", "configs.delete"]});
    let error = refused(&post(&app, &few, SERVICE, &more).await, 403, "AB03");
    assert!(error.message.contains("configs.delete"), "{error:?}");
    // The usual scopes are more than it has, too.
    refused(
        &post(&app, &few, SERVICE, &json!({"name": "usual"})).await,
        403,
        "AB03",
    );
    let less = json!({"name": "less", "scopes": ["logs.view"]});
    let (less, _) = made(&app, &few, &less).await;
    let path = format!("/v1/api-keys/{less}");
    refused(
        &put(&app, &few, &path, &json!({"scopes": ["configs.read"]})).await,
        403,
        "AB03",
    );
    ok(&put(&app, &few, &path, &json!({"name": "still less"})).await);

    // Nor does it take over, weaken or end a key that may do more than itself.
    let (more, _) = made(&app, MANAGER_A, &more).await;
    let path = format!("/v1/api-keys/{more}");
    ok(&get(&app, &few, &path).await);
    let rotate = format!("{path}/rotate");
    for answer in [
        post(&app, &few, &rotate, &Value::Null).await,
        put(&app, &few, &path, &json!({"scopes": ["logs.view"]})).await,
        delete(&app, &few, &path).await,
    ] {
        refused(&answer, 403, "AB03");
        assert!(!answer.text.contains("\"key\""), "{}", answer.text);
    }
    app.stop().await;
}

#[tokio::test]
async fn keys_of_the_organisation_and_of_other_workspaces_are_made_by_admins() {
    let app = start().await;
    let organisation = "/v1/api-keys/organisation/service";
    let body = json!({"name": "root"});
    refused(
        &post(&app, MANAGER_A, organisation, &body).await,
        403,
        "AB03",
    );
    let made_by_admin = ok(&post(&app, KEY_A, organisation, &body).await);
    assert_eq!(made_by_admin["scopes"], json!(["admin"]));
    assert_eq!(made_by_admin["type"], "organisation-service");
    let root = made_by_admin["key"].as_str().unwrap();
    ok(&get(&app, root, "/v1/virtual-keys").await);

    let elsewhere = json!({"name": "x", "workspace_id": "brand-new"});
    refused(
        &post(&app, MANAGER_A, SERVICE, &elsewhere).await,
        403,
        "AB03",
    );
    let (id, key) = made(&app, root, &elsewhere).await;
    assert!(opens(&app, &key).await);
    let path = format!("/v1/api-keys/{id}");
    refused(&get(&app, root, &path).await, 404, "AB08");
    let shown = ok(&get(&app, root, &format!("{path}?workspace_id=brand-new")).await);
    assert_eq!(shown["workspace_id"], "ws_brand-new");
    let list = get(&app, root, "/v1/api-keys?workspace_id=ws_brand-new").await;
    assert_eq!(ids(&list, "id"), [id.as_str()]);

    let admin = json!({"name": "x", "scopes": ["admin"]});
    invalid(
        &post(&app, KEY_A, SERVICE, &admin).await,
        "scopes",
        "organisation",
    );
    let weak = json!({"name": "x", "scopes": ["logs.view"]});
    invalid(
        &post(&app, KEY_A, organisation, &weak).await,
        "scopes",
        "'admin'",
    );
    let nowhere = post(&app, KEY_A, "/v1/api-keys/organisation/user", &body).await;
    refused(&nowhere, 404, "AB08");
    app.stop().await;
}

#[tokio::test]
async fn a_users_key_names_its_user() {
    let app = start().await;
    let user = "/v1/api-keys/workspace/user";
    invalid(
        &post(&app, MANAGER_A, user, &json!({"name": "x"})).await,
        "user_id",
        "Missing",
    );
    let body = json!({"name": "x", "user_id": "someone"});
    let made = ok(&post(&app, MANAGER_A, user, &body).await);
    assert_eq!(made["type"], "workspace-user");
    assert_eq!(made["user_id"], "someone");
    let id = made["id"].as_str().unwrap();
    let change = json!({"defaults": {"metadata": {"a": "b"}}});
    let changed = ok(&put(&app, MANAGER_A, &format!("/v1/api-keys/{id}"), &change).await);
    assert_eq!(
        changed["defaults"]["metadata"],
        json!({"_user": "someone", "a": "b"})
    );
    invalid(
        &post(&app, MANAGER_A, SERVICE, &body).await,
        "user_id",
        "workspace/user",
    );
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    for (body, param, words) in [
        (json!({}), "name", "Missing"),
        (
            json!({"name": "x", "scopes": []}),
            "scopes",
            "can do nothing",
        ),
        (
            json!({"name": "x", "scopes": ["logs.veiw"]}),
            "scopes",
            "'logs.view'",
        ),
        (
            json!({"name": "x", "type": "organisation"}),
            "type",
            "'workspace'",
        ),
        (
            json!({"name": "x", "sub-type": "user"}),
            "sub-type",
            "'service'",
        ),
        (
            json!({"name": "x", "defaults": {"config_id": "none"}}),
            "defaults.config_id",
            "no config",
        ),
        (
            json!({"name": "x", "defaults": {"virtual_key": "none"}}),
            "defaults.virtual_key",
            "no virtual key",
        ),
        (
            json!({"name": "x", "defaults": {"model": "y"}}),
            "defaults.model",
            "Unknown field",
        ),
        (
            json!({"name": "x", "expires_at": "2001-01-01"}),
            "expires_at",
            "future",
        ),
        (
            json!({"name": "x", "rate_limit": []}),
            "rate_limit",
            "'rate_limits'",
        ),
    ] {
        invalid(&post(&app, MANAGER_A, SERVICE, &body).await, param, words);
    }
    let list = get(&app, MANAGER_A, "/v1/api-keys").await;
    assert_eq!(ids(&list, "id"), ["key_config_a", "key_config_manager-a"]);
    app.stop().await;
}

#[tokio::test]
async fn those_of_the_configuration_file_are_shown_and_not_changed() {
    let app = start().await;
    let path = "/v1/api-keys/key_config_manager-a";
    let answer = get(&app, MANAGER_A, path).await;
    assert!(!answer.text.contains(MANAGER_A), "{}", answer.text);
    let shown = ok(&answer);
    assert_eq!(
        (&shown["read_only"], &shown["name"]),
        (&json!(true), &json!("manager-a"))
    );
    let mut scopes: Vec<String> = serde_json::from_value(shown["scopes"].clone()).unwrap();
    let mut all: Vec<String> = all_but_admin().into_iter().map(str::to_owned).collect();
    scopes.sort();
    all.sort();
    assert_eq!(scopes, all);
    for answer in [
        put(&app, KEY_A, path, &json!({"name": "x"})).await,
        delete(&app, KEY_A, path).await,
        post(&app, KEY_A, &format!("{path}/rotate"), &Value::Null).await,
    ] {
        let error = refused(&answer, 403, "AB03");
        assert!(error.message.contains("[[api_keys]]"), "{error:?}");
    }
    // Those of another workspace are not there.
    refused(
        &get(&app, MANAGER_A, "/v1/api-keys/key_config_b").await,
        404,
        "AB08",
    );
    refused(
        &delete(&app, MANAGER_A, "/v1/api-keys/key_config_b").await,
        404,
        "AB08",
    );
    app.stop().await;
}

#[tokio::test]
async fn a_changed_key_is_another_key_at_once() {
    let app = start().await;
    let (id, key) = made(&app, MANAGER_A, &json!({"name": "app"})).await;
    assert!(opens(&app, &key).await);
    let path = format!("/v1/api-keys/{id}");
    ok(&put(&app, MANAGER_A, &path, &json!({"scopes": ["logs.view"]})).await);
    refused(&get(&app, &key, "/v1/logs").await, 403, "AB03");
    // Keys of the usual scopes manage nothing.
    refused(&get(&app, KEY_B, "/v1/api-keys").await, 403, "AB03");
    app.stop().await;
}
