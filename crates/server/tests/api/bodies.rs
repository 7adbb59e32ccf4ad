//! Bodies: their size, type, form and time.

use reqwest::Method;
use tokio::io::AsyncWriteExt as _;

use crate::app::{Answer, KEY_A, TestApp, rest};

const NOT_JSON: &str = "We could not parse the JSON body of your request.";

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let app = TestApp::start_with("[limits]\nbody_bytes = 1000\n").await;
    let head = format!(
        "POST /v1/assistants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY_A}\r\n\
         content-length: 1001\r\n\r\n"
    );
    // Not one byte of the body is sent.
    let answer = app.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("the limit is 1000 bytes"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
    let app = TestApp::start_with("[limits]\nbody_bytes = 1000\n").await;
    let chunks = (0..4).map(|_| Ok::<_, std::io::Error>(vec![b' '; 400]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let request = app.request(Method::POST, "/v1/assistants").body(body);
    let error = Answer::of(request).await.error(413);
    error.expect(
        "The body of your request is too large: the limit is 1000 bytes.",
        None,
    );
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = TestApp::start_with("[http]\nbody_timeout_s = 1\n").await;
    let mut stream = app.connect().await;
    let head = format!(
        "POST /v1/assistants HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY_A}\r\n\
         content-length: 100\r\n\r\n{{\"model\":"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive in time"), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn only_json_is_taken() {
    let app = TestApp::start().await;
    let body = r#"{"model":"echo"}"#;
    let typed = |kind: &str| {
        let request = app.request(Method::POST, "/v1/assistants").body(body);
        request.header("content-type", kind)
    };
    for kind in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/x+json",
    ] {
        assert_eq!(Answer::of(typed(kind)).await.status, 200, "{kind}");
    }
    let untyped = app.request(Method::POST, "/v1/assistants").body(body);
    assert_eq!(Answer::of(untyped).await.status, 200);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "x+jsonx"] {
        let error = Answer::of(typed(kind)).await.error(415);
        let told = format!("Unsupported content type: '{kind}'. This API method only accepts");
        error.expect(&told, Some("unsupported_content_type"));
    }
    // Without a body there is nothing that could be of the wrong type.
    let empty = app
        .request(Method::POST, "/v1/threads")
        .header("content-type", "text/plain");
    assert_eq!(Answer::of(empty).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_json_is_told_so() {
    let app = TestApp::start().await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = format!(r#"{{"metadata":{deep}}}"#);
    for body in [
        b"{".as_slice(),
        b"\xff\xfe",
        b"{\"model\":\"\xc3\x28\"}",
        b"{'model':1}",
        b"{\"a\":NaN}",
        b"{} {}",
        deep.as_bytes(),
    ] {
        let request = app
            .request(Method::POST, "/v1/assistants")
            .body(body.to_vec());
        Answer::of(request).await.error(400).expect(NOT_JSON, None);
    }
    app.stop().await;
}
