//! Relayed calls, byte for byte: what providers receive is what callers sent, and the other way
//! round.

use bytes::Bytes;
use loomgate_testkit::upstream::Reply;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::stage::Stage;
use crate::app::{Answer, KEY_B, rest};

const RUN: &str = "/v1/threads/thread_abc123/runs/run_abc123";

/// A request by the first provider's account that has everything upstream.
fn upstream(stage: &Stage, method: Method, path: &str) -> RequestBuilder {
    let request = stage.request(method, path);
    request.header("x-portkey-virtual-key", "up-one")
}

#[tokio::test]
async fn modify_run_is_untouched_in_both_directions() {
    let stage = Stage::start().await;
    let body = "{\n  \"metadata\" : {\"user_id\": \"\\u00fcser\", \"b\":\"1\"}\n}\n";
    let answer = "{\"id\":\"run_abc123\",  \"object\":\"thread.run\",\"metadata\":{\"user_id\":\"\\u00fcser\"}}\n";
    for (status, answer) in [
        (200, answer),
        (400, "{\"error\":{\"message\":\"no such field\"}}"),
        (404, "{ \"error\" : null }"),
        (500, "<html>busy</html>"),
        (529, ""),
    ] {
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("x-request-id", "req_upstream"),
            ("openai-version", "2099-01-01"),
            ("openai-organization", "org-1"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-twice", "a"),
            ("x-twice", "b"),
        ];
        stage.providers[0].push(Reply::exact(status, &headers, answer.to_owned()));
        let call = upstream(&stage, Method::POST, RUN)
            .header("content-type", "application/json")
            .header("openai-beta", "assistants=v2")
            .body(body);
        let got = Answer::of(call).await;
        assert_eq!((got.status, &*got.text), (status, answer));
        for (name, value) in &headers[..5] {
            assert_eq!(got.header(name), *value, "{status}");
        }
        let twice: Vec<_> = got.headers.get_all("x-twice").iter().collect();
        assert_eq!(twice, ["a", "b"]);
        assert_eq!(got.header("content-length"), answer.len().to_string());
        let request = stage.received();
        assert_eq!((&*request.method, &*request.path), ("POST", RUN));
        assert_eq!(request.bytes, body);
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("openai-beta"), Some("assistants=v2"));
    }
    stage.stop().await;
}

