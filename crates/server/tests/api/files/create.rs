//! What `POST /files` takes, and what it refuses.

use std::time::Duration;

use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use super::{BOUNDARY, delete, form, objects, send, sweep_all, upload, with_form};
use crate::app::{Answer, KEY_A, KEY_B, TestApp, rest};

#[tokio::test]
async fn a_file_lives_from_its_upload_to_its_end() {
    let app = TestApp::start().await;
    let made = upload(
        &app,
        "n\u{e4}ive \u{65e5}\u{672c}.txt",
        "assistants",
        b"Hello",
    )
    .await;
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), "file-".len() + 22);
    assert!(id.starts_with("file-"));
    let keys: Vec<_> = made.as_object().unwrap().keys().collect();
    let expected = "object id purpose filename bytes created_at expires_at status status_details";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(made["object"], "file");
    assert_eq!(made["filename"], "n\u{e4}ive \u{65e5}\u{672c}.txt");
    assert_eq!(made["bytes"], 5);
    assert_eq!(made["status"], "processed");
    assert!(made["expires_at"].is_null());

    let path = format!("/v1/files/{id}");
    assert_eq!(app.get(&path).await.json(), made);
    let list = app.get("/v1/files?purpose=assistants").await.json();
    assert_eq!(list["data"], serde_json::json!([made]));
    assert_eq!(
        app.get("/v1/files?purpose=vision").await.json()["data"],
        serde_json::json!([])
    );

    let deleted = delete(&app, &path).await;
    assert_eq!(
        deleted.text,
        format!("{{\"id\":\"{id}\",\"object\":\"file\",\"deleted\":true}}")
    );
    for answer in [
        app.get(&path).await,
        delete(&app, &path).await,
        app.get(&format!("{path}/content")).await,
    ] {
        let error = answer.error(404);
        assert_eq!(error.message, format!("No such File object: {id}"));
        assert_eq!(error.param.as_deref(), Some("id"));
        assert_eq!(error.code, None);
    }
    let error = app.get("/v1/files/fake_id").await.error(404);
    assert_eq!(error.message, "No such File object: fake_id");
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn parts_come_in_any_order_and_files_may_be_empty() {
    let app = TestApp::start().await;
    for (purpose, bytes) in [
        ("vision", &b""[..]),
        ("batch", b"{}\n"),
        ("fine-tune", b"x"),
    ] {
        let parts = [
            ("file", Some("text/csv"), bytes),
            ("purpose", None, purpose.as_bytes()),
        ];
        let made = send(&app, "/v1/files", &parts).await.json();
        assert_eq!(made["filename"], "text/csv");
        assert_eq!(made["purpose"], purpose);
        assert_eq!(made["bytes"], bytes.len());
        let lifetime = made["expires_at"]
            .as_i64()
            .map(|at| at - made["created_at"].as_i64().unwrap());
        assert_eq!(lifetime, (purpose == "batch").then_some(30 * 24 * 3600));
        let content = app
            .get(&format!(
                "/v1/files/{}/content",
                made["id"].as_str().unwrap()
            ))
            .await;
        assert_eq!((content.status, content.text.as_bytes()), (200, bytes));
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_told_and_nothing_is_kept() {
    let app = TestApp::start_with("[limits]\nfile_bytes = 10000\n").await;
    let file = ("file", Some("a.txt"), &b"some bytes"[..]);
    let purpose = ("purpose", None, &b"assistants"[..]);
    let seconds = |value: &'static str| ("expires_after[seconds]", None, value.as_bytes());
    let anchor = ("expires_after[anchor]", None, &b"created_at"[..]);
    for (parts, message, param) in [
        (vec![file], "'purpose' is a required property", None),
        (vec![purpose], "'file' is a required property", None),
        (vec![], "'file' is a required property", None),
        (
            vec![file, ("purpose", None, b"world_domination")],
            "'world_domination' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', \
             'vision', 'evals'] - 'purpose'",
            Some("purpose"),
        ),
        (
            vec![file, ("purpose", None, b"assistants_output")],
            "'assistants_output' is not one of",
            Some("purpose"),
        ),
        (
            vec![file, purpose, ("colour", None, b"red")],
            "Additional properties are not allowed ('colour' was unexpected)",
            None,
        ),
        (
            vec![file, file, purpose],
            "'file' was sent more than once",
            Some("file"),
        ),
        (
            vec![purpose, purpose, file],
            "'purpose' was sent more than once",
            Some("purpose"),
        ),
        (
            vec![("file", None, b"text"), purpose],
            "We could not parse the form",
            Some("file"),
        ),
        (
            vec![file, purpose, anchor, seconds("60")],
            "Invalid 'expires_after.seconds': integer below minimum value. Expected a value >= 3600, \
             but got 60 instead.",
            Some("expires_after.seconds"),
        ),
        (
            vec![file, purpose, anchor, seconds("2592001")],
            "Invalid 'expires_after.seconds': integer above maximum value.",
            Some("expires_after.seconds"),
        ),
        (
            vec![file, purpose, anchor, seconds("soon")],
            "Invalid type for 'expires_after.seconds': expected an integer, but got a string",
            Some("expires_after.seconds"),
        ),
        (
            vec![file, purpose, seconds("3600")],
            "Missing required parameter: 'expires_after.anchor'.",
            Some("expires_after.anchor"),
        ),
        (
            vec![file, purpose, anchor],
            "Missing required parameter: 'expires_after.seconds'.",
            Some("expires_after.seconds"),
        ),
    ] {
        let error = send(&app, "/v1/files", &parts).await.error(400);
        assert!(error.message.starts_with(message), "{error:?}");
        assert_eq!(error.kind, "invalid_request_error");
        assert_eq!(error.param.as_deref(), param, "{error:?}");
    }
    let large = vec![b'x'; 10_001];
    let error = send(&app, "/v1/files", &[("file", Some("a"), &large), purpose])
        .await
        .error(413);
    assert!(
        error.message.contains("the limit is 10000 bytes"),
        "{error:?}"
    );
    let list = app.get("/v1/files").await.json();
    assert_eq!(list["data"], serde_json::json!([]));
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    let made = upload(&app, "a", "assistants", &large[..10_000]).await;
    assert_eq!(made["bytes"], 10_000);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let app = TestApp::start().await;
    let file = ("file", Some("a.txt"), &b"some bytes"[..]);
    let purpose = ("purpose", None, &b"assistants"[..]);
    let typed = |kind: &str, body: Vec<u8>| {
        let request = app.request(Method::POST, "/v1/files").body(body);
        Answer::of(request.header("content-type", kind.to_owned()))
    };
    let whole = form(&[file, purpose]);
    let multipart = format!("multipart/form-data; boundary={BOUNDARY}");
    for (kind, body) in [
        ("application/json", b"{}".to_vec()),
        ("multipart/form-data", whole.clone()),
        (&multipart, whole[..whole.len() - 30].to_vec()),
        (&multipart, b"nonsense".to_vec()),
    ] {
        let error = typed(kind, body).await.error(400);
        assert!(
            error.message.starts_with("We could not parse the form"),
            "{error:?}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_is_announced_too_large_is_not_waited_for() {
    let app =
        TestApp::start_with("[limits]\nfile_bytes = 1000\n[http]\nbody_timeout_s = 1\n").await;
    let head = |length: u32| {
        format!(
            "POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY_A}\r\n\
             content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = app.raw(head(1_000_000).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Nor one that does not come.
    let mut stream = app.connect().await;
    stream.write_all(head(500).as_bytes()).await.unwrap();
    let begun = form(&[("file", Some("a.txt"), b"the beginning")]);
    stream.write_all(&begun[..begun.len() - 40]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn lists_have_pages() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let made = upload(&app, &format!("{n}.txt"), "assistants", b"x").await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let listed = async |query: &str| {
        let list = app.get(&format!("/v1/files?{query}")).await.json();
        let data = list["data"].as_array().unwrap().iter();
        let names: Vec<_> = data
            .map(|file| file["filename"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), list["has_more"].as_bool().unwrap())
    };
    assert_eq!(listed("").await, ("3.txt 2.txt 1.txt 0.txt".into(), false));
    assert_eq!(listed("limit=2").await, ("3.txt 2.txt".into(), true));
    assert_eq!(
        listed(&format!("limit=2&after={}", ids[2])).await,
        ("1.txt 0.txt".into(), false)
    );
    assert_eq!(
        listed(&format!("order=asc&after={}", ids[1])).await,
        ("2.txt 3.txt".into(), false)
    );
    assert!(!listed("limit=10000").await.1);
    let error = app.get("/v1/files?limit=10001").await.error(400);
    assert_eq!(error.code.as_deref(), Some("integer_above_max_value"));
    app.get("/v1/files?limit=0").await.error(400);
    app.get("/v1/files?order=up").await.error(400);
    let error = app.get("/v1/files?after=file-none").await.error(400);
    assert_eq!(error.message, "No file found with id 'file-none'.");
    app.stop().await;
}

#[tokio::test]
async fn an_expired_file_is_gone_at_once() {
    let app = TestApp::start().await;
    let parts = [
        ("purpose", None, &b"vision"[..]),
        ("expires_after[seconds]", None, b"3600"),
        ("expires_after[anchor]", None, b"created_at"),
        ("file", Some("a.png"), b"x"),
    ];
    let made = send(&app, "/v1/files", &parts).await.json();
    let path = format!("/v1/files/{}", made["id"].as_str().unwrap());
    let lifetime = made["expires_at"].as_i64().unwrap() - made["created_at"].as_i64().unwrap();
    assert_eq!(lifetime, 3600);
    app.pass(Duration::from_secs(3590));
    assert_eq!(app.get(&path).await.status, 200);
    app.pass(Duration::from_secs(10));
    app.get(&path).await.error(404);
    app.get(&format!("{path}/content")).await.error(404);
    delete(&app, &path).await.error(404);
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_key_makes_one_file_however_its_form_is_written() {
    let app = TestApp::start().await;
    let file = ("file", Some("a.txt"), &b"bytes"[..]);
    let purpose = ("purpose", None, &b"vision"[..]);
    let keyed = async |parts: &[super::FormPart<'_>]| {
        let request = app
            .request(Method::POST, "/v1/files")
            .header("idempotency-key", "k");
        Answer::of(with_form(request, parts)).await
    };
    let first = keyed(&[file, purpose]).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let again = keyed(&[purpose, file]).await;
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        again.header("original-request"),
        first.header("x-request-id")
    );
    for other in [
        [("file", Some("b.txt"), &b"bytes"[..]), purpose],
        [("file", Some("a.txt"), b"other"), purpose],
        [file, ("purpose", None, b"batch")],
    ] {
        let error = keyed(&other).await.error(400);
        assert_eq!(error.code.as_deref(), Some("idempotency_key_reused"));
    }
    let list = app.get("/v1/files").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    sweep_all(&app).await;
    if app.folder().join("data/files").exists() {
        assert!(objects(&app) <= 1);
    }
    app.stop().await;
}

#[tokio::test]
async fn another_workspace_sees_no_file() {
    let app = TestApp::start().await;
    let made = upload(&app, "a.png", "vision", b"secret").await;
    let path = format!("/v1/files/{}", made["id"].as_str().unwrap());
    let foreign = |method: Method, path: &str| app.bare(method, path).bearer_auth(KEY_B);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/content")),
        (Method::DELETE, path.clone()),
    ] {
        Answer::of(foreign(method, &path)).await.error(404);
    }
    let list = Answer::of(foreign(Method::GET, "/v1/files")).await.json();
    assert_eq!(list["data"], serde_json::json!([]));
    let after = format!("/v1/files?after={}", made["id"].as_str().unwrap());
    Answer::of(foreign(Method::GET, &after)).await.error(400);
    assert_eq!(app.get(&format!("{path}/content")).await.text, "secret");
    app.stop().await;
}
