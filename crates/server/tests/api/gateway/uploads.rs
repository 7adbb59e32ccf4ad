//! Bodies that stream through: how long they may take, and what is told when they do not arrive.

use std::time::Duration;

use loomgate_testkit::upstream::Reply;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, interval},
};

use super::{logs::records, stage::Stage};
use crate::app::{KEY_B, rest};

/// A provider that has to answer within a second.
const HASTY: &str = "[virtual_keys.hasty]\nprovider = 'openai'\nbase_url = '{one}'\n\
                     assistants = 'upstream'\nfirst_byte_s = 1\n";

/// An upload in pieces, begun: its head is sent.
async fn upload(stage: &Stage, slug: &str, trace: &str) -> TcpStream {
    let mut stream = stage.app.connect().await;
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: g\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         content-type: multipart/form-data; boundary=x\r\nx-portkey-api-key: {KEY_B}\r\n\
         x-portkey-virtual-key: {slug}\r\nx-portkey-trace-id: {trace}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn send(stream: &mut TcpStream, piece: &[u8]) {
    let size = format!("{:x}\r\n", piece.len());
    let chunk = [size.as_bytes(), piece, b"\r\n"].concat();
    stream.write_all(&chunk).await.unwrap();
}

#[tokio::test]
async fn an_upload_may_take_longer_than_its_answer() {
    let stage = Stage::start_with(HASTY).await;
    stage.providers[0].push(Reply::status(200, json!({"id": "file-1"}), &[]));
    let mut stream = upload(&stage, "hasty", "slow").await;
    let began = Instant::now();
    // A slow line: pieces come all the time, and all of them take longer than a second.
    let mut line = interval(Duration::from_millis(50));
    let mut pieces = 0;
    while began.elapsed() < Duration::from_millis(1_500) {
        line.tick().await;
        send(&mut stream, b"a piece ").await;
        pieces += 1;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stage.received().bytes, "a piece ".repeat(pieces));
    stage.stop().await;
}

#[tokio::test]
async fn an_upload_that_stands_still_is_408() {
    let stage = Stage::start_with(HASTY).await;
    let mut stream = upload(&stage, "hasty", "still").await;
    send(&mut stream, b"a piece").await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"type\":\"timeout_error\""), "{answer}");
    let record = records(&stage, "still", 1).await.remove(0);
    assert_eq!((record.status, record.attempts), (408, 1));
    stage.stop().await;
}

#[tokio::test]
async fn an_upload_that_grows_too_large_is_told_and_recorded_as_413() {
    let stage = Stage::start_with("[limits]\nupload_bytes = 100000\n").await;
    let mut stream = upload(&stage, "up-one", "large").await;
    for _ in 0..3 {
        send(&mut stream, &vec![b'x'; 50_000]).await;
    }
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let told = "The body of your request is too large: the limit is 100000 bytes.";
    assert!(answer.contains(told), "{answer}");
    assert!(answer.contains("x-portkey-provider: openai"), "{answer}");
    let record = records(&stage, "large", 1).await.remove(0);
    assert_eq!((record.status, record.attempts), (413, 1));
    assert_eq!(record.error.as_deref(), Some(told));
    stage.stop().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_recorded_as_the_providers_fault() {
    let stage = Stage::start().await;
    let mut stream = upload(&stage, "up-one", "broken").await;
    send(&mut stream, b"a piece").await;
    // No chunk begins like this.
    stream.write_all(b"nonsense\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let record = records(&stage, "broken", 1).await.remove(0);
    assert_eq!(record.status, 400);
    let told = "The body of your request broke off.";
    assert_eq!(record.error.as_deref(), Some(told));
    stage.stop().await;
}
