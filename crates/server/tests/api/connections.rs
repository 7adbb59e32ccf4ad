//! Connections: heads that are slow, large or many, and an orderly end.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{Answer, KEY_A, TestApp, client, rest};

#[tokio::test]
async fn heads_that_do_not_come_are_not_waited_for() {
    let app = TestApp::start_with("[http]\nheader_timeout_s = 1\n").await;
    for start in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET /health HTTP/1.1\r\nhost: x\r\nx-a",
    ] {
        let mut stream = app.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        // Ends only because the server closes the connection.
        let answer = rest(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{start:?}: {answer}");
    }
    // A connection in use is not touched by that.
    assert_eq!(app.get("/health").await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let app = TestApp::start().await;
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-large: {}\r\n\r\n",
        "x".repeat(40 * 1024)
    );
    let answer = app.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let told = "The head of your request is too large: the limit is 32768 bytes.";
    assert!(answer.contains(told), "{answer}");
    // Far above the limit nothing is read any more.
    let head = head.replace("xxxx", "xxxxxxxxxxxxxxxx");
    let answer = app.raw(head.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    app.stop().await;
}

#[tokio::test]
async fn sixty_four_headers_are_taken_and_no_more() {
    let app = TestApp::start().await;
    let answer = async |headers: usize| {
        let mut request = app.bare(Method::GET, "/health");
        // `host` and `accept` come with every request.
        for number in 0..headers - 2 {
            request = request.header(format!("x-header-{number}"), "x");
        }
        Answer::of(request).await
    };
    assert_eq!(answer(64).await.status, 200);
    let error = answer(65).await.error(431);
    error.expect("Your request has too many headers: the limit is 64.", None);
    app.stop().await;
}

#[tokio::test]
async fn no_request_hides_in_the_body_of_another() {
    let app = TestApp::start().await;
    // What a proxy that goes by the length takes for the body of one request, whose end here is the
    // empty chunk: the rest must not be taken for another one.
    for lengths in [
        "content-length: 999\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 999",
    ] {
        let request = format!(
            "POST /v1/threads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY_A}\r\n{lengths}\r\n\r\n\
             0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        let answer = app.raw(request.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(!answer.contains("\"status\":\"ok\""), "{answer}");
    }
    for lengths in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "transfer-encoding: chunked, identity",
        "x-folded: a\r\n b",
    ] {
        let request = format!(
            "POST /v1/threads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY_A}\r\n{lengths}\r\n\r\n{{}}  "
        );
        let answer = app.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{lengths}: {answer}");
    }
    app.stop().await;
}

#[tokio::test]
async fn http2_without_tls_is_spoken() {
    let app = TestApp::start().await;
    let client = client(reqwest::Client::builder().http2_prior_knowledge());
    let url = format!("http://{}/health", app.address);
    let response = client.get(url).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
    app.stop().await;
}

#[tokio::test]
async fn a_stop_lets_go_of_idle_connections_and_ends_streams() {
    let app = TestApp::start_with("[http]\ndrain_s = 1\n").await;
    let mut idle = app.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 15];
    idle.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200 OK");

    let assistant = app
        .post("/v1/assistants", &json!({"model": "echo"}))
        .await
        .json();
    let run = json!({
        "assistant_id": assistant["id"],
        "stream": true,
        "thread": {"messages": [{"role": "user", "content": "/echo pace 600000\nslow words"}]},
    });
    let stream = app.request(Method::POST, "/v1/threads/runs").json(&run);
    let mut stream = stream.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());

    let address = app.address;
    app.stop().await;
    rest(&mut idle).await;
    while let Ok(Some(_)) = stream.chunk().await {}
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
