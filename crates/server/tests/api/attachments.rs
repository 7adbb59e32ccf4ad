//! Vector stores that are made along with assistants and threads, files that messages attach for search,
//! and stores that are named (contract sections 5.3 and 7.3).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    admin::ok,
    app::{Answer, KEY_B, TestApp},
    file_search::{FOOD, INDEXING, ended, of_run},
    files::{delete, upload},
    process::text,
};

const STORES: &str = "/v1/vector_stores";
const DAY: Duration = Duration::from_hours(24);

async fn file(app: &TestApp, name: &str) -> String {
    text(
        &upload(app, name, "assistants", FOOD.as_bytes()).await,
        "id",
    )
}

fn helper(store: &Value) -> Value {
    json!({"file_search": {"vector_stores": [store]}})
}

fn naming(store: &str) -> Value {
    json!({"file_search": {"vector_store_ids": [store]}})
}

/// A message that attaches files for search.
fn attaching(files: &[&str]) -> Value {
    let attachment = |file: &&str| json!({"file_id": file, "tools": [{"type": "file_search"}]});
    let attachments: Vec<Value> = files.iter().map(attachment).collect();
    json!({"role": "user", "content": "Look.", "attachments": attachments})
}

/// The only store that an assistant or a thread names.
fn named(object: &Value) -> String {
    let ids = &object["tool_resources"]["file_search"]["vector_store_ids"];
    match ids.as_array().map(Vec::as_slice) {
        Some([id]) => id.as_str().unwrap().to_owned(),
        _ => panic!("{object}"),
    }
}

async fn store(app: &TestApp, id: &str) -> Value {
    ok(&app.get(&format!("{STORES}/{id}")).await)
}

async fn stores(app: &TestApp) -> usize {
    let list = ok(&app.get(STORES).await);
    list["data"].as_array().unwrap().len()
}

