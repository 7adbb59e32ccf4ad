//! What was made with one account stays with it, whatever a load balancer draws.

use loomgate_testkit::upstream::Reply;
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::app::Answer;

fn balanced() -> Value {
    let targets = json!([{"virtual_key": "up-one"}, {"virtual_key": "up-two"}]);
    json!({"strategy": {"mode": "loadbalance"}, "targets": targets})
}

async fn call(stage: &Stage, method: Method, path: &str, body: Option<Value>) -> Answer {
    let mut request = stage
        .request(method, path)
        .header("x-portkey-config", balanced().to_string());
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

/// Both providers answer alike, but for the ids of what they make.
fn make(stage: &Stage, id: &str) {
    for (index, provider) in stage.providers.iter().enumerate() {
        provider.always(Reply::status(
            200,
            json!({"id": format!("{id}-{index}")}),
            &[],
        ));
    }
}

/// Which provider made it, by its id.
fn maker(id: &str) -> usize {
    usize::from(id.ends_with("-1"))
}

/// All calls go to the provider that made the thing, and none to the other.
async fn stays(stage: &Stage, method: Method, path: &str, maker: usize) {
    goes_to(stage, method, path, None, maker).await;
}

/// What is named goes where it was made, a dozen times in a row.
async fn goes_to(stage: &Stage, method: Method, path: &str, body: Option<Value>, maker: usize) {
    let mut expected = stage.counts();
    for _ in 0..12 {
        let answer = call(stage, method.clone(), path, body.clone()).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    expected[maker] += 12;
    assert_eq!(stage.counts(), expected, "{path} {body:?}");
}

#[tokio::test]
async fn threads_assistants_files_and_stores_stay_where_they_were_made() {
    let stage = Stage::start().await;
    for (path, id, then) in [
        ("/v1/threads", "thread_a", "/v1/threads/{id}/runs/run_1"),
        ("/v1/assistants", "asst_a", "/v1/assistants/{id}"),
        ("/v1/files", "file-a", "/v1/files/{id}/content"),
        ("/v1/vector_stores", "vs_a", "/v1/vector_stores/{id}/files"),
        ("/v1/uploads", "upload_a", "/v1/uploads/{id}"),
    ] {
        make(&stage, id);
        let made = call(&stage, Method::POST, path, Some(json!({})))
            .await
            .json();
        let made = made["id"].as_str().unwrap();
        let path = then.replace("{id}", made);
        stays(&stage, Method::GET, &path, maker(made)).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_thread_that_came_with_its_run_is_remembered_streamed_or_not() {
    let stage = Stage::start().await;
    for stream in [false, true] {
        for (index, provider) in stage.providers.iter().enumerate() {
            let thread = format!("thread_s{stream}-{index}");
            let run = json!({"id": format!("run_s-{index}"), "object": "thread.run", "thread_id": thread});
            let reply = if stream {
                let thread = json!({"id": thread, "object": "thread"});
                let events = [
                    format!("event: thread.created\ndata: {thread}\n\n"),
                    format!("event: thread.run.created\ndata: {run}\n\n"),
                    "event: done\ndata: [DONE]\n\n".to_owned(),
                ];
                // In pieces that cut through the first event.
                let (first, second) = events[0].split_at(30);
                let headers = [("content-type", "text/event-stream")];
                Reply::chunked(&headers, &[first, second, &events[1], &events[2]])
            } else {
                Reply::status(200, run, &[])
            };
            provider.always(reply);
        }
        let body = json!({"assistant_id": "asst_other", "stream": stream});
        let answer = call(&stage, Method::POST, "/v1/threads/runs", Some(body)).await;
        let made = (0..2)
            .find(|index| answer.text.contains(&format!("thread_s{stream}-{index}")))
            .unwrap();
        make(&stage, "any");
        let path = format!("/v1/threads/thread_s{stream}-{made}/messages");
        stays(&stage, Method::GET, &path, made).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn an_assistant_that_is_named_in_the_body_is_found_too() {
    let stage = Stage::start().await;
    make(&stage, "asst_b");
    let made = call(&stage, Method::POST, "/v1/assistants", Some(json!({})))
        .await
        .json();
    let made = made["id"].as_str().unwrap().to_owned();
    make(&stage, "thread_b");
    let before = stage.counts();
    for _ in 0..12 {
        let body = json!({"assistant_id": made});
        assert_eq!(
            call(&stage, Method::POST, "/v1/threads/runs", Some(body))
                .await
                .status,
            200
        );
    }
    let mut expected = before;
    expected[maker(&made)] += 12;
    assert_eq!(stage.counts(), expected);
    stage.stop().await;
}

#[tokio::test]
async fn a_new_thing_goes_where_the_things_are_that_it_names() {
    let stage = Stage::start().await;
    make(&stage, "file-b");
    let file = call(&stage, Method::POST, "/v1/files", Some(json!({})))
        .await
        .json();
    let file = file["id"].as_str().unwrap().to_owned();
    make(&stage, "anything");
    for (path, body) in [
        ("/v1/vector_stores", json!({"file_ids": [file]})),
        (
            "/v1/assistants",
            json!({"tool_resources": {"code_interpreter": {"file_ids": [file]}}}),
        ),
        (
            "/v1/threads",
            json!({"messages": [{"content": "x", "attachments": [{"file_id": file}]}]}),
        ),
        (
            "/v1/threads/runs",
            json!({"thread": {"messages": [{"attachments": [{"file_id": file}]}]}}),
        ),
    ] {
        goes_to(&stage, Method::POST, path, Some(body), maker(&file)).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_next_page_comes_from_where_the_last_one_did() {
    let stage = Stage::start().await;
    make(&stage, "asst_c");
    let made = call(&stage, Method::POST, "/v1/assistants", Some(json!({})))
        .await
        .json();
    let id = made["id"].as_str().unwrap();
    for cursor in ["after", "before"] {
        let path = format!("/v1/assistants?limit=2&{cursor}={id}");
        goes_to(&stage, Method::GET, &path, None, maker(id)).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn ids_are_the_providers_whatever_they_look_like() {
    let stage = Stage::start().await;
    for (path, id, then) in [
        ("/v1/threads", "0b9e2d7c", "/v1/threads/{id}/messages"),
        ("/v1/files", "assistant-a", "/v1/files/{id}"),
    ] {
        make(&stage, id);
        let made = call(&stage, Method::POST, path, Some(json!({})))
            .await
            .json();
        let made = made["id"].as_str().unwrap();
        stays(
            &stage,
            Method::GET,
            &then.replace("{id}", made),
            maker(made),
        )
        .await;
    }
    // A file that an upload became.
    for (index, provider) in stage.providers.iter().enumerate() {
        let file = json!({"id": format!("became-{index}"), "object": "file"});
        provider.always(Reply::status(
            200,
            json!({"id": "upload_x", "file": file}),
            &[],
        ));
    }
    let done = call(
        &stage,
        Method::POST,
        "/v1/uploads/upload_x/complete",
        Some(json!({})),
    )
    .await;
    let file = done.json()["file"]["id"].as_str().unwrap().to_owned();
    stays(
        &stage,
        Method::GET,
        &format!("/v1/files/{file}/content"),
        maker(&file),
    )
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn what_a_fallback_made_stays_there_and_a_deleted_thread_is_asked_for_there() {
    let stage = Stage::start().await;
    let fallback = json!({
        "strategy": {"mode": "fallback"},
        "targets": [{"virtual_key": "up-one"}, {"virtual_key": "up-two"}],
    });
    let call = async |method: Method, path: &str| {
        let request = stage
            .request(method, path)
            .header("x-portkey-config", fallback.to_string());
        Answer::of(request.json(&json!({}))).await
    };
    stage.providers[0].push(super::stage::refused(503));
    make(&stage, "thread_f");
    let made = call(Method::POST, "/v1/threads").await.json();
    assert_eq!(made["id"], "thread_f-1");
    for (method, status) in [
        (Method::GET, 200),
        (Method::DELETE, 200),
        (Method::GET, 404),
    ] {
        stage.providers[1].push(match status {
            404 => super::stage::refused(404),
            _ => Reply::status(200, json!({"id": "thread_f-1"}), &[]),
        });
        assert_eq!(call(method, "/v1/threads/thread_f-1").await.status, status);
    }
    assert_eq!(stage.counts(), [1, 4, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn it_is_remembered_after_a_restart_and_for_one_workspace_alone() {
    let stage = Stage::start().await;
    make(&stage, "thread_c");
    let made = call(&stage, Method::POST, "/v1/threads", Some(json!({})))
        .await
        .json();
    let made = made["id"].as_str().unwrap().to_owned();
    let (folder, upstream, providers) = stage.end().await;
    let stage = Stage::again(folder, upstream, providers, "").await;
    make(&stage, "any");
    let path = format!("/v1/threads/{made}");
    stays(&stage, Method::GET, &path, maker(&made)).await;

    // Another workspace knows nothing of it: its calls are drawn.
    let before = stage.counts();
    for _ in 0..40 {
        let request = stage.app.request(Method::GET, &path);
        let request = request.header("x-portkey-config", balanced().to_string());
        assert_eq!(Answer::of(request).await.status, 200);
    }
    let after = stage.counts();
    assert!(
        after[0] > before[0] && after[1] > before[1],
        "{before:?} {after:?}"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_config_without_the_account_is_told_so() {
    let stage = Stage::start().await;
    make(&stage, "thread_d");
    let created = stage
        .post("/v1/threads", &json!({}))
        .header("x-portkey-virtual-key", "up-three");
    assert_eq!(Answer::of(created).await.status, 200);
    let answer = call(&stage, Method::GET, "/v1/threads/thread_d-2", None).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "wrong_account");
    stage.stop().await;
}

#[tokio::test]
async fn targets_that_do_not_agree_are_refused() {
    let stage = Stage::start().await;
    let targets = json!([{"virtual_key": "up-one"}, {"virtual_key": "two"}]);
    let config = json!({"strategy": {"mode": "loadbalance"}, "targets": targets});
    let request = stage
        .post("/v1/threads", &json!({}))
        .header("x-portkey-config", config.to_string());
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "mixed_assistants");
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}
