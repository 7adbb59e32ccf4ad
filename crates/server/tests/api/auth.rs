//! Who may call, and what the others are told.

use reqwest::Method;
use serde_json::json;

use crate::app::{Answer, KEY_A, KEY_B, TestApp};

/// Operations that need no key.
const OPEN: [&str; 3] = ["/health", "/ready", "/openapi.json"];

/// Every operation of the API document, with made-up ids.
fn operations(document: &serde_json::Value) -> Vec<(Method, String)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = if path.starts_with("/v1") || OPEN.contains(&path.as_str()) || path == "/metrics"
        {
            path.clone()
        } else {
            format!("/v1{path}")
        };
        let path = path
            .replace("{assistant_id}", "asst_1")
            .replace("{thread_id}", "thread_1")
            .replace("{message_id}", "msg_1")
            .replace("{run_id}", "run_1")
            .replace("{step_id}", "step_1")
            .replace("{model}", "echo");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse();
            operations.extend(method.map(|method: Method| (method, path.clone())));
        }
    }
    operations.push((Method::GET, "/metrics".to_owned()));
    operations.retain(|(_, path)| !OPEN.contains(&path.as_str()));
    operations
}

#[tokio::test]
async fn every_operation_needs_a_key() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.json();
    let operations = operations(&document);
    assert!(operations.len() > 20, "{operations:?}");
    for (method, path) in operations {
        let answer = Answer::of(app.bare(method.clone(), &path)).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
        let told = "You didn't provide an API key. You need to provide your API key in an Auth";
        answer.error(401).expect(told, None);
        let wrong = app
            .bare(method.clone(), &path)
            .bearer_auth("sk-wrong-key-0123456789");
        let error = Answer::of(wrong).await.error(401);
        let told = "Incorrect API key provided: sk-wro*****6789. ";
        error.expect(told, Some("invalid_api_key"));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_may_stand_in_three_places() {
    let app = TestApp::start().await;
    for (header, value) in [
        ("authorization", format!("Bearer {KEY_A}")),
        ("api-key", KEY_A.to_owned()),
        ("x-portkey-api-key", KEY_A.to_owned()),
    ] {
        let request = app
            .bare(Method::GET, "/v1/assistants")
            .header(header, value);
        assert_eq!(Answer::of(request).await.status, 200, "{header}");
    }
    let basic = app
        .bare(Method::GET, "/v1/assistants")
        .basic_auth("", Some(KEY_A));
    assert_eq!(Answer::of(basic).await.status, 200);
    let placeholder = app
        .bare(Method::GET, "/v1/assistants")
        .bearer_auth("OPENAI_API_KEY")
        .header("x-portkey-api-key", KEY_A);
    assert_eq!(Answer::of(placeholder).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn malformed_keys_are_refused_and_not_shown() {
    let app = TestApp::start().await;
    let long = "k".repeat(201);
    for (key, shown) in [
        ("", "Incorrect API key provided: ''."),
        ("short", "Incorrect API key provided: *****."),
        (
            "lg-with a blank in it 0123456789",
            "Incorrect API key provided: *****.",
        ),
        ("' OR 1=1 --", "Incorrect API key provided: *****."),
        (&long, "Incorrect API key provided: *****."),
    ] {
        let request = app
            .bare(Method::GET, "/v1/assistants")
            .header("api-key", key);
        let error = Answer::of(request).await.error(401);
        error.expect(shown, Some("invalid_api_key"));
    }
    app.stop().await;
}

#[tokio::test]
async fn virtual_keys_are_chosen_by_a_header_and_have_to_exist() {
    let app = TestApp::start().await;
    let with = |name: &str| {
        let request = app.request(Method::GET, "/v1/models");
        request.header("x-portkey-virtual-key", name)
    };
    assert_eq!(Answer::of(with("echo")).await.status, 200);
    assert_eq!(app.upstream.count(), 0);
    Answer::of(with("scripted")).await;
    assert!(
        app.upstream.count() > 0,
        "the call did not go to the scripted upstream"
    );
    let error = Answer::of(with("nowhere")).await.json();
    let told = "Unknown virtual key in your request: 'nowhere'.";
    // Both kinds of client find it, and nobody is told which ones there are.
    assert_eq!(
        (&error["status"], &error["message"]),
        (&"failure".into(), &told.into())
    );
    assert_eq!(error["error"]["code"], "invalid_virtual_key");
    app.stop().await;
}

#[tokio::test]
async fn checks_come_in_the_order_of_the_contract() {
    let app = TestApp::start().await;
    let post = |request: reqwest::RequestBuilder| request.body("{");
    let bad_beta = |request: reqwest::RequestBuilder| request.header("openai-beta", "v1");
    let path = "/v1/assistants";
    let keyless = post(bad_beta(app.bare(Method::POST, path)));
    assert_eq!(Answer::of(keyless).await.status, 401);
    let error = Answer::of(post(bad_beta(app.request(Method::POST, path))))
        .await
        .error(400);
    assert_eq!(error.code.as_deref(), Some("invalid_beta"));
    let error = Answer::of(post(app.request(Method::POST, path)))
        .await
        .error(400);
    error.expect("We could not parse the JSON body of your request.", None);
    app.stop().await;
}

#[tokio::test]
async fn a_workspace_does_not_see_anothers_objects() {
    let app = TestApp::start().await;
    let made = app
        .post("/v1/assistants", &json!({"model": "echo"}))
        .await
        .json();
    let id = made["id"].as_str().unwrap();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let path = format!("/v1/assistants/{id}");
        let other = app.bare(method, &path).bearer_auth(KEY_B);
        let error = Answer::of(other).await.error(404);
        error.expect(&format!("No assistant found with id '{id}'."), None);
    }
    let listed = Answer::of(app.bare(Method::GET, "/v1/assistants").bearer_auth(KEY_B)).await;
    assert_eq!(listed.json()["data"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_key_has_a_limit_of_requests_at_the_same_time() {
    let app = TestApp::start_with("[http]\nmax_requests_per_key = 1\ndrain_s = 1\n").await;
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
    assert_eq!(stream.status(), 200);
    assert!(stream.chunk().await.unwrap().is_some());

    let refused = app.get("/v1/assistants").await;
    let error = refused.error(429);
    assert_eq!(error.code.as_deref(), Some("rate_limit_exceeded"));
    assert_eq!(error.kind, "requests");
    let other = app.bare(Method::GET, "/v1/assistants").bearer_auth(KEY_B);
    assert_eq!(Answer::of(other).await.status, 200);

    drop(stream);
    // The server learns of the end of the stream when it next writes, or reads the end.
    while app.get("/v1/assistants").await.status == 429 {
        tokio::task::yield_now().await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_without_a_way_reads_its_threads_all_the_same() {
    let key = "lg-test-without-a-way-0123456789ab";
    let options = format!("[[api_keys]]\nname = 'wayless'\nkey = '{key}'\nworkspace = 'a'\n");
    let app = TestApp::start_with(&options).await;
    let get = |path| app.bare(Method::GET, path).bearer_auth(key);
    assert_eq!(Answer::of(get("/v1/assistants")).await.status, 200);
    let told = "Either x-portkey-config or x-portkey-provider header is required";
    let answer = Answer::of(get("/v1/models")).await;
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (400, &told.into())
    );
    app.stop().await;
}
