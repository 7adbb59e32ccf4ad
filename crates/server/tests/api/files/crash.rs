//! kill -9 in the middle of an upload, and memory.

use std::time::Duration;

use futures::StreamExt as _;
use loomgate_testkit::upstream::FakeUpstream;
use reqwest::Method;

use super::{BOUNDARY, count, form, sweep_all};
use crate::{app::TestApp, process::Process};

/// A form whose file has so many bytes, and that is sent piece by piece.
fn large(bytes: usize, pieces: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let whole = form(&[
        ("purpose", None, b"vision"),
        ("file", Some("large.bin"), b""),
    ]);
    let end = format!("\r\n--{BOUNDARY}--\r\n").len();
    let (head, tail) = whole.split_at(whole.len() - end);
    (head.to_vec(), vec![7; bytes / pieces], tail.to_vec())
}

fn kind() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

#[tokio::test]
async fn an_upload_that_was_killed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = FakeUpstream::start().await;
    let server = Process::start(folder.path(), &upstream, "").await;
    let kept = server
        .request(Method::POST, "/files")
        .header("content-type", kind());
    let kept = kept.body(form(&[
        ("purpose", None, b"vision"),
        ("file", Some("a"), b"kept"),
    ]));
    assert_eq!(kept.send().await.unwrap().status(), 200);
    let (head, piece, _) = large(8 * 1024 * 1024, 8);
    let pieces = std::iter::once(head).chain(std::iter::repeat_n(piece, 7));
    // And then nothing more comes.
    let pieces = futures::stream::iter(pieces.map(Ok::<_, std::io::Error>));
    let body = reqwest::Body::wrap_stream(pieces.chain(futures::stream::pending()));
    let request = server
        .request(Method::POST, "/files")
        .header("content-type", kind());
    let sending = request.body(body).send();
    let unfinished = folder.path().join("data/files/unfinished");
    let killed = async {
        // Until some of it is on the disk.
        while size(&unfinished) < 2 * 1024 * 1024 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().await;
    };
    let (sent, ()) = tokio::join!(sending, killed);
    assert!(sent.is_err());
    assert_eq!(count(&unfinished), 1);

    let app = TestApp::start_all(folder, upstream, "", &[("LOOMGATE_FILES", "local")]).await;
    sweep_all(&app).await;
    assert_eq!(count(&app.folder().join("data/files/unfinished")), 0);
    assert_eq!(count(&app.folder().join("data/files/objects")), 1);
    let rows = app.behind.store.blobs();
    let far = loomgate_domain::Timestamp(i64::MAX / 2);
    assert_eq!(
        rows.take_due(far, 10).await.unwrap(),
        [],
        "no row is left to sweep"
    );
    app.stop().await;
}

fn size(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

/// The size of a large file.
const BYTES: usize = 200 * 1024 * 1024;

/// The most memory that a process had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_large_upload_and_its_download_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = FakeUpstream::start().await;
    let server = Process::start(folder.path(), &upstream, "").await;
    let before = peak(server.pid());
    let (head, piece, tail) = large(BYTES, 200);
    let pieces = std::iter::once(head)
        .chain(std::iter::repeat_n(piece, 200))
        .chain([tail]);
    let body =
        reqwest::Body::wrap_stream(futures::stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let request = server
        .request(Method::POST, "/files")
        .header("content-type", kind());
    let made: serde_json::Value = request
        .body(body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(made["bytes"], BYTES);
    let path = format!("/files/{}/content", made["id"].as_str().unwrap());
    let mut content = server
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .bytes_stream();
    let mut got = 0;
    while let Some(piece) = content.next().await {
        got += piece.unwrap().len();
    }
    assert_eq!(got, BYTES);
    let grown = peak(server.pid()) - before;
    assert!(grown < 32 * 1024, "{grown} KiB for {BYTES} bytes");
    server.kill().await;
}
