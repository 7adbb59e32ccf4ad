//! What those who run the server look at, and what every answer carries.

use loomgate_testkit::{postgres::Database, upstream::FakeUpstream};
use reqwest::Method;

use crate::{
    app::{Answer, TestApp},
    database,
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