/// How many files wait, and how many there are.
async fn waiting(app: &TestApp, id: &str) -> (u64, u64) {
    let counts = &store(app, id).await["file_counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    (count("in_progress"), count("total"))
}

async fn thread(app: &TestApp, body: &Value) -> (String, Value) {
    let made = ok(&app.post("/v1/threads", body).await);
    (format!("/v1/threads/{}", text(&made, "id")), made)
}

async fn assistant(app: &TestApp) -> String {
    let body = json!({"model": "echo", "tools": [{"type": "file_search"}]});
    text(&ok(&app.post("/v1/assistants", &body).await), "id")
}

#[tokio::test]
async fn a_store_is_made_along_with_what_names_it() {
    let app = TestApp::start().await;
    let (one, two) = (file(&app, "1.md").await, file(&app, "2.md").await);
    let chunking = json!({"type": "static",
        "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}});
    let full = helper(&json!({"file_ids": [one, two], "metadata": {"k": "v"},
        "chunking_strategy": chunking}));
    let body = json!({"model": "echo", "tool_resources": full});
    let made = ok(&app.post("/v1/assistants", &body).await);
    let id = named(&made);
    // What was asked for is never echoed.
    assert_eq!(made["tool_resources"], naming(&id));
    let path = format!("/v1/assistants/{}", text(&made, "id"));
    assert_eq!(ok(&app.get(&path).await), made);
    let of_assistant = store(&app, &id).await;
    assert_eq!(of_assistant["status"], "in_progress");
    assert_eq!(waiting(&app, &id).await, (2, 2));
    assert_eq!(of_assistant["metadata"], json!({"k": "v"}));
    assert_eq!(of_assistant["expires_after"], Value::Null);
    let path = format!("{STORES}/{id}/files/{one}");
    assert_eq!(ok(&app.get(&path).await)["chunking_strategy"], chunking);

    let week = json!({"anchor": "last_active_at", "days": 7});
    let body = json!({"tool_resources": helper(&json!({"file_ids": [one]}))});
    let (path, made) = thread(&app, &body).await;
    let id = named(&made);
    assert_eq!(ok(&app.get(&path).await), made);
    assert_eq!(waiting(&app, &id).await, (1, 1));
    assert_eq!(store(&app, &id).await["expires_after"], week);

    let new = json!({"tool_resources": helper(&json!({})), "messages": [attaching(&[&two])]});
    let body = json!({"assistant_id": assistant(&app).await, "thread": new});
    let run = ok(&app.post("/v1/threads/runs", &body).await);
    let path = format!("/v1/threads/{}", text(&run, "thread_id"));
    let id = named(&ok(&app.get(&path).await));
    assert_eq!(waiting(&app, &id).await, (1, 1));
    assert_eq!(store(&app, &id).await["expires_after"], week);
    assert_eq!(stores(&app).await, 3);
    app.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_twice_under_a_key_makes_one_store() {
    let app = TestApp::start().await;
    let one = file(&app, "1.md").await;
    let made = helper(&json!({"file_ids": [one]}));
    let assistant = assistant(&app).await;
    let new = json!({"messages": [attaching(&[&one])]});
    for (path, body) in [
        (
            "/v1/assistants",
            json!({"model": "echo", "tool_resources": made}),
        ),
        ("/v1/threads", json!({"tool_resources": made})),
        ("/v1/threads", new.clone()),
        (
            "/v1/threads/runs",
            json!({"assistant_id": assistant, "thread": new}),
        ),
    ] {
        let before = stores(&app).await;
        let key = format!("key-{before}");
        let send = || {
            let request = app.request(Method::POST, path).json(&body);
            Answer::of(request.header("idempotency-key", &key))
        };
        let (first, again) = (send().await, send().await);
        assert_eq!(ok(&first), ok(&again));
        assert_eq!(stores(&app).await, before + 1, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn attached_files_go_into_the_store_of_their_thread() {
    let app = TestApp::start().await;
    let mut files = Vec::new();
    for n in 0..5 {
        files.push(file(&app, &format!("{n}.md")).await);
    }
    let file = |n: usize| &*files[n];
    // A thread that begins with them names their store in the answer that makes it.
    let body = json!({"messages": [attaching(&[file(0), file(1)]), attaching(&[file(1)])]});
    let (path, made) = thread(&app, &body).await;
    assert_eq!(ok(&app.get(&path).await), made);
    let id = named(&made);
    assert_eq!(waiting(&app, &id).await, (2, 2));
    let of_thread = store(&app, &id).await;
    let week = json!({"anchor": "last_active_at", "days": 7});
    assert_eq!(of_thread["expires_after"], week);
    assert_eq!(
        (&of_thread["name"], &of_thread["metadata"]),
        (&Value::Null, &json!({}))
    );
    // Later ones join them.
    let messages = format!("{path}/messages");
    let message = ok(&app.post(&messages, &attaching(&[file(2)])).await);
    assert_eq!(message["attachments"], attaching(&[file(2)])["attachments"]);
    assert_eq!(waiting(&app, &id).await, (3, 3));
    let run = json!({"assistant_id": assistant(&app).await,
        "additional_messages": [attaching(&[file(3)])]});
    let run = ok(&app.post(&format!("{path}/runs"), &run).await);
    assert_eq!(ended(&app, &run).await["status"], "completed");
    assert_eq!(waiting(&app, &id).await, (4, 4));
    assert_eq!(named(&ok(&app.get(&path).await)), id);

    // A file that is deleted leaves it.
    delete(&app, &format!("/v1/files/{}", file(0))).await;
    assert_eq!(waiting(&app, &id).await, (3, 3));
    // And a store that is deleted is followed by another one.
    delete(&app, &format!("{STORES}/{id}")).await;
    ok(&app.post(&messages, &attaching(&[file(4)])).await);
    let next = named(&ok(&app.get(&path).await));
    assert_ne!(next, id);
    assert_eq!(waiting(&app, &next).await, (1, 1));

    // A thread whose first message has none gets its store with a later one.
    let (path, made) = thread(&app, &json!({"messages": [attaching(&[])]})).await;
    assert_eq!(made["tool_resources"], json!({}));
    ok(&app
        .post(&format!("{path}/messages"), &attaching(&[file(4)]))
        .await);
    let id = named(&ok(&app.get(&path).await));
    assert_eq!(waiting(&app, &id).await, (1, 1));
    // One that it was given keeps its own expiry.
    let given = text(&ok(&app.post(STORES, &json!({})).await), "id");
    let body = json!({"tool_resources": naming(&given), "messages": [attaching(&[file(4)])]});
    assert_eq!(named(&thread(&app, &body).await.1), given);
    assert_eq!(waiting(&app, &given).await, (1, 1));
    assert_eq!(store(&app, &given).await["expires_after"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn stores_that_are_named_have_to_be_there() {
    let app = TestApp::start().await;
    let assistant = assistant(&app).await;
    let (thread, _) = thread(&app, &json!({})).await;
    let gone = text(&ok(&app.post(STORES, &json!({})).await), "id");
    delete(&app, &format!("{STORES}/{gone}")).await;
    let request = app.bare(Method::POST, STORES).bearer_auth(KEY_B);
    let strange = text(&ok(&Answer::of(request.json(&json!({}))).await), "id");
    for missing in ["vs_none", &gone, &strange] {
        for (path, body) in [
            ("/v1/assistants".to_owned(), json!({"model": "echo"})),
            (format!("/v1/assistants/{assistant}"), json!({})),
            ("/v1/threads".to_owned(), json!({})),
            (thread.clone(), json!({})),
            (
                "/v1/threads/runs".to_owned(),
                json!({"assistant_id": assistant}),
            ),
        ] {
            let mut body = body;
            body["tool_resources"] = naming(missing);
            let text = format!("No vector store found with id '{missing}'.");
            app.post(&path, &body).await.error(404).expect(&text, None);
        }
        let new = json!({"tool_resources": naming(missing)});
        let body = json!({"assistant_id": assistant, "thread": new});
        let text = format!("No vector store found with id '{missing}'.");
        let refused = app.post("/v1/threads/runs", &body).await;
        refused.error(404).expect(&text, None);
    }
    assert_eq!(ok(&app.get(&thread).await)["tool_resources"], json!({}));
    let list = ok(&app.get("/v1/assistants").await);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);

    let there = text(&ok(&app.post(STORES, &json!({})).await), "id");
    let body = json!({"tool_resources": naming(&there)});
    assert_eq!(named(&ok(&app.post(&thread, &body).await)), there);
    // Its own id, sent back as it was read, is good until it is gone.
    ok(&app.post(&thread, &body).await);
    app.stop().await;
}

#[tokio::test]
async fn files_that_can_not_be_searched_are_refused_before_anything_is_made() {
    let app = TestApp::start().await;
    let assistant = assistant(&app).await;
    let (thread, _) = thread(&app, &json!({})).await;
    let store = text(&ok(&app.post(STORES, &json!({})).await), "id");
    let (photo, bare) = (file(&app, "a.PNG").await, file(&app, "README").await);
    let extensions = "Files with extensions [none, .png] are not supported for retrieval.";
    let missing = "File IDs ['file-none'] were not found.";
    for (ids, text, param) in [
        ([&*photo, &*bare], extensions, Some("file_ids")),
        ([&*photo, "file-none"], missing, None),
    ] {
        let made = helper(&json!({"file_ids": ids}));
        let new = json!({"messages": [attaching(&ids)]});
        let batch: Vec<Value> = ids.iter().map(|id| json!({"file_id": id})).collect();
        for (path, body) in [
            (
                "/v1/assistants".to_owned(),
                json!({"model": "echo", "tool_resources": made}),
            ),
            ("/v1/threads".to_owned(), json!({"tool_resources": made})),
            ("/v1/threads".to_owned(), new.clone()),
            (
                "/v1/threads/runs".to_owned(),
                json!({"assistant_id": assistant, "thread": new}),
            ),
            (
                "/v1/threads/runs".to_owned(),
                json!({"assistant_id": assistant, "thread": {"tool_resources": made}}),
            ),
            (format!("{thread}/messages"), attaching(&ids)),
            (
                format!("{thread}/runs"),
                json!({"assistant_id": assistant, "additional_messages": [attaching(&ids)]}),
            ),
            (STORES.to_owned(), json!({"file_ids": ids})),
            (
                format!("{STORES}/{store}/file_batches"),
                json!({"files": batch}),
            ),
        ] {
            let error = app.post(&path, &body).await.error(400);
            assert!(error.message.starts_with(text), "{path}: {error:?}");
            assert_eq!(error.param.as_deref(), param, "{path}: {error:?}");
        }
    }
    let one = json!({"file_id": photo});
    let refused = app.post(&format!("{STORES}/{store}/files"), &one).await;
    assert_eq!(refused.error(400).code.as_deref(), Some("unsupported_file"));
    // The code interpreter takes them.
    let attachments = json!([{"file_id": photo, "tools": [{"type": "code_interpreter"}]}]);
    let message = json!({"role": "user", "content": "Look.", "attachments": attachments});
    ok(&app.post(&format!("{thread}/messages"), &message).await);

    assert_eq!(stores(&app).await, 1);
    assert_eq!(waiting(&app, &store).await, (0, 0));
    for (path, count) in [("/v1/assistants", 1), (&*format!("{thread}/messages"), 1)] {
        let list = ok(&app.get(path).await);
        assert_eq!(list["data"].as_array().unwrap().len(), count, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_thread_whose_store_has_expired_takes_no_files_and_no_search() {
    let app = TestApp::start().await;
    let (one, assistant) = (file(&app, "1.md").await, assistant(&app).await);
    let body = json!({"messages": [attaching(&[&one])]});
    let (path, made) = thread(&app, &body).await;
    let id = named(&made);
    let run = json!({"assistant_id": assistant});
    let runs = format!("{path}/runs");
    // A run is a use, although nothing is searched.
    app.pass(6 * DAY);
    let used = ok(&app.post(&runs, &run).await);
    assert_eq!(ended(&app, &used).await["status"], "completed");
    app.pass(6 * DAY);
    let used = ok(&app.post(&runs, &run).await);
    assert_eq!(ended(&app, &used).await["status"], "completed");
    app.pass(8 * DAY);
    assert_eq!(store(&app, &id).await["status"], "expired");
    let expired = format!("Vector store '{id}' has expired.");
    let (messages, message) = (format!("{path}/messages"), attaching(&[&one]));
    let refused = app.post(&messages, &message).await;
    refused.error(400).expect(&expired, None);
    let with_message =
        json!({"assistant_id": assistant, "additional_messages": [attaching(&[&one])]});
    let refused = app.post(&runs, &with_message).await;
    refused.error(400).expect(&expired, None);
    let failed = ok(&app.post(&runs, &run).await);
    let failed = ended(&app, &failed).await;
    assert_eq!(failed["status"], "failed");
    let why = failed["last_error"]["message"].as_str().unwrap();
    assert!(why.starts_with(&expired), "{failed}");

    // What was in it can still be read, and goes into another one.
    let files = ok(&app.get(&format!("{STORES}/{id}/files")).await);
    let files = json!({"file_ids": [files["data"][0]["id"]]});
    let next = text(&ok(&app.post(STORES, &files).await), "id");
    ok(&app
        .post(&path, &json!({"tool_resources": naming(&next)}))
        .await);
    let ended = ended(&app, &ok(&app.post(&runs, &run).await)).await;
    assert_eq!(ended["status"], "completed");
    app.stop().await;
}

#[tokio::test]
async fn what_was_just_attached_is_found_by_the_run() {
    let app = TestApp::start_with(INDEXING).await;
    let food = file(&app, "foods.md").await;
    let mut message = attaching(&[&food]);
    message["content"] = "/echo call file_search {\"queries\":[\"favourite food\"]}".into();
    let new = json!({"messages": [message]});
    let body = json!({"assistant_id": assistant(&app).await, "thread": new});
    let run = ok(&app.post("/v1/threads/runs", &body).await);
    let run = ended(&app, &run).await;
    assert_eq!(run["status"], "completed", "{run}");
    let messages = of_run(&app, &run, "messages").await;
    let annotation = &messages[1]["content"][0]["text"]["annotations"][0];
    assert_eq!(annotation["file_citation"]["file_id"], food, "{messages:?}");
    app.stop().await;
}

#[test]
fn the_documentation_names_what_can_be_searched() {
    let page = include_str!("../../../../docs/vector-stores.md");
    for (extension, _) in loomgate_extract::EXTENSIONS {
        assert!(page.contains(&format!("`.{extension}`")), "{extension}");
    }
}
