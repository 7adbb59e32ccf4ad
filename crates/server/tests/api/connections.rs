//! Connections: heads that are slow, large or many, and an orderly end.

use std::collections::HashMap;

use loomgate_testkit::upstream::{Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    app::{Answer, KEY_A, TestApp, client, rest},
    gateway::stage::Stage,
};

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
    app.stop().await;
}

/// An answer on the wire: its status, and its parts.
fn parsed(answer: &str) -> (&str, HashMap<&str, &str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect(answer);
    let (status, headers) = head.split_once("\r\n").expect(head);
    let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
    (status, headers.collect(), body)
}

#[tokio::test]
async fn heads_that_are_not_even_read_are_answered_like_other_mistakes() {
    let app = TestApp::start().await;
    let with =
        |line: &str, more: &str| format!("{line}\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    let large = |kilobytes: usize| format!("x-large: {}\r\n", "x".repeat(kilobytes * 1024));
    let (get, too_large) = (
        "GET /health HTTP/1.1",
        "The head of your request is too large",
    );
    for (head, status, told) in [
        (
            with(get, &large(70)),
            "431 Request Header Fields Too Large",
            too_large,
        ),
        (
            with(get, &large(2000)),
            "431 Request Header Fields Too Large",
            too_large,
        ),
        (
            with(&get.replace("health", &"x".repeat(70_000)), ""),
            "431 Request Header Fields Too Large",
            too_large,
        ),
        (
            with(get, &"x-many: x\r\n".repeat(200)),
            "431 Request Header Fields Too Large",
            "Your request has too many headers: the limit is 64.",
        ),
        (
            with("GET /health HTTP/7.1", ""),
            "400 Bad Request",
            "Your request could not be read",
        ),
        (
            with(get, "no colon\r\n"),
            "400 Bad Request",
            "Your request could not be read",
        ),
    ] {
        for is_first in [true, false] {
            let mut stream = app.connect().await;
            if !is_first {
                let plain = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
                stream.write_all(plain).await.unwrap();
                let mut start = [0; 15];
                stream.read_exact(&mut start).await.unwrap();
                assert_eq!(&start, b"HTTP/1.1 200 OK");
            }
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            let answer = &answer[answer.rfind("HTTP/1.1 ").expect(&answer)..];
            let (line, headers, body) = parsed(answer);
            assert_eq!(line, format!("HTTP/1.1 {status}"), "{told}");
            let error: Value = serde_json::from_str(body).expect(body);
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(told), "{message}");
            assert_eq!(error["error"]["type"], "invalid_request_error");
            assert_eq!(headers["content-length"], body.len().to_string());
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(headers["connection"], "close");
            assert_eq!(headers["x-portkey-provider"], "loomgate");
            assert_eq!(headers["x-portkey-last-used-option-index"], "config");
            assert_eq!(headers["x-portkey-retry-attempt-count"], "0");
            assert_eq!(headers["x-portkey-cache-status"], "DISABLED");
            let trace = headers["x-portkey-trace-id"];
            assert_eq!(headers["x-request-id"], format!("req_{trace}"));
        }
    }
    let metrics = app.get("/metrics").await.text;
    let refused = metrics.lines().filter(|line| {
        line.starts_with("loomgate_http_requests_total") && line.contains("status=\"431\"")
    });
    let counts = refused.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap());
    assert_eq!(counts.sum::<u32>(), 8, "{metrics}");
    app.stop().await;
}

#[tokio::test]
async fn an_answer_that_looks_like_a_refusal_is_left_alone() {
    let stage = Stage::start().await;
    let first = "a".repeat(70_000);
    let last = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
    let length = (first.len() + last.len()).to_string();
    let gate = Gate::new();
    let reply = Reply::chunked(&[("content-length", &length)], &[&first, last]);
    stage.providers[0].push(reply.held_at_the_end(&gate));
    let call = stage.request(Method::GET, "/v1/files/file-1/content");
    let call = call.header("x-portkey-virtual-key", "up-one");
    let mut answer = call.send().await.unwrap();
    let mut text = String::new();
    while let Some(piece) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        if text.len() == first.len() {
            // All that came before has left: the last piece goes by itself.
            gate.release(1);
        }
    }
    assert!(text == first + last, "{} bytes", text.len());
    stage.stop().await;
}

#[tokio::test]
async fn large_heads_over_http2_are_told_too() {
    let app = TestApp::start().await;
    let client = client(reqwest::Client::builder().http2_prior_knowledge());
    let url = format!("http://{}/health", app.address);
    let call = client.get(url).header("x-large", "x".repeat(100 * 1024));
    let error = Answer::of(call).await.error(431);
    assert!(
        error
            .message
            .starts_with("The head of your request is too large")
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
