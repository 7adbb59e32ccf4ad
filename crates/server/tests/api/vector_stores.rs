//! `/v1/vector_stores`, over HTTP.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B, TestApp},
    files::upload,
    process::text,
};

const STORES: &str = "/v1/vector_stores";

async fn create(app: &TestApp, body: &Value) -> Value {
    let answer = app.post(STORES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn of(store: &Value) -> String {
    format!("{STORES}/{}", text(store, "id"))
}

async fn delete(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.request(Method::DELETE, path)).await
}

#[tokio::test]
async fn a_store_is_made_changed_listed_and_deleted() {
    let app = TestApp::start().await;
    let made = create(&app, &json!({})).await;
    let counts = json!({"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0});
    let expected = json!({
        "id": made["id"], "object": "vector_store", "created_at": made["created_at"],
        "name": null, "description": null, "usage_bytes": 0, "file_counts": counts,
        "status": "completed", "expires_after": null, "expires_at": null,
        "last_active_at": made["created_at"], "metadata": {},
    });
    assert_eq!(made, expected);
    let id = text(&made, "id");
    let tail = id.strip_prefix("vs_").unwrap();
    assert!(
        tail.len() == 32 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    let expiry = json!({"anchor": "last_active_at", "days": 3});
    let change = json!({"name": "n", "expires_after": expiry, "metadata": {"k": "v"}});
    let changed = app.post(&of(&made), &change).await.json();
    assert_eq!(
        (&changed["name"], &changed["metadata"]),
        (&json!("n"), &json!({"k": "v"}))
    );
    let from = made["last_active_at"].as_i64().unwrap();
    assert_eq!(changed["expires_at"], from + 259_200);
    assert_eq!(app.get(&of(&made)).await.json(), changed);
    let other = create(&app, &json!({"name": "other"})).await;
    let list = app.get(&format!("{STORES}?order=asc")).await.json();
    assert_eq!(list["data"], json!([changed, other]));
    let reset = app
        .post(&of(&made), &json!({"name": null, "expires_after": null}))
        .await;
    assert_eq!(reset.json()["expires_at"], Value::Null);
    let deleted = delete(&app, &of(&made)).await.json();
    assert_eq!(
        deleted,
        json!({"id": id, "object": "vector_store.deleted", "deleted": true})
    );
    for answer in [app.get(&of(&made)).await, delete(&app, &of(&made)).await] {
        answer
            .error(404)
            .expect(&format!("No vector store found with id '{id}'."), None);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let app = TestApp::start().await;
    let store = create(&app, &json!({})).await;
    let (path, id) = (of(&store), text(&store, "id"));
    for body in [
        json!({"file_id": "file-1"}),
        json!({"file_id": "file-1", "attributes": {}}),
    ] {
        let answer = app.post(&format!("{path}/files"), &body).await;
        answer
            .error(400)
            .expect("File IDs ['file-1'] were not found.", None);
    }
    let batch = json!({"file_ids": ["file-2", "file-1"]});
    let batch = app.post(&format!("{path}/file_batches"), &batch).await;
    let told = "File IDs ['file-1', 'file-2'] were not found.";
    batch.error(400).expect(told, None);
    let with_file = app.post(STORES, &json!({"file_ids": ["file-1"]})).await;
    with_file
        .error(400)
        .expect("File IDs ['file-1'] were not found.", None);
    let file = format!("{path}/files/file-1");
    let missing = format!("No file found with id 'file-1' in vector store '{id}'.");
    for answer in [
        app.get(&file).await,
        app.get(&format!("{file}/content")).await,
        app.post(&file, &json!({"attributes": {}})).await,
        delete(&app, &file).await,
    ] {
        answer.error(404).expect(&missing, None);
    }
    let batch = format!("{path}/file_batches/vsfb_1");
    for answer in [
        app.get(&batch).await,
        app.get(&format!("{batch}/files")).await,
        app.post(&format!("{batch}/cancel"), &json!({})).await,
    ] {
        answer
            .error(404)
            .expect("No file batch found with id 'vsfb_1'.", None);
    }
    let cursor = app.get(&format!("{path}/files?after=file-1")).await;
    cursor
        .error(400)
        .expect("No file found with id 'file-1'.", None);
    let filter = app
        .get(&format!("{path}/files?filter=done"))
        .await
        .error(400);
    assert_eq!(filter.param.as_deref(), Some("filter"));
    let wrong = app.get("/v1/vector_stores/store_1").await.error(400);
    let told = "Invalid 'vector_store_id': 'store_1'. Expected an ID that begins with 'vs'.";
    assert_eq!(wrong.message, told);
    app.stop().await;
}

#[tokio::test]
async fn an_empty_store_is_searched_and_that_keeps_it_alive() {
    let app = TestApp::start().await;
    let expiry = json!({"anchor": "last_active_at", "days": 1});
    let store = create(&app, &json!({"expires_after": expiry})).await;
    let search = format!("{}/search", of(&store));
    app.pass(Duration::from_secs(80_000));
    let filters = json!({"type": "and", "filters": [{"type": "eq", "key": "k", "value": 1}]});
    let body = json!({"query": ["a", "b"], "filters": filters});
    let found = app.post(&search, &body).await.json();
    let expected = json!({
        "object": "vector_store.search_results.page", "search_query": ["a", "b"], "data": [],
        "has_more": false, "next_page": null,
    });
    assert_eq!(found, expected);
    let now = app.get(&of(&store)).await.json();
    let (before, after) = (&store["last_active_at"], &now["last_active_at"]);
    assert!(
        after.as_i64() >= Some(before.as_i64().unwrap() + 80_000),
        "{now}"
    );
    app.pass(Duration::from_secs(86_401));
    let now = app.get(&of(&store)).await.json();
    assert_eq!(now["status"], "expired");
    let id = text(&store, "id");
    let told = format!("Vector store '{id}' has expired.");
    app.post(&search, &body)
        .await
        .error(400)
        .expect(&told, None);
    let rewrite = json!({"query": "q", "rewrite_query": true});
    let refused = app.post(&search, &rewrite).await.error(400);
    assert_eq!(refused.code.as_deref(), Some("not_supported"));
    let unordered = json!({"query": "q", "filters": {"type": "gt", "key": "k", "value": true}});
    let refused = app.post(&search, &unordered).await.error(400);
    assert_eq!(refused.param.as_deref(), Some("filters.value"));
    app.stop().await;
}

/// `contract/behaviour.md` section 1: helpers that poll something unfinished are told when to look again, nobody else is.
#[tokio::test]
async fn helpers_that_poll_are_told_when_to_look_again() {
    const AFTER: &str = "openai-poll-after-ms";
    let app = TestApp::start().await;
    let file = upload(&app, "a.txt", "assistants", b"All is well.").await;
    let store = of(&create(&app, &json!({})).await);
    let batches = format!("{store}/file_batches");
    let batch = app.post(&batches, &json!({"file_ids": [file["id"]]})).await;
    let batch = format!("{batches}/{}", text(&batch.json(), "id"));
    let file = format!("{store}/files/{}", text(&file, "id"));
    let polled = async |path: &str| {
        let request = app.request(Method::GET, path);
        let answer = request.header("x-stainless-poll-helper", "true").send();
        let headers = answer.await.unwrap().headers().clone();
        headers
            .get(AFTER)
            .map(|after| after.to_str().unwrap().to_owned())
    };
    for path in [&batch, &file] {
        assert!(polled(path).await.unwrap().parse::<u32>().unwrap() > 0);
        let plain = app.request(Method::GET, path).send().await.unwrap();
        assert_eq!(plain.headers().get(AFTER), None);
    }
    let cancelled = app.post(&format!("{batch}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["status"], "cancelled");
    for path in [&batch, &file] {
        assert_eq!(polled(path).await, None);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_makes_one_store() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        let request = app.request(Method::POST, STORES).json(&json!({}));
        let answer = Answer::of(request.header("idempotency-key", "k-store")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let list = app.get(STORES).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn another_workspace_finds_no_store() {
    let app = TestApp::start().await;
    let store = create(&app, &json!({})).await;
    let path = of(&store);
    let told = format!("No vector store found with id '{}'.", text(&store, "id"));
    for (method, path, body) in [
        (Method::GET, path.clone(), json!({})),
        (Method::POST, path.clone(), json!({"name": "mine"})),
        (Method::DELETE, path.clone(), json!({})),
        (
            Method::POST,
            format!("{path}/search"),
            json!({"query": "q"}),
        ),
        (Method::GET, format!("{path}/files"), json!({})),
        (Method::GET, format!("{path}/files/file-1"), json!({})),
        (
            Method::GET,
            format!("{path}/files/file-1/content"),
            json!({}),
        ),
        (Method::DELETE, format!("{path}/files/file-1"), json!({})),
        (
            Method::POST,
            format!("{path}/files/file-1"),
            json!({"attributes": {}}),
        ),
        (
            Method::GET,
            format!("{path}/file_batches/vsfb_1"),
            json!({}),
        ),
        (
            Method::POST,
            format!("{path}/file_batches/vsfb_1/cancel"),
            json!({}),
        ),
        (
            Method::GET,
            format!("{path}/file_batches/vsfb_1/files"),
            json!({}),
        ),
    ] {
        let request = app.bare(method.clone(), &path).bearer_auth(KEY_B);
        let answer = Answer::of(request.json(&body)).await;
        answer.error(404).expect(&told, None);
    }
    let list = Answer::of(app.bare(Method::GET, STORES).bearer_auth(KEY_B)).await;
    assert_eq!(list.json()["data"], json!([]));
    assert_eq!(app.get(&path).await.json(), store);
    app.stop().await;
}
