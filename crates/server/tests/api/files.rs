//! Files and uploads over HTTP; in a folder, and in a bucket where the suite has a server for one
//! (`scripts/test-s3.sh`).

mod content;
mod crash;
mod create;
mod named;
mod uploads;

use loomgate_server::config::Environment;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::app::{Answer, TestApp};

/// One part of a form: name, file name, value.
type FormPart<'a> = (&'a str, Option<&'a str>, &'a [u8]);

const BOUNDARY: &str = "----loomgate-test-boundary";

/// A form as clients write it.
fn form(parts: &[FormPart<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, value) in parts {
        body.extend(format!("--{BOUNDARY}\r\n").bytes());
        let file = file
            .map(|file| format!("; filename=\"{file}\""))
            .unwrap_or_default();
        let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend(head.bytes());
        body.extend_from_slice(value);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// A request with a form.
pub(crate) fn with_form(request: RequestBuilder, parts: &[FormPart<'_>]) -> RequestBuilder {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request.header("content-type", kind).body(form(parts))
}

async fn send(app: &TestApp, path: &str, parts: &[FormPart<'_>]) -> Answer {
    Answer::of(with_form(app.request(Method::POST, path), parts)).await
}

/// Uploads a file, which has to work.
pub(crate) async fn upload(app: &TestApp, name: &str, purpose: &str, bytes: &[u8]) -> Value {
    let parts = [
        ("purpose", None, purpose.as_bytes()),
        ("file", Some(name), bytes),
    ];
    let answer = send(app, "/v1/files", &parts).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

pub(crate) async fn delete(app: &TestApp, path: &str) -> Answer {
    Answer::of(app.request(Method::DELETE, path)).await
}

/// Sweeps until nothing is left, long after all that happened so far. Objects without a row are looked
/// for, too.
async fn sweep_all(app: &TestApp) {
    for _ in 0..3 {
        app.pass(std::time::Duration::from_hours(25));
        loomgate_server::sweeper::sweep(&app.behind).await.unwrap();
    }
}

/// What is said of files to the server of a test, besides what the test itself says.
pub(crate) fn environment() -> Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the suite says where its server is"
    )]
    let Ok(url) = std::env::var("LOOMGATE_TEST_S3") else {
        return Environment::default();
    };
    let (endpoint, bucket) = url.rsplit_once('/').unwrap();
    let unique = tempfile::tempdir().unwrap();
    let unique = unique
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let files = format!("s3://{bucket}/{unique}");
    Environment::from([
        ("LOOMGATE_FILES", &*files),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ])
}

/// The files below a folder of objects, or 0 where the files are in a bucket.
fn objects(app: &TestApp) -> usize {
    count(&app.folder().join("data/files"))
}

fn count(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}
