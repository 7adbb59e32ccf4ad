//! `/v1/virtual-keys`.

use loomgate_testkit::upstream::Reply;
use serde_json::{Value, json};

use super::{CANARY, MANAGER_A, delete, get, ids, invalid, ok, post, put, refused, start};
use crate::{
    app::{Answer, KEY_A, TestApp},
    database::kept_below,
};

const PATH: &str = "/v1/virtual-keys";

fn openai() -> Value {
    json!({"name": "Main account", "provider": "openai", "key": CANARY})
}

async fn made(app: &TestApp, body: &Value) -> String {
    let answer = ok(&post(app, MANAGER_A, PATH, body).await);
    assert_eq!(answer["success"], true);
    assert_eq!(answer["slug"], answer["data"]["slug"]);
    answer["data"]["slug"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_virtual_key_is_made_shown_changed_and_deleted() {
    let app = start().await;
    let slug = made(&app, &openai()).await;
    let number = slug.strip_prefix("main-account-").unwrap();
    assert_eq!(number.len(), 6, "{slug}");

    let path = format!("{PATH}/{slug}");
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    for (name, value) in [
        ("slug", json!(slug)),
        ("name", json!("Main account")),
        ("provider", json!("openai")),
        ("masked_api_key", json!("sk-****wxyz")),
        ("status", json!("active")),
        ("object", json!("virtual-key")),
        ("workspace_id", json!("ws_a")),
        ("assistants", json!("native")),
        ("rate_limits", json!([])),
        ("usage_limits", json!(null)),
        ("expires_at", json!(null)),
        ("read_only", json!(false)),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
        assert_eq!(shown["data"][name], value, "{name}: {shown}");
    }

    let change = json!({
        "name": "Other",
        "note": "for tests",
        "rate_limits": [{"type": "requests", "unit": "rpm", "value": 60}],
        "usage_limits": {"credit_limit": 10, "alert_threshold": 8, "periodic_reset": "monthly"},
        "expires_at": "2999-01-31T00:00:00Z",
        "model_aliases": {"gpt-4": "gpt-4o"},
        "concurrency": 3,
    });
    let changed = ok(&put(&app, MANAGER_A, &path, &change).await);
    assert_eq!(changed["name"], "Other");
    assert_eq!(changed["rate_limits"], change["rate_limits"]);
    assert_eq!(changed["usage_limits"]["type"], "cost");
    assert_eq!(changed["usage_limits"]["credit_limit"], 10.0);
    assert_eq!(changed["usage"]["used"], 0.0);
    assert_eq!(changed["usage"]["limit"], 10.0);
    assert_eq!(changed["expires_at"], "2999-01-31T00:00:00Z");
    assert_eq!(changed["model_aliases"], change["model_aliases"]);
    assert_eq!(changed["concurrency"], 3);
    assert_eq!(changed["masked_api_key"], "sk-****wxyz");
    let null = json!({"note": null, "usage_limits": null, "rate_limits": null, "expires_at": null});
    let changed = ok(&put(&app, MANAGER_A, &path, &null).await);
    for name in ["note", "usage_limits", "usage", "expires_at"] {
        assert_eq!(changed[name], Value::Null, "{name}: {changed}");
    }
    assert_eq!(changed["name"], "Other");

    assert_eq!(
        ids(&get(&app, MANAGER_A, PATH).await, "slug"),
        ["echo", "scripted", &slug]
    );
    ok(&delete(&app, MANAGER_A, &path).await);
    refused(&get(&app, MANAGER_A, &path).await, 404, "AB08");
    refused(&delete(&app, MANAGER_A, &path).await, 404, "AB08");
    refused(&put(&app, MANAGER_A, &path, &json!({})).await, 404, "AB08");
    app.stop().await;
}

#[tokio::test]
async fn the_providers_key_is_in_no_answer_and_no_file() {
    let app = start().await;
    let slug = made(&app, &openai()).await;
    let path = format!("{PATH}/{slug}");
    let key = json!({"key": CANARY});
    let mut answers = Vec::new();
    for (at, body) in [
        (PATH.to_owned(), Value::Null),
        (format!("{PATH}?page_size=2"), Value::Null),
        (path.clone(), Value::Null),
        ("/v1/providers".to_owned(), Value::Null),
    ] {
        answers.push(super::call(&app, MANAGER_A, (reqwest::Method::GET, &at), &body).await);
    }
    answers.push(put(&app, MANAGER_A, &path, &key).await);
    // Bodies that are refused, with the key in the wrong place or of the wrong form.
    for body in [
        json!({"name": "x", "provider": "openai", "key": [CANARY]}),
        json!({"name": "x", "provider": "openai", "key": format!("{CANARY}\n")}),
        json!({"name": "x", "provider": "openai", "key": CANARY, "base_url": "no url"}),
        json!({"name": "x", "provider": "openai", "key": CANARY, "unknown": 1}),
    ] {
        let answer = post(&app, MANAGER_A, PATH, &body).await;
        refused(&answer, 400, "AB01");
        answers.push(answer);
    }
    answers.push(delete(&app, MANAGER_A, &path).await);
    made(&app, &openai()).await;
    for answer in &answers {
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let folder = app.stop().await;
    for (path, bytes) in kept_below(&folder.path().join("data")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"), "{}", path.display());
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    for (extra, param, words) in [
        (json!({"name": null}), "name", "Missing field 'name'"),
        (json!({"name": 5}), "name", "expected a text"),
        (json!({"provider": null}), "provider", "Missing"),
        (
            json!({"provider": "opneai"}),
            "provider",
            "Unknown provider 'opneai'",
        ),
        (
            json!({"key": null}),
            "key",
            "The provider 'openai' needs a key",
        ),
        (json!({"nmae": "x"}), "nmae", "Did you mean 'name'?"),
        (json!({"slug": "a b"}), "slug", "letters, digits"),
        (json!({"slug": ".."}), "slug", "not dots alone"),
        (
            json!({"resourceName": "x"}),
            "resource_name",
            "'openai' takes no 'resource_name'",
        ),
        (
            json!({"provider": "echo", "key": null, "base_url": "https://a.example"}),
            "base_url",
            "'echo' takes no 'base_url'",
        ),
        (
            json!({"base_url": "https://a.example/v1?key=x"}),
            "base_url",
            "would not be sealed",
        ),
        (json!({"base_url": "ftp://x.example"}), "base_url", "http"),
        (
            json!({"custom_host": "https://a.example", "base_url": "https://b.example"}),
            "custom_host",
            "send one of them",
        ),
        (
            json!({"assistants": "both"}),
            "assistants",
            "one of 'native', 'upstream'",
        ),
        (
            json!({"expires_at": "2020-01-01"}),
            "expires_at",
            "in the future",
        ),
        (
            json!({"expires_at": "soon"}),
            "expires_at",
            "a time such as",
        ),
        (json!({"workspace_id": "a/b"}), "workspace_id", "letters"),
    ] {
        let mut body = openai();
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        invalid(&post(&app, MANAGER_A, PATH, &body).await, param, words);
    }
    let query = post(&app, MANAGER_A, &format!("{PATH}?pagesize=1"), &openai()).await;
    invalid(&query, "pagesize", "Unknown parameter");
    let request = app.bare(reqwest::Method::POST, PATH).bearer_auth(MANAGER_A);
    let broken = Answer::of(request.body("{")).await;
    let error = refused(&broken, 400, "AB01");
    assert!(
        error.message.starts_with("We could not parse the JSON"),
        "{error:?}"
    );
    // Nothing was made.
    assert_eq!(
        ids(&get(&app, MANAGER_A, PATH).await, "slug"),
        ["echo", "scripted"]
    );
    app.stop().await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_named() {
    let app = start().await;
    for (extra, param, words) in [
        (
            json!({"usage_limits": {"credit_limit": 1e-12}}),
            "usage_limits.credit_limit",
            "from 0.000000001 to",
        ),
        (
            json!({"usage_limits": {"credit_limit": 0}}),
            "usage_limits.credit_limit",
            "a number",
        ),
        (
            json!({"usage_limits": {"credit_limit": 1, "alert_threshold": 2}}),
            "usage_limits.alert_threshold",
            "more than 'credit_limit'",
        ),
        (
            json!({"usage_limits": {"credit_limit": 1, "periodic_reset": "daily"}}),
            "usage_limits.periodic_reset",
            "'monthly', 'weekly'",
        ),
        (
            json!({"usage_limits": {"credit_limit": 1, "periodic_reset": "weekly",
            "periodic_reset_days": 3}}),
            "usage_limits.periodic_reset_days",
            "not both",
        ),
        (
            json!({"usage_limits": {"credit_limit": 1, "periodic_reset_days": 366}}),
            "usage_limits.periodic_reset_days",
            "from 1 to 365",
        ),
        (
            json!({"rate_limits": [{"type": "requests", "unit": "rpm"}]}),
            "rate_limits[0].value",
            "Missing",
        ),
        (
            json!({"rate_limits": [{"type": "requests", "unit": "rpx", "value": 1}]}),
            "rate_limits[0].unit",
            "'rps'",
        ),
        (
            json!({"rate_limits": [{"type": "requests", "unit": "rpm", "value": 0}]}),
            "rate_limits[0].value",
            "from 1",
        ),
        (
            json!({"rate_limits": [{"type": "tokens", "unit": "rpm", "value": 1},
            {"type": "tokens", "unit": "rpm", "value": 2}]}),
            "rate_limits",
            "same type and unit",
        ),
    ] {
        let mut body = openai();
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        invalid(&post(&app, MANAGER_A, PATH, &body).await, param, words);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_slug_is_taken_once() {
    let app = start().await;
    let mut body = openai();
    body["slug"] = json!("mine");
    assert_eq!(made(&app, &body).await, "mine");
    for taken in ["mine", "echo"] {
        body["slug"] = json!(taken);
        let error = refused(&post(&app, MANAGER_A, PATH, &body).await, 409, "AB07");
        assert_eq!(error.param.as_deref(), Some("slug"));
    }
    let other = put(
        &app,
        MANAGER_A,
        &format!("{PATH}/mine"),
        &json!({"slug": "other"}),
    )
    .await;
    invalid(&other, "slug", "can not be changed");
    ok(&put(
        &app,
        MANAGER_A,
        &format!("{PATH}/mine"),
        &json!({"slug": "mine"}),
    )
    .await);
    app.stop().await;
}

#[tokio::test]
async fn those_of_the_configuration_file_are_shown_and_not_changed() {
    let app = start().await;
    let path = format!("{PATH}/scripted");
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(shown["read_only"], true);
    assert_eq!(shown["provider"], "openai");
    assert_eq!(shown["base_url"], app.upstream.url());
    for answer in [
        put(&app, KEY_A, &path, &json!({"name": "x"})).await,
        delete(&app, KEY_A, &path).await,
    ] {
        let error = refused(&answer, 403, "AB03");
        assert!(
            error.message.contains("[virtual_keys.scripted]"),
            "{error:?}"
        );
    }
    app.stop().await;
}

/// Whoever may change a virtual key does not thereby learn its secret (T5).
#[tokio::test]
async fn a_kept_key_does_not_follow_to_another_address() {
    let app = start().await;
    let slug = made(&app, &openai()).await;
    let path = format!("{PATH}/{slug}");
    for change in [
        json!({"base_url": "https://thief.example/v1"}),
        json!({"custom_host": "https://thief.example/v1"}),
        json!({"provider": "anthropic"}),
        json!({"resourceName": "thief"}),
    ] {
        invalid(
            &put(&app, MANAGER_A, &path, &change).await,
            "key",
            "only goes where",
        );
    }
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(
        (&shown["provider"], &shown["base_url"]),
        (&json!("openai"), &Value::Null)
    );
    let moved = json!({"base_url": "https://other.example/v1", "key": "sk-another-key-0123456789"});
    let moved = ok(&put(&app, MANAGER_A, &path, &moved).await);
    assert_eq!(moved["base_url"], "https://other.example/v1");
    assert_eq!(moved["masked_api_key"], "sk-****6789");
    // Dropping the key is no way around it.
    let keyless = json!({"base_url": "https://third.example/v1", "key": null});
    let keyless = ok(&put(&app, MANAGER_A, &path, &keyless).await);
    assert_eq!(keyless["masked_api_key"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn a_new_virtual_key_is_called_at_once_and_a_deleted_one_no_more() {
    let app = start().await;
    let body = json!({"name": "Echo", "provider": "echo", "slug": "loud"});
    made(&app, &body).await;
    let chat = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    let with = |name: &str| {
        let request = app.bare(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.header("x-portkey-api-key", MANAGER_A);
        request.header("x-portkey-virtual-key", name).json(&chat)
    };
    assert_eq!(Answer::of(with("loud")).await.status, 200);
    ok(&delete(&app, MANAGER_A, &format!("{PATH}/loud")).await);
    assert_eq!(Answer::of(with("loud")).await.status, 400);
    app.stop().await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_shows_and_can_be_reset() {
    let app = start().await;
    let body = json!({
        "name": "Echo", "provider": "echo", "slug": "small",
        "usage_limits": {"type": "tokens", "credit_limit": 1},
    });
    made(&app, &body).await;
    let path = format!("{PATH}/small");
    let chat = json!({"model": "echo", "messages": [{"role": "user", "content": "hi there"}]});
    let call = async || {
        let request = app.bare(reqwest::Method::POST, "/v1/chat/completions");
        let request = request.header("x-portkey-api-key", MANAGER_A);
        Answer::of(request.header("x-portkey-virtual-key", "small").json(&chat)).await
    };
    assert_eq!(call().await.status, 200);
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(shown["status"], "exhausted", "{shown}");
    assert!(shown["usage"]["used"].as_u64().unwrap() > 1, "{shown}");
    assert_eq!(call().await.status, 412);
    let reset = ok(&put(&app, MANAGER_A, &path, &json!({"reset_usage": true})).await);
    assert_eq!(
        (&reset["status"], &reset["usage"]["used"]),
        (&json!("active"), &json!(0))
    );
    assert_eq!(call().await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_list_has_pages() {
    let app = start().await;
    for name in ["one", "two", "three"] {
        made(
            &app,
            &json!({"name": name, "provider": "echo", "slug": name}),
        )
        .await;
    }
    let page = get(
        &app,
        MANAGER_A,
        &format!("{PATH}?page_size=2&current_page=1"),
    )
    .await;
    assert_eq!(ids(&page, "slug"), ["one", "two"]);
    assert_eq!(page.json()["total"], 5);
    let past = get(
        &app,
        MANAGER_A,
        &format!("{PATH}?page_size=2&current_page=9"),
    )
    .await;
    assert_eq!(ids(&past, "slug"), [""; 0]);
    let zero = get(&app, MANAGER_A, &format!("{PATH}?page_size=0")).await;
    invalid(&zero, "page_size", "from 1");
    app.stop().await;
}

#[tokio::test]
async fn a_virtual_key_of_the_api_does_not_reach_private_addresses() {
    // The upstream is on the loopback, where virtual keys of the API are not let through: what is
    // asserted is that the guard holds, and that nothing was sent.
    let app = start().await;
    let url = app.upstream.url();
    let body = json!({
        "name": "inner", "provider": "openai", "key": CANARY, "base_url": url, "slug": "inner",
    });
    made(&app, &body).await;
    app.upstream.push(Reply::text("never"));
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let request = app.bare(reqwest::Method::POST, "/v1/chat/completions");
    let request = request.header("x-portkey-api-key", MANAGER_A);
    let answer = Answer::of(request.header("x-portkey-virtual-key", "inner").json(&chat)).await;
    assert!(answer.status >= 400, "{}", answer.text);
    assert!(!answer.text.contains("canary"), "{}", answer.text);
    assert_eq!(app.upstream.count(), 0);
    app.stop().await;
}
