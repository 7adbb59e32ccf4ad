//! Ids of another workspace are not found, on any route (T1).

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CANARY, MANAGER_A, MANAGER_B, call, get, ids,
    logs::{custom, insert},
    ok, post, refused, start,
};
use crate::app::KEY_A;

#[tokio::test]
async fn what_is_made_in_one_workspace_is_not_there_in_another() {
    let app = start().await;
    let virtual_key = json!({"name": "x", "provider": "openai", "key": CANARY, "slug": "mine"});
    ok(&post(&app, MANAGER_A, "/v1/virtual-keys", &virtual_key).await);
    let config = json!({"name": "x", "slug": "pc-mine", "config": {"virtual_key": "mine"}});
    ok(&post(&app, MANAGER_A, "/v1/configs", &config).await);
    let key = json!({"name": "x"});
    let key = ok(&post(&app, MANAGER_A, "/v1/api-keys/workspace/service", &key).await);
    let key = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    let export = ok(&post(&app, MANAGER_A, "/v1/logs/exports", &json!({})).await);
    let export = format!("/v1/logs/exports/{}", export["id"].as_str().unwrap());
    let log = insert(&app, &custom("m", 200)).await.remove(0);
    let feedback = json!({"trace_id": "trace-1", "value": 1});
    let feedback = ok(&post(&app, MANAGER_A, "/v1/feedback", &feedback).await);
    let feedback = format!(
        "/v1/feedback/{}",
        feedback["feedback_ids"][0].as_str().unwrap()
    );

    let (mine, pc_mine) = (
        "/v1/virtual-keys/mine".to_owned(),
        "/v1/configs/pc-mine".to_owned(),
    );
    let empty = json!({});
    let value = json!({"value": 2});
    let foreign = [
        (Method::GET, mine.clone(), &Value::Null),
        (Method::PUT, mine.clone(), &empty),
        (Method::DELETE, mine.clone(), &Value::Null),
        (Method::GET, "/v1/providers/mine".to_owned(), &Value::Null),
        (Method::GET, pc_mine.clone(), &Value::Null),
        (Method::PUT, pc_mine.clone(), &empty),
        (Method::DELETE, pc_mine.clone(), &Value::Null),
        (Method::GET, format!("{pc_mine}/versions"), &Value::Null),
        (Method::GET, key.clone(), &Value::Null),
        (Method::PUT, key.clone(), &empty),
        (Method::POST, format!("{key}/rotate"), &Value::Null),
        (Method::DELETE, key.clone(), &Value::Null),
        (Method::GET, format!("/v1/logs/{log}"), &Value::Null),
        (Method::GET, export.clone(), &Value::Null),
        (Method::PUT, export.clone(), &empty),
        (Method::POST, format!("{export}/start"), &Value::Null),
        (Method::POST, format!("{export}/cancel"), &Value::Null),
        (Method::GET, format!("{export}/download"), &Value::Null),
        (Method::PUT, feedback, &value),
    ];
    for (method, path, body) in foreign {
        let answer = call(&app, MANAGER_B, (method, &path), body).await;
        refused(&answer, 404, "AB08");
    }
    for (path, name) in [
        ("/v1/virtual-keys", "slug"),
        ("/v1/configs", "slug"),
        ("/v1/api-keys", "id"),
        ("/v1/logs", "id"),
        ("/v1/logs/exports", "id"),
    ] {
        let of_a = ids(&get(&app, MANAGER_A, path).await, name);
        let of_b = ids(&get(&app, MANAGER_B, path).await, name);
        assert!(of_b.len() < of_a.len(), "{path}: {of_a:?} {of_b:?}");
        // Only an admin may name the other one; then it is what its own manager sees.
        let named = format!("{path}?workspace_id=a");
        refused(&get(&app, MANAGER_B, &named).await, 403, "AB03");
        assert_eq!(ids(&get(&app, KEY_A, &named).await, name), of_a, "{path}");
        let other = format!("{path}?workspace_id=ws_b");
        assert_eq!(ids(&get(&app, KEY_A, &other).await, name), of_b, "{path}");
    }
    // The same slug is free in the other workspace, where it is another virtual key.
    ok(&post(&app, MANAGER_B, "/v1/virtual-keys", &virtual_key).await);
    // A config can not reach over.
    let reach = json!({"name": "x", "config": {"virtual_key": "mine"}});
    ok(&call(&app, MANAGER_B, (Method::DELETE, &mine), &Value::Null).await);
    refused(
        &post(&app, MANAGER_B, "/v1/configs", &reach).await,
        400,
        "AB01",
    );
    // All is still there.
    for path in [mine, pc_mine, key, export] {
        ok(&get(&app, MANAGER_A, &path).await);
    }
    app.stop().await;
}

#[tokio::test]
async fn only_admins_make_things_elsewhere() {
    let app = start().await;
    for (path, body) in [
        ("/v1/virtual-keys", json!({"name": "x", "provider": "echo"})),
        (
            "/v1/configs",
            json!({"name": "x", "config": {"virtual_key": "echo"}}),
        ),
        ("/v1/api-keys/workspace/service", json!({"name": "x"})),
        ("/v1/logs/exports", json!({})),
    ] {
        let mut named = body.clone();
        named["workspace_id"] = json!("c");
        refused(&post(&app, MANAGER_A, path, &named).await, 403, "AB03");
        refused(
            &post(&app, MANAGER_A, &format!("{path}?workspace_id=c"), &body).await,
            403,
            "AB03",
        );
        named["workspace_id"] = json!("ws_a");
        ok(&post(&app, MANAGER_A, path, &named).await);
        named["workspace_id"] = json!("c");
        ok(&post(&app, KEY_A, path, &named).await);
        let list = path.trim_end_matches("/workspace/service");
        let found = ok(&get(&app, KEY_A, &format!("{list}?workspace_id=c")).await);
        let found = found["data"].as_array().unwrap().iter();
        let found = found
            .filter(|object| object["workspace_id"] == "ws_c")
            .count();
        assert_eq!(found, 1, "{path}");
    }
    app.stop().await;
}
