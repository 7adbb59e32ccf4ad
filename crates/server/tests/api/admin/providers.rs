//! `/v1/providers`, as Portkey's newer SDKs call virtual keys.

use serde_json::json;

use super::{CANARY, MANAGER_A, delete, get, ids, invalid, ok, post, put, start};

#[tokio::test]
async fn providers_are_virtual_keys() {
    let app = start().await;
    let body = json!({
        "name": "New", "integration_id": "openai", "key": CANARY, "slug": "new",
        "rate_limits": {"type": "requests", "unit": "rpm", "value": 5},
    });
    let made = ok(&post(&app, MANAGER_A, "/v1/providers", &body).await);
    assert_eq!((&made["id"], &made["slug"]), (&json!("new"), &json!("new")));
    let list = get(&app, MANAGER_A, "/v1/providers?current_page=0&page_size=50").await;
    assert_eq!(ids(&list, "slug"), ["echo", "scripted", "new"]);
    // The Python SDK takes an object or null in lists, and a list elsewhere.
    let listed = list.json();
    assert_eq!(listed["data"][0]["rate_limits"], json!(null));
    assert_eq!(listed["data"][2]["rate_limits"], body["rate_limits"]);
    assert_eq!(
        listed["data"][2]["all_rate_limits"],
        json!([body["rate_limits"]])
    );
    let shown = ok(&get(&app, MANAGER_A, "/v1/virtual-keys/new").await);
    assert_eq!(shown["provider"], "openai");
    assert_eq!(shown["rate_limits"], json!([body["rate_limits"]]));
    let change = json!({"name": "Newer", "slug": "new"});
    ok(&put(&app, MANAGER_A, "/v1/providers/new", &change).await);
    let shown = ok(&get(&app, MANAGER_A, "/v1/providers/new").await);
    assert_eq!(shown["name"], "Newer");
    let both = json!({"provider": "openai", "integration_id": "anthropic", "name": "x"});
    let answer = post(&app, MANAGER_A, "/v1/providers", &both).await;
    invalid(&answer, "integration_id", "another name of 'provider'");
    ok(&delete(&app, MANAGER_A, "/v1/providers/new").await);
    app.stop().await;
}