#[tokio::test]
async fn paths_and_queries_are_as_the_caller_wrote_them() {
    let stage = Stage::start().await;
    for target in [
        "/v1/threads/thread%2Fabc/messages?limit=2&after=msg_%20x&include[]=a%5B%5D",
        "/v1/threads/thr%C3%A9ad/runs?",
        "/v1/files/file-1/content",
        "/v1/batches?after=b;c&&=",
        "/v1/fine_tuning/jobs/ftjob-1/events",
        "/v1/models/org/model:free",
        "/v1/vector_stores//files",
        "/v1/things/{id}/\"quoted\"|x",
    ] {
        stage.providers[0].push(Reply::exact(
            200,
            &[("content-type", "application/json")],
            "{}",
        ));
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nx-portkey-api-key: {KEY_B}\r\n\
             x-portkey-virtual-key: up-one\r\n\r\n"
        );
        let answer = stage.app.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        assert_eq!(stage.received().path, target);
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_path_can_not_leave_the_base_address() {
    let stage = Stage::start().await;
    for target in [
        "/v1/../admin",
        "/v1/files/../../admin",
        "/v1/files/%2e%2e/%2E./admin",
        "/v1/files/..",
        "/v1/files/.%2e?x=1",
        "/v1/files\\..\\..\\admin",
        "/v1/./models",
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nx-portkey-api-key: {KEY_B}\r\n\
             x-portkey-virtual-key: up-one\r\n\r\n"
        );
        let answer = stage.app.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn every_method_and_unknown_paths_are_relayed() {
    let stage = Stage::start().await;
    for (method, path) in [
        (Method::GET, "/v1/batches"),
        (Method::POST, "/v1/fine_tuning/jobs"),
        (Method::DELETE, "/v1/threads/thread_1"),
        (Method::DELETE, "/v1/files/file-1"),
        (Method::PUT, "/v1/things/1"),
        (Method::PATCH, "/v1/things/1"),
        (Method::GET, "/v1/assistants?limit=1"),
        (Method::GET, "/v1/threads/t/runs/r/steps/s"),
    ] {
        stage.providers[0].push(Reply::exact(
            200,
            &[("content-type", "application/json")],
            "{\"a\":1}",
        ));
        let answer = Answer::of(upstream(&stage, method.clone(), path)).await;
        assert_eq!(
            (answer.status, &*answer.text),
            (200, "{\"a\":1}"),
            "{method} {path}"
        );
        let request = stage.received();
        assert_eq!((&*request.method, &*request.path), (method.as_str(), path));
        assert_eq!(request.bytes, "");
        assert_eq!(request.header("content-type"), None);
    }
    stage.stop().await;
}

#[tokio::test]
async fn headers_are_bytes_and_not_texts() {
    let stage = Stage::start().await;
    let name = "caf\u{e9} \u{7684}";
    stage.providers[0].push(Reply::status(200, json!({}), &[("x-name", name)]));
    let request = upstream(&stage, Method::GET, "/v1/batches").header("x-name", name);
    let answer = Answer::of(request).await;
    assert_eq!(answer.headers["x-name"].as_bytes(), name.as_bytes());
    let received = stage.received();
    assert_eq!(received.headers["x-name"].as_bytes(), name.as_bytes());
    stage.stop().await;
}

#[tokio::test]
async fn trace_shows_nobody_what_goes_out() {
    let stage = Stage::start().await;
    stage.providers[0].always(Reply::status(200, json!({}), &[]));
    for path in [
        "/v1/batches",
        "/v1/threads/thread_1",
        "/v1/chat/completions",
    ] {
        let request = stage
            .request(Method::TRACE, path)
            .header("x-portkey-virtual-key", "up-one");
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.header("allow").contains("POST"), "{path}");
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    let stage = Stage::start().await;
    for status in [201, 202, 204, 304] {
        stage.providers[0].push(Reply::exact(
            status,
            &[("x-kept", "1"), ("etag", "\"a\"")],
            "",
        ));
        let answer = Answer::of(upstream(&stage, Method::DELETE, "/v1/things/1")).await;
        assert_eq!((answer.status, &*answer.text), (status, ""));
        assert_eq!(
            (answer.header("x-kept"), answer.header("etag")),
            ("1", "\"a\"")
        );
        assert_eq!(answer.header("transfer-encoding"), "", "{status}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn head_is_relayed_with_its_headers() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::exact(
        200,
        &[("content-type", "application/json")],
        "{\"a\":1}",
    ));
    let answer = Answer::of(upstream(&stage, Method::HEAD, "/v1/models")).await;
    assert_eq!((answer.status, &*answer.text), (200, ""));
    assert_eq!(answer.header("content-length"), "7");
    assert_eq!(stage.received().method, "HEAD");
    stage.stop().await;
}

#[tokio::test]
async fn an_empty_post_stays_empty() {
    // What the Python SDK sends for `runs.cancel`.
    let stage = Stage::start().await;
    let path = format!("{RUN}/cancel");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nx-portkey-api-key: {KEY_B}\r\n\
         x-portkey-virtual-key: up-one\r\ncontent-type: application/json\r\n"
    );
    for length in ["content-length: 0\r\n", ""] {
        stage.providers[0].push(Reply::status(200, json!({"id": "run_1"}), &[]));
        let answer = stage
            .app
            .raw(format!("{head}{length}\r\n").as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request = stage.received();
        assert_eq!((&*request.method, &*request.path), ("POST", &*path));
        assert_eq!(request.bytes, "");
        assert_eq!(request.header("content-length"), Some("0"));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    stage.stop().await;
}

/// A form with a file of so many bytes.
fn form(bytes: usize) -> Vec<u8> {
    let mut form = b"--XbOuNdArYx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n\
        assistants\r\n--XbOuNdArYx\r\nContent-Disposition: form-data; name=\"file\"; \
        filename=\"a b.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    form.extend((0..bytes).map(|index| u8::try_from(index % 251).unwrap()));
    form.extend_from_slice(b"\r\n--XbOuNdArYx--\r\n");
    form
}

#[tokio::test]
async fn forms_keep_their_bytes_and_their_boundary() {
    let stage = Stage::start().await;
    let calls = [
        ("/v1/files", 10),
        ("/v1/files", 3 * 1024 * 1024),
        ("/v1/images/edits", 20_000),
        ("/v1/images/variations", 20_000),
        ("/v1/audio/transcriptions", 20_000),
        ("/v1/audio/translations", 20_000),
    ];
    for (path, bytes) in calls {
        stage.providers[0].push(Reply::status(200, json!({"id": "file-1"}), &[]));
        let form = Bytes::from(form(bytes));
        let kind = "multipart/form-data; boundary=XbOuNdArYx";
        let call = upstream(&stage, Method::POST, path)
            .header("content-type", kind)
            .body(form.clone());
        let answer = Answer::of(call).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let request = stage.received();
        assert_eq!(request.path, path);
        assert_eq!(request.header("content-type"), Some(kind));
        let length = form.len().to_string();
        assert_eq!(request.header("content-length"), Some(&*length), "{path}");
        assert!(
            request.bytes == form,
            "{path}: the form of {bytes} has changed"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_form_without_a_length_streams_through() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::status(200, json!({"id": "file-1"}), &[]));
    let form = form(200_000);
    let pieces: Vec<_> = form.chunks(7_000).map(<[u8]>::to_vec).collect();
    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let call = upstream(&stage, Method::POST, "/v1/files")
        .header("content-type", "multipart/form-data; boundary=XbOuNdArYx")
        .body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(Answer::of(call).await.status, 200);
    let request = stage.received();
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    assert!(request.bytes == form, "the form has changed");
    stage.stop().await;
}

#[tokio::test]
async fn an_upload_goes_out_once_and_its_answer_counts() {
    let options = "[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{three}'\n\
                   assistants = 'upstream'\n\
                   rate_limits = [{ type = 'requests', unit = 'rph', value = 1 }]\n";
    let stage = Stage::start_with(options).await;
    let form = Bytes::from(form(2 * 1024 * 1024));
    let upload = |first: &str| {
        let first = json!({"virtual_key": first, "retry": {"attempts": 2}});
        let targets = json!([first, {"virtual_key": "up-two"}]);
        let config = json!({"strategy": {"mode": "fallback"}, "targets": targets});
        stage
            .request(Method::POST, "/v1/files")
            .header("x-portkey-config", config.to_string())
            .header("content-type", "multipart/form-data; boundary=XbOuNdArYx")
            .body(form.clone())
    };
    stage.providers[0].push(Reply::status(503, json!({"busy": true}), &[]));
    let answer = Answer::of(upload("up-one")).await;
    assert_eq!((answer.status, answer.json()), (503, json!({"busy": true})));
    assert_eq!(stage.counts(), [1, 0, 0]);

    // A target that refuses before anything went out leaves the upload to the next.
    stage.providers[2].push(Reply::status(200, json!({"id": "file-1"}), &[]));
    stage.providers[1].push(Reply::status(200, json!({"id": "file-2"}), &[]));
    assert_eq!(Answer::of(upload("tight")).await.json()["id"], "file-1");
    assert_eq!(Answer::of(upload("tight")).await.json()["id"], "file-2");
    assert!(
        stage.providers[1].requests()[0].bytes == form,
        "the form has changed"
    );
    stage.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_413_announced_or_not() {
    let stage = Stage::start_with("[limits]\nupload_bytes = 2000000\n").await;
    let form = form(3_000_000);
    let upload = || {
        let request = upstream(&stage, Method::POST, "/v1/files");
        request.header("content-type", "multipart/form-data; boundary=XbOuNdArYx")
    };
    let announced = Answer::of(upload().body(form.clone())).await;
    assert_eq!(announced.status, 413, "{}", announced.text);
    assert_eq!(stage.counts(), [0, 0, 0]);
    let pieces: Vec<_> = form.chunks(50_000).map(<[u8]>::to_vec).collect();
    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let chunked = upload().body(reqwest::Body::wrap_stream(pieces));
    // The rest of the body is not read; a client that still writes may see its connection end.
    if let Ok(answer) = chunked.send().await {
        assert_eq!(answer.status(), 413);
    }
    assert!(
        stage.providers[0]
            .requests()
            .iter()
            .all(|request| request.bytes.len() < 2_000_001)
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_config_may_say_that_assistants_live_upstream() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::status(200, json!({"id": "thread_theirs"}), &[]));
    let with = |config: serde_json::Value| {
        let request = stage.post("/v1/threads", &json!({}));
        request.header("x-portkey-config", config.to_string())
    };
    let upstream = with(json!({"virtual_key": "one", "assistants": "upstream"}));
    assert_eq!(Answer::of(upstream).await.json()["id"], "thread_theirs");
    let native = Answer::of(with(
        json!({"virtual_key": "up-one", "assistants": "native"}),
    ))
    .await;
    assert_eq!(native.status, 200, "{}", native.text);
    assert_ne!(native.json()["id"], "thread_theirs");
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn audio_and_other_bytes_come_back_as_they_are() {
    let stage = Stage::start().await;
    let bytes: Vec<u8> = (0..300_000_u32)
        .map(|index| u8::try_from(index % 256).unwrap())
        .collect();
    stage.providers[0].push(Reply::exact(
        200,
        &[("content-type", "audio/mpeg")],
        bytes.clone(),
    ));
    let body = json!({"model": "tts-1", "input": "x", "voice": "alloy"});
    let call = stage
        .post("/v1/audio/speech", &body)
        .header("x-portkey-virtual-key", "one");
    let answer = call.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "audio/mpeg");
    assert_eq!(answer.headers()["content-length"], "300000");
    assert!(
        answer.bytes().await.unwrap() == bytes,
        "the bytes have changed"
    );
    stage.stop().await;
}

#[tokio::test]
async fn redirects_are_handed_back_and_not_followed() {
    let stage = Stage::start().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/elsewhere", stage.providers[1].url());
        stage.providers[0].push(Reply::exact(status, &[("location", &location)], "moved"));
        let answer = Answer::of(upstream(&stage, Method::POST, RUN).json(&json!({}))).await;
        assert_eq!((answer.status, &*answer.text), (status, "moved"));
        assert_eq!(answer.header("location"), location);
    }
    assert_eq!(stage.counts(), [5, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_a_short_200() {
    let stage = Stage::start().await;
    let json_type = ("content-type", "application/json");
    // With its length announced, and small: read first, so that the caller is told properly.
    for headers in [&[json_type, ("content-length", "100")][..], &[json_type]] {
        stage.providers[0].push(Reply::chunked(headers, &["{\"id\":", "\"ru"]).broken());
        let answer = Answer::of(upstream(&stage, Method::POST, RUN).json(&json!({}))).await;
        assert_eq!(answer.status, 502, "{}", answer.text);
        assert_eq!(answer.json()["error"]["code"], "upstream_cut");
    }
    // A chunked answer to a GET streams through: the connection breaks as the provider's did.
    for path in ["/v1/files/file-1/content", "/v1/batches"] {
        stage.providers[0].push(Reply::chunked(&[json_type], &["{\"id\":", "\"ru"]).broken());
        let answer = upstream(&stage, Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.is_err(), "{path}");
    }
    // Large, with its length announced.
    let large = "x".repeat(100_000);
    let headers = [json_type, ("content-length", "200000")];
    stage.providers[0].push(Reply::chunked(&headers, &[&large]).broken());
    let answer = upstream(&stage, Method::GET, "/v1/files/file-1/content")
        .send()
        .await
        .unwrap();
    assert!(answer.bytes().await.is_err());
    stage.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_providers_request_with_it() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::hang());
    let mut connection = stage.app.connect().await;
    let request = format!(
        "GET /v1/batches HTTP/1.1\r\nhost: g\r\nx-portkey-api-key: {KEY_B}\r\n\
         x-portkey-virtual-key: up-one\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes())
        .await
        .unwrap();
    stage.providers[0].next_request().await;
    drop(connection);
    stage.providers[0].dropped().await;
    stage.stop().await;
}

#[tokio::test]
async fn calls_that_want_to_change_the_protocol_are_plain_calls() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::exact(200, &[], "{}"));
    let request = format!(
        "GET /v1/realtime HTTP/1.1\r\nhost: g\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\
         x-portkey-api-key: {KEY_B}\r\nx-portkey-virtual-key: up-one\r\n\r\n"
    );
    let mut stream = stage.app.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stage.received().header("upgrade"), None);
    stage.stop().await;
}
