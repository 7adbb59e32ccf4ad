//! The bytes of files.

use reqwest::Method;

use super::{objects, sweep_all, upload};
use crate::app::{Answer, TestApp};

async fn content(app: &TestApp, id: &str, range: Option<&str>) -> Answer {
    let mut request = app.request(Method::GET, &format!("/v1/files/{id}/content"));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    Answer::of(request).await
}

fn id(made: &serde_json::Value) -> &str {
    made["id"].as_str().unwrap()
}

#[tokio::test]
async fn bytes_come_back_as_they_were() {
    let app = TestApp::start().await;
    let made = upload(&app, "a b \u{fc}.txt", "vision", b"0123456789").await;
    let all = content(&app, id(&made), None).await;
    assert_eq!((all.status, &*all.text), (200, "0123456789"));
    assert_eq!(all.header("content-type"), "application/octet-stream");
    assert_eq!(all.header("content-length"), "10");
    assert_eq!(all.header("x-content-type-options"), "nosniff");
    let disposition = all.header("content-disposition");
    assert!(
        disposition.starts_with("attachment; filename*=UTF-8''a%20b%20"),
        "{disposition}"
    );
    assert!(disposition.ends_with("%C3%BC.txt"), "{disposition}");
    let some = content(&app, id(&made), Some("bytes=2-4")).await;
    assert_eq!((some.status, &*some.text), (206, "234"));
    assert_eq!(some.header("content-range"), "bytes 2-4/10");
    assert_eq!(some.header("content-length"), "3");
    let path = format!("/v1/files/{}/content", id(&made));
    let head = Answer::of(app.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, &*head.text), (200, ""));
    assert_eq!(head.header("content-length"), "10");
    app.stop().await;
}

#[tokio::test]
async fn some_purposes_are_kept_back_unless_the_operator_says_so() {
    let app = TestApp::start().await;
    for purpose in ["assistants", "user_data"] {
        let made = upload(&app, "a", purpose, b"x").await;
        let error = content(&app, id(&made), None).await.error(400);
        let told = format!("Not allowed to download files of purpose: {purpose}");
        error.expect(&told, None);
    }
    for purpose in ["vision", "batch", "fine-tune", "evals"] {
        let made = upload(&app, "a", purpose, b"x").await;
        assert_eq!(content(&app, id(&made), None).await.text, "x");
    }
    app.stop().await;
    let app = TestApp::start_set(&[("LOOMGATE_FILES_DOWNLOAD", "all")]).await;
    let made = upload(&app, "a", "assistants", b"x").await;
    assert_eq!(content(&app, id(&made), None).await.text, "x");
    app.stop().await;
}

#[tokio::test]
async fn equal_bytes_are_kept_once_and_as_long_as_anybody_has_them() {
    let app = TestApp::start().await;
    let first = upload(&app, "a", "vision", b"the same").await;
    let second = upload(&app, "b", "vision", b"the same").await;
    sweep_all(&app).await;
    let is_local = objects(&app) > 0;
    assert!(objects(&app) <= 1);
    super::delete(&app, &format!("/v1/files/{}", id(&first))).await;
    sweep_all(&app).await;
    assert_eq!(content(&app, id(&second), None).await.text, "the same");
    assert_eq!(objects(&app) == 1, is_local);
    super::delete(&app, &format!("/v1/files/{}", id(&second))).await;
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn damage_is_an_error_and_never_other_bytes() {
    let app = TestApp::start().await;
    let made = upload(&app, "a", "vision", b"0123456789").await;
    let large = vec![b'x'; 3_000_000];
    let larger = upload(&app, "b", "vision", &large).await;
    let objects = app.folder().join("data/files/objects");
    if !objects.exists() {
        // They are in a bucket, which this test can not reach into.
        return drop(app.stop().await);
    }
    let mut damaged = 0;
    for path in files_below(&objects) {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert_eq!(damaged, 2);
    let error = content(&app, id(&made), None).await.error(500);
    assert_eq!(error.kind, "server_error");
    // Of a large one, the status is out when it is found: the connection is cut.
    let path = format!("/v1/files/{}/content", id(&larger));
    let response = app.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    // What is uploaded again is not taken for what is damaged.
    let again = upload(&app, "a", "vision", b"0123456789").await;
    assert_eq!(content(&app, id(&again), None).await.text, "0123456789");
    for path in files_below(&objects) {
        std::fs::remove_file(path).unwrap();
    }
    content(&app, id(&again), None).await.error(500);
    app.stop().await;
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
