//! URLs and methods that lead nowhere.

use reqwest::Method;

use crate::app::{Answer, TestApp};

#[tokio::test]
async fn unknown_urls_are_named() {
    let app = TestApp::start().await;
    for (method, path) in [
        (Method::GET, "/v1/foo"),
        (Method::POST, "/v1/assistants/a/b"),
        (Method::DELETE, "/"),
        (Method::GET, "/v1/assistants/"),
    ] {
        let error = Answer::of(app.request(method.clone(), path))
            .await
            .error(404);
        error.expect(&format!("Invalid URL ({method} {path})"), None);
    }
    app.stop().await;
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        (Method::PUT, "/v1/assistants", "GET,HEAD,POST"),
        (
            Method::DELETE,
            "/v1/threads/thread_1/messages",
            "GET,HEAD,POST",
        ),
        (Method::POST, "/health", "GET,HEAD"),
    ] {
        let answer = Answer::of(app.request(method.clone(), path)).await;
        assert_eq!(answer.header("allow"), allowed, "{path}");
        let told = format!(
            "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP \
             method?)"
        );
        answer
            .error(405)
            .expect(&told, Some("method_not_supported"));
    }
    app.stop().await;
}
