//! Options that bound what is taken in and what reading it may cost.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    build::{
        archive::deflated_spaces,
        pdf::{page, stream},
    },
    done, of_store,
};
use crate::{
    admin::ok,
    app::{Answer, TestApp},
    files::{upload, with_form},
    process::text,
};

/// Puts a file into a store, and waits until it is done with.
async fn put(app: &TestApp, store: &Value, name: &str, bytes: &[u8]) -> Value {
    let file = upload(app, name, "assistants", bytes).await;
    let body = json!({"file_id": file["id"]});
    ok(&app.post(&of_store(store, "files"), &body).await);
    done(app, store, &file["id"]).await
}

#[track_caller]
fn failed(file: &Value, code: &str, says: &str) {
    let error = &file["last_error"];
    assert_eq!(
        (&file["status"], &error["code"]),
        (&json!("failed"), &json!(code)),
        "{file}"
    );
    assert!(text(error, "message").contains(says), "{file}");
}

/// A small PDF that draws something which takes 128 MB.
fn greedy() -> Vec<u8> {
    let spaces = [&[0x78, 0x9C][..], &deflated_spaces(128 << 20)].concat();
    let dict = "/Subtype /Form /BBox [0 0 1 1] /Filter /FlateDecode";
    page("/Own Do", Some(stream(dict, &spaces)))
}

/// A small PDF that draws nearly as much as a document may: a form of many strokes, again and again.
fn slow() -> Vec<u8> {
    let content = "0 0 m ".repeat(100_000) + "BT /F1 9 Tf (x) Tj ET";
    let dict = "/Subtype /Form /BBox [0 0 1 1] /Resources << /Font << /F1 3 0 R >> >>";
    page(
        &"/Own Do ".repeat(900),
        Some(stream(dict, content.as_bytes())),
    )
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_by_its_number() {
    let app = TestApp::start_with(
        "[limits]\nupload_part_bytes = 8\nvector_store_files = 4\n\
         [indexing]\nconcurrency = 2\ntokens = 20\nmemory_mb = 64\ncpu_s = 1\n",
    )
    .await;
    let upload = json!({"filename": "a.txt", "purpose": "assistants", "bytes": 20,
        "mime_type": "text/plain"});
    let upload = ok(&app.post("/v1/uploads", &upload).await);
    let parts = format!("/v1/uploads/{}/parts", text(&upload, "id"));
    for (bytes, status) in [(&b"12345678"[..], 200), (b"123456789", 413)] {
        let part = [("data", Some("data"), bytes)];
        let request = with_form(app.request(Method::POST, &parts), &part);
        assert_eq!(Answer::of(request).await.status, status);
    }

    let store = ok(&app.post("/v1/vector_stores", &json!({})).await);
    let few = put(&app, &store, "few.txt", b"A few words.").await;
    assert_eq!(few["status"], "completed", "{few}");
    let many = put(&app, &store, "many.txt", "word ".repeat(21).as_bytes()).await;
    failed(&many, "invalid_file", "more than 20 tokens");
    let greedy = put(&app, &store, "greedy.pdf", &greedy()).await;
    failed(&greedy, "invalid_file", "more than 64 MB of memory");
    let slow = put(&app, &store, "slow.pdf", &slow()).await;
    failed(
        &slow,
        "invalid_file",
        "more than 1 seconds of processor time",
    );

    let fifth = crate::files::upload(&app, "fifth.txt", "assistants", b"More.").await;
    let body = json!({"file_id": fifth["id"]});
    let full = app.post(&of_store(&store, "files"), &body).await.error(400);
    assert_eq!(full.code.as_deref(), Some("vector_store_full"));
    assert_eq!(
        full.message,
        "The vector store holds as many files as it may."
    );
    let batch = json!({"file_ids": [fifth["id"]]});
    let full = app.post(&of_store(&store, "file_batches"), &batch).await;
    assert_eq!(full.error(400).code.as_deref(), Some("vector_store_full"));
    let total = ok(&app.get(&of_store(&store, "")).await)["file_counts"]["total"].clone();
    assert_eq!(total, 4);
    app.stop().await;
}

/// A machine that is too slow may be faster the next time: it is tried four times.
#[tokio::test]
async fn a_file_that_takes_too_long_fails_in_the_end() {
    let app = TestApp::start_with("[indexing]\nconcurrency = 1\ntime_s = 1\n").await;
    let store = ok(&app.post("/v1/vector_stores", &json!({})).await);
    let file = upload(&app, "slow.pdf", "assistants", &slow()).await;
    let body = json!({"file_id": file["id"]});
    ok(&app.post(&of_store(&store, "files"), &body).await);
    let path = of_store(&store, &format!("files/{}", text(&file, "id")));
    let file = loop {
        let file = ok(&app.get(&path).await);
        if file["status"] != "in_progress" {
            break file;
        }
        // The pauses between two attempts.
        app.pass(Duration::from_secs(1));
    };
    failed(&file, "server_error", "within 1 seconds");
    app.stop().await;
}
