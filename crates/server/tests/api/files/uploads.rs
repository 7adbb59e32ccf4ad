//! Uploads in parts.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{objects, send, sweep_all, with_form};
use crate::app::{Answer, KEY_B, TestApp};

async fn begin(app: &TestApp, bytes: usize) -> String {
    let body = json!({
        "filename": "all.jsonl", "purpose": "fine-tune", "bytes": bytes, "mime_type": "text/jsonl",
    });
    let made = app.post("/v1/uploads", &body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    let keys: Vec<_> = made.as_object().unwrap().keys().collect();
    let expected = "id object bytes created_at filename purpose status expires_at";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(made["status"], "pending");
    let lifetime = made["expires_at"].as_i64().unwrap() - made["created_at"].as_i64().unwrap();
    assert_eq!(lifetime, 3600);
    format!("/v1/uploads/{}", made["id"].as_str().unwrap())
}

async fn part(app: &TestApp, upload: &str, bytes: &[u8]) -> String {
    let parts = [("data", Some("data"), bytes)];
    let answer = send(app, &format!("{upload}/parts"), &parts).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let part = answer.json();
    assert_eq!(part["object"], "upload.part");
    assert_eq!(
        format!("/v1/uploads/{}", part["upload_id"].as_str().unwrap()),
        upload
    );
    part["id"].as_str().unwrap().to_owned()
}

async fn complete(app: &TestApp, upload: &str, body: &Value) -> Answer {
    app.post(&format!("{upload}/complete"), body).await
}

#[tokio::test]
async fn parts_become_a_file() {
    let app = TestApp::start().await;
    let upload = begin(&app, 11).await;
    // At the same time, and not in their order.
    let (world, hello) = tokio::join!(
        part(&app, &upload, b"World"),
        part(&app, &upload, b"Hello ")
    );
    let spare = part(&app, &upload, b"spare").await;
    // md5 of "Hello World"
    let md5 = "B10A8DB164E0754105B7A99BE72E3FE5";
    let body = json!({"part_ids": [hello, world], "md5": md5});
    let completed = complete(&app, &upload, &body).await;
    assert_eq!(completed.status, 200, "{}", completed.text);
    let object = completed.json();
    assert_eq!(object["status"], "completed");
    let file = &object["file"];
    assert_eq!(file["created_at"], object["created_at"]);
    assert_eq!(
        (&file["bytes"], &file["filename"]),
        (&json!(11), &json!("all.jsonl"))
    );
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    assert_eq!(&app.get(&path).await.json(), file);
    assert_eq!(
        app.get(&format!("{path}/content")).await.text,
        "Hello World"
    );
    let range = app
        .request(Method::GET, &format!("{path}/content"))
        .header("range", "bytes=4-7");
    assert_eq!(Answer::of(range).await.text, "o Wo");

    // The same again is the same; anything else is not.
    assert_eq!(complete(&app, &upload, &body).await.json(), object);
    let other = json!({"part_ids": [hello, spare]});
    let error = complete(&app, &upload, &other).await.error(400);
    assert_eq!(
        error.message,
        "The upload is not pending: its status is 'completed'."
    );
    let error = send(
        &app,
        &format!("{upload}/parts"),
        &[("data", Some("data"), b"x")],
    )
    .await;
    error.error(400);
    app.post(&format!("{upload}/cancel"), &json!({}))
        .await
        .error(400);
    sweep_all(&app).await;
    assert_eq!(
        app.get(&format!("{path}/content")).await.text,
        "Hello World"
    );
    let expected = if app.folder().join("data/files").exists() {
        2
    } else {
        0
    };
    assert_eq!(objects(&app), expected, "the spare part is gone");
    app.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused() {
    let app = TestApp::start().await;
    let upload = begin(&app, 4).await;
    let (one, two) = (
        part(&app, &upload, b"ab").await,
        part(&app, &upload, b"cd").await,
    );
    for (body, message, param) in [
        (
            json!({}),
            "Missing required parameter: 'part_ids'.",
            "part_ids",
        ),
        (
            json!({"part_ids": [one]}),
            "The parts have 2 bytes together, but",
            "part_ids",
        ),
        (
            json!({"part_ids": []}),
            "The parts have 0 bytes together, but",
            "part_ids",
        ),
        (
            json!({"part_ids": [one, "part_x"]}),
            "Part IDs ['part_x'] were not found",
            "part_ids",
        ),
        (
            json!({"part_ids": [one, one]}),
            "Invalid 'part_ids': the part",
            "part_ids",
        ),
        (
            json!({"part_ids": [one, two], "md5": "00"}),
            "The MD5 of the parts is 'e2fc714c4727ee93",
            "md5",
        ),
    ] {
        let error = complete(&app, &upload, &body).await.error(400);
        assert!(error.message.starts_with(message), "{error:?}");
        assert_eq!(error.param.as_deref(), Some(param));
    }
    let over = send(
        &app,
        &format!("{upload}/parts"),
        &[("data", Some("data"), b"abcde")],
    )
    .await;
    over.error(413);
    for (parts, message) in [
        (vec![], "'data' is a required property"),
        (
            vec![("file", Some("a"), &b"x"[..])],
            "Additional properties are not allowed ('file'",
        ),
        (
            vec![("data", Some("a"), b"x"), ("data", Some("a"), b"x")],
            "'data' was sent more than once",
        ),
    ] {
        let error = send(&app, &format!("{upload}/parts"), &parts)
            .await
            .error(400);
        assert!(error.message.starts_with(message), "{error:?}");
    }
    let missing = "/v1/uploads/upload_0";
    for answer in [
        complete(&app, missing, &json!({"part_ids": []})).await,
        app.post(&format!("{missing}/cancel"), &json!({})).await,
        send(
            &app,
            &format!("{missing}/parts"),
            &[("data", Some("data"), b"x")],
        )
        .await,
    ] {
        answer
            .error(404)
            .expect("No upload found with id 'upload_0'.", None);
    }
    let answer = complete(&app, &upload, &json!({"part_ids": [two, one]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    app.stop().await;
}

#[tokio::test]
async fn an_upload_says_what_it_will_be() {
    let app = TestApp::start_with("[limits]\nupload_total_bytes = 1000\n").await;
    for (field, value, code) in [
        ("purpose", json!("user_data"), "invalid_value"),
        ("bytes", json!(0), "integer_below_min_value"),
        ("bytes", json!(1001), "integer_above_max_value"),
        ("bytes", json!("4"), "invalid_type"),
        ("filename", json!(""), "empty_string"),
        ("colour", json!("red"), "unknown_parameter"),
        (
            "expires_after",
            json!({"anchor": "created_at", "seconds": 1}),
            "integer_below_min_value",
        ),
    ] {
        let mut body = json!({
            "filename": "a", "purpose": "batch", "bytes": 4, "mime_type": "text/plain",
        });
        body[field] = value;
        let error = app.post("/v1/uploads", &body).await.error(400);
        assert_eq!(error.code.as_deref(), Some(code), "{error:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn parts_that_nobody_needs_do_not_fill_the_disk() {
    let app = TestApp::start_with("[limits]\nupload_total_bytes = 6\n").await;
    let upload = begin(&app, 4).await;
    let (one, two) = (
        part(&app, &upload, b"abcd").await,
        part(&app, &upload, b"abcd").await,
    );
    let parts = format!("{upload}/parts");
    let refused = send(&app, &parts, &[("data", Some("data"), b"abc")]).await;
    let error = refused.error(400);
    assert!(error.message.contains("more than 10 bytes"), "{error:?}");
    assert_eq!(error.param.as_deref(), Some("data"));
    // What fits is still taken, and the upload is not spoiled.
    part(&app, &upload, b"ab").await;
    let answer = complete(&app, &upload, &json!({"part_ids": [one]})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_ne!(one, two);
    app.stop().await;
}

#[tokio::test]
async fn a_cancelled_or_expired_upload_takes_nothing_more() {
    let app = TestApp::start().await;
    let cancelled = begin(&app, 2).await;
    let one = part(&app, &cancelled, b"ab").await;
    let answer = app.post(&format!("{cancelled}/cancel"), &json!({})).await;
    assert_eq!(answer.json()["status"], "cancelled");
    let expired = begin(&app, 2).await;
    let two = part(&app, &expired, b"cd").await;
    app.pass(Duration::from_hours(1));
    for (upload, part, status) in [(&cancelled, one, "cancelled"), (&expired, two, "expired")] {
        let told = format!("The upload is not pending: its status is '{status}'.");
        for answer in [
            complete(&app, upload, &json!({"part_ids": [part]})).await,
            app.post(&format!("{upload}/cancel"), &json!({})).await,
            send(
                &app,
                &format!("{upload}/parts"),
                &[("data", Some("data"), b"x")],
            )
            .await,
        ] {
            answer.error(400).expect(&told, None);
        }
    }
    sweep_all(&app).await;
    assert_eq!(objects(&app), 0);
    app.stop().await;
}

#[tokio::test]
async fn another_workspace_can_do_nothing_with_an_upload() {
    let app = TestApp::start().await;
    let upload = begin(&app, 2).await;
    let one = part(&app, &upload, b"ab").await;
    let foreign = |path: &str| app.bare(Method::POST, path).bearer_auth(KEY_B);
    let complete_path = format!("{upload}/complete");
    let body = json!({"part_ids": [one]});
    for request in [
        foreign(&complete_path).json(&body),
        foreign(&format!("{upload}/cancel")),
        with_form(
            foreign(&format!("{upload}/parts")),
            &[("data", Some("data"), b"x")],
        ),
    ] {
        Answer::of(request).await.error(404);
    }
    // Nor with a part of it.
    let own = json!({
        "filename": "a", "purpose": "batch", "bytes": 2, "mime_type": "text/plain",
    });
    let own = Answer::of(foreign("/v1/uploads").json(&own)).await.json();
    let path = format!("/v1/uploads/{}/complete", own["id"].as_str().unwrap());
    let error = Answer::of(foreign(&path).json(&body)).await.error(400);
    assert!(error.message.starts_with("Part IDs ["), "{error:?}");
    assert_eq!(complete(&app, &upload, &body).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_completion_under_a_key_is_answered_again() {
    let app = TestApp::start().await;
    let upload = begin(&app, 2).await;
    let keyed = async |path: &str, parts: &[super::FormPart<'_>]| {
        let request = app
            .request(Method::POST, path)
            .header("idempotency-key", "part");
        Answer::of(with_form(request, parts)).await.json()
    };
    let path = format!("{upload}/parts");
    let first = keyed(&path, &[("data", Some("data"), b"ab")]).await;
    assert_eq!(keyed(&path, &[("data", Some("blob"), b"ab")]).await, first);
    let body = json!({"part_ids": [first["id"]]});
    let complete = async || {
        let request = app
            .request(Method::POST, &format!("{upload}/complete"))
            .json(&body);
        Answer::of(request.header("idempotency-key", "k")).await
    };
    let first = complete().await;
    assert_eq!(first.status, 200, "{}", first.text);
    let again = complete().await;
    assert_eq!(
        (&again.text, again.header("idempotent-replayed")),
        (&first.text, "true")
    );
    app.stop().await;
}
