//! What those who run the server look at, and what every answer carries.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use loomgate_testkit::{
    postgres::{self, Database},
    upstream::FakeUpstream,
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    app::{Answer, TestApp, client},
    database,
    program::{Program, made_key, run},
};

#[tokio::test]
async fn health_and_readiness_need_no_key() {
    let app = TestApp::start().await;
    for path in ["/health", "/ready"] {
        let answer = Answer::of(app.bare(Method::GET, path)).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#"{"status":"ok"}"#),
            "{path}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn the_api_document_is_served() {
    let app = TestApp::start().await;
    let document = Answer::of(app.bare(Method::GET, "/openapi.json"))
        .await
        .json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    app.stop().await;
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let app = TestApp::start().await;
    app.get("/v1/threads/thread_1").await;
    app.get("/v1/nowhere").await;
    let metrics = app.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    for none in [
        "loomgate_file_search_by_meaning 0",
        "loomgate_file_search_pgvector 0",
    ] {
        assert!(metrics.text.contains(none), "{}", metrics.text);
    }
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    for line in [
        "loomgate_http_requests_total{method=\"GET\",route=\"/v1/threads/{thread_id}\",status=\"404\"} ",
        "loomgate_http_requests_total{method=\"GET\",route=\"relay\",status=\"404\"} ",
        "loomgate_http_request_duration_seconds_bucket{method=\"GET\",",
        "process_start_time_seconds ",
    ] {
        assert!(
            metrics.text.contains(line),
            "{line} is not in\n{}",
            metrics.text
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn metrics_show_that_the_database_has_pgvector() {
    let database = Database::for_pgvector();
    database.execute("CREATE EXTENSION vector");
    let folder = tempfile::tempdir().unwrap();
    database::place_at(folder.path(), database.url());
    let variables = [("LOOMGATE_DATABASE", database.url())];
    let app = TestApp::start_all(folder, FakeUpstream::start().await, "", &variables).await;
    let metrics = app.get("/metrics").await.text;
    assert!(
        metrics.contains("loomgate_file_search_pgvector 1"),
        "{metrics}"
    );
    app.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_of_the_contract() {
    let app = TestApp::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for path in [
        "/health",
        "/v1/assistants",
        "/v1/nowhere",
        "/v1/threads/wrong",
    ] {
        let answer = app.get(path).await;
        let id = answer.header("x-request-id").strip_prefix("req_").unwrap();
        assert_eq!(id.len(), 32);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(seen.insert(id.to_owned()));
        assert_eq!(answer.header("openai-version"), "2020-10-01");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok());
    }
    app.stop().await;
}

/// Makes the page of a database of SQLite that holds a text unreadable.
fn damage(file: &Path, text: &str) {
    const PAGE: usize = 4096;
    let bytes = std::fs::read(file).unwrap();
    let mut places = bytes.windows(text.len());
    let at = places.position(|it| it == text.as_bytes()).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    let page = u64::try_from(at - at % PAGE).unwrap();
    file.seek(SeekFrom::Start(page)).unwrap();
    file.write_all(&[0xff; 64]).unwrap();
}

#[tokio::test]
async fn damage_that_a_server_meets_is_a_500_that_the_log_explains() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = ["keys", "create", "--name", "app", "--database", "sqlite"];
    let key = made_key(&run(folder, &made).await);
    let client = client(Client::builder());
    let server = Program::on("sqlite", folder).await;
    let mut threads = Vec::new();
    for name in ["whole", "broken"] {
        let long =
            |n| json!({"role": "user", "content": format!("{name} {n}. {}", "x".repeat(3000))});
        let messages: Vec<_> = (10..30).map(long).collect();
        let create = client.post(format!("{}/v1/threads", server.url));
        let create = create
            .bearer_auth(&key)
            .json(&json!({"messages": messages}));
        let thread: Value = Answer::of(create).await.json();
        threads.push(format!(
            "/v1/threads/{}/messages",
            thread["id"].as_str().unwrap()
        ));
    }
    server.stop().await;

    let server = Program::on("sqlite", folder).await;
    damage(&folder.join("loomgate-data/loomgate.db"), "broken 20. ");
    let get = async |path: &str| {
        let request = client.get(format!("{}{path}", server.url));
        Answer::of(request.bearer_auth(&key)).await
    };
    let broken = get(&threads[1]).await;
    let error = broken.error(500);
    assert!(!broken.text.contains("malformed"), "{}", broken.text);
    assert!(
        error.message.starts_with("The server had an error"),
        "{error:?}"
    );
    // What lies elsewhere is there, and can be written to.
    assert_eq!(get(&threads[0]).await.status, 200);
    let create = client.post(format!("{}{}", server.url, threads[0]));
    let create = create
        .bearer_auth(&key)
        .json(&json!({"role": "user", "content": "more"}));
    assert_eq!(Answer::of(create).await.status, 200);
    let id = broken.header("x-request-id").to_owned();
    let log = server.stop().await;
    let line = log
        .lines()
        .find(|line| line.contains(&id) && line.contains("unreadable"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" FROM messages "), "{line}");
}

/// A command of docs/operations.md, by its first word.
fn documented(program: &str) -> &'static str {
    let page = include_str!("../../../../docs/operations.md");
    let line = page.lines().find(|line| line.starts_with(program));
    line.unwrap_or_else(|| panic!("no {program} in the page"))
}

/// Does what the page says, with the programs of the tests' PostgreSQL.
async fn follow(line: &str, folder: &Path, database: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut programs = Command::new(root.join("scripts/ensure-postgres.sh"));
    let programs = programs.output().await.unwrap().stdout;
    let programs = String::from_utf8(programs).unwrap();
    let line = format!("PATH=$PROGRAMS:$PATH; {line}");
    let done = Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder)
        .env("PROGRAMS", programs.trim())
        .env("LOOMGATE_DATABASE", database)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{line}: {said}");
}

#[tokio::test]
async fn a_dump_that_is_restored_as_the_page_says_is_as_it_was() {
    // A dump is of a whole database, so this is one.
    let name = format!("{}_dumped", Database::new().name());
    postgres::admin(&format!("CREATE DATABASE {name}"));
    let (server, _) = postgres::base_url().rsplit_once('/').unwrap();
    let url = format!("{server}/{name}?sslmode=disable");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = ["keys", "create", "--name", "app", "--database", &url];
    let key = made_key(&run(folder, &made).await);
    let client = client(Client::builder());
    let call = async |server: &Program, method, path: &str| {
        let request = client.request(method, format!("{}{path}", server.url));
        let message = json!({"role": "user", "content": "Hello."});
        Answer::of(request.bearer_auth(&key).json(&message)).await
    };

    let server = Program::on(&url, folder).await;
    let create = client.post(format!("{}/v1/threads", server.url));
    let thread = Answer::of(create.bearer_auth(&key).json(&json!({}))).await;
    let thread = thread.json()["id"].as_str().unwrap().to_owned();
    let messages = format!("/v1/threads/{thread}/messages");
    assert_eq!(call(&server, Method::POST, &messages).await.status, 200);
    let before = call(&server, Method::GET, &messages).await.json();
    follow(documented("pg_dump "), folder, &url).await;
    assert_eq!(call(&server, Method::POST, &messages).await.status, 200);
    assert_ne!(call(&server, Method::GET, &messages).await.json(), before);
    server.stop().await;

    follow(documented("pg_restore "), folder, &url).await;
    let server = Program::on(&url, folder).await;
    assert_eq!(call(&server, Method::GET, &messages).await.json(), before);
    assert_eq!(call(&server, Method::POST, &messages).await.status, 200);
    server.stop().await;
    postgres::admin(&format!("DROP DATABASE {name}"));
}
