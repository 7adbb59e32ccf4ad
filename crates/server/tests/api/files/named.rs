//! Files that assistants, threads and messages name.

use loomgate_testkit::upstream::Reply;
use serde_json::{Value, json};

use super::{delete, send, upload, with_form};
use crate::app::{Answer, KEY_B, TestApp};

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn resources_name_files_that_are_there_until_they_are_deleted() {
    let app = TestApp::start().await;
    let (one, two) = (
        id(&upload(&app, "1.csv", "assistants", b"1").await),
        id(&upload(&app, "2.csv", "assistants", b"2").await),
    );
    let resources = |ids: &[&str]| json!({"code_interpreter": {"file_ids": ids}});
    let assistant = json!({"model": "echo", "tool_resources": resources(&[&one, &two])});
    let assistant = id(&app.post("/v1/assistants", &assistant).await.json());
    let thread = json!({"tool_resources": resources(&[&one])});
    let thread = id(&app.post("/v1/threads", &thread).await.json());
    let missing = resources(&[&one, "file-none"]);
    for (path, mut body) in [
        ("/v1/assistants".to_owned(), json!({"model": "echo"})),
        (format!("/v1/assistants/{assistant}"), json!({})),
        ("/v1/threads".to_owned(), json!({})),
        (format!("/v1/threads/{thread}"), json!({})),
        (
            "/v1/threads/runs".to_owned(),
            json!({"assistant_id": assistant}),
        ),
    ] {
        body["tool_resources"] = missing.clone();
        let error = app.post(&path, &body).await.error(400);
        error.expect("File IDs ['file-none'] were not found.", None);
    }
    delete(&app, &format!("/v1/files/{one}")).await;
    let shown = app.get(&format!("/v1/assistants/{assistant}")).await.json();
    assert_eq!(shown["tool_resources"], resources(&[&two]));
    let shown = app.get(&format!("/v1/threads/{thread}")).await.json();
    assert_eq!(shown["tool_resources"], resources(&[]));
    app.stop().await;
}

#[tokio::test]
async fn attachments_become_files_of_the_thread() {
    let app = TestApp::start().await;
    let file = id(&upload(&app, "1.csv", "assistants", b"1").await);
    let attachments = json!([{"file_id": file, "tools": [{"type": "code_interpreter"}]}]);
    let message = json!({"role": "user", "content": "Look.", "attachments": attachments});
    let thread = app
        .post("/v1/threads", &json!({ "messages": [message] }))
        .await;
    let thread = format!("/v1/threads/{}", id(&thread.json()));
    let shown = app.get(&thread).await.json();
    assert_eq!(
        shown["tool_resources"]["code_interpreter"]["file_ids"],
        json!([file])
    );
    let list = app.get(&format!("{thread}/messages")).await.json();
    assert_eq!(list["data"][0]["attachments"], attachments);
    let gone = json!({"role": "user", "content": "Look.", "attachments": [
        {"file_id": "file-none", "tools": [{"type": "code_interpreter"}]}]});
    let error = app
        .post(&format!("{thread}/messages"), &gone)
        .await
        .error(400);
    error.expect("File IDs ['file-none'] were not found.", None);
    // One more than the tool takes.
    for n in 0..20 {
        let file = id(&upload(&app, "n.csv", "assistants", format!("{n}").as_bytes()).await);
        let more = json!({"role": "user", "content": "Look.", "attachments": [
            {"file_id": file, "tools": [{"type": "code_interpreter"}]}]});
        let answer = app.post(&format!("{thread}/messages"), &more).await;
        if n < 19 {
            assert_eq!(answer.status, 200, "{}", answer.text);
        } else {
            assert_eq!(answer.error(400).param.as_deref(), Some("attachments"));
        }
    }
    app.stop().await;
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n-the rest of an image";

#[tokio::test]
async fn an_image_file_reaches_the_model_as_its_bytes() {
    let app = TestApp::start_with("[limits]\nimage_bytes = 100\n").await;
    // Workspace b has the scripted model.
    let post = async |path: &str, body: &Value| {
        let request = app
            .bare(reqwest::Method::POST, path)
            .bearer_auth(KEY_B)
            .json(body);
        Answer::of(request).await
    };
    let put = async |name: &str, bytes: &[u8]| {
        let parts = [
            ("purpose", None, &b"vision"[..]),
            ("file", Some(name), bytes),
        ];
        let request = app
            .bare(reqwest::Method::POST, "/v1/files")
            .bearer_auth(KEY_B);
        id(&Answer::of(with_form(request, &parts)).await.json())
    };
    let (seen, gone) = (
        put("seen.png", PNG).await,
        put("gone.JPG", b"\xff\xd8\xffx").await,
    );
    let image = |id: &str| json!({"type": "image_file", "image_file": {"file_id": id}});
    let message = |parts: Value| json!({"role": "user", "content": parts});
    for (id, text) in [
        (
            put("a.txt", b"x").await,
            "Invalid message content: Expected file type to be a supported \
         format: .jpeg, .jpg, .png, .gif, .webp but got .txt.",
        ),
        (
            put("large.png", &[b'x'; 101]).await,
            "Invalid message content: the image",
        ),
        (
            "file-none".to_owned(),
            "File IDs ['file-none'] were not found.",
        ),
    ] {
        let body = json!({"messages": [message(json!([image(&id)]))]});
        post("/v1/threads", &body)
            .await
            .error(400)
            .expect(text, None);
    }
    let parts = json!([{"type": "text", "text": "What is this?"}, image(&seen), image(&gone)]);
    let thread = post("/v1/threads", &json!({"messages": [message(parts)]})).await;
    let thread = format!("/v1/threads/{}", id(&thread.json()));
    let deleted = app.bare(reqwest::Method::DELETE, &format!("/v1/files/{gone}"));
    assert_eq!(Answer::of(deleted.bearer_auth(KEY_B)).await.status, 200);
    let assistant = id(&post("/v1/assistants", &json!({"model": "gpt-4o"}))
        .await
        .json());
    app.upstream.push(Reply::text("A picture."));
    let run = post(
        &format!("{thread}/runs"),
        &json!({"assistant_id": assistant}),
    )
    .await;
    assert_eq!(run.status, 200, "{}", run.text);
    let sent = app.upstream.next_request().await.body;
    let parts = sent["messages"][0]["content"].as_array().unwrap();
    assert_eq!(parts[0]["text"], "What is this?");
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, PNG);
    let url = format!("data:image/png;base64,{data}");
    assert_eq!(
        parts[1],
        json!({"type": "image_url", "image_url": {"url": url, "detail": "auto"}})
    );
    assert_eq!(
        parts[2]["text"],
        format!("[The image {gone} is not there any more.]")
    );
    app.stop().await;
}

#[tokio::test]
async fn relayed_accounts_keep_their_files_elsewhere() {
    let app = TestApp::start_with(
        "[virtual_keys.there]\nprovider = 'openai'\nassistants = 'upstream'\n\
        base_url = 'http://127.0.0.1:9/v1'\n",
    )
    .await;
    // Nobody answers there: but nobody keeps the file here either.
    let request = app
        .request(reqwest::Method::POST, "/v1/files")
        .header("x-portkey-virtual-key", "there");
    let parts = [
        ("purpose", None, &b"vision"[..]),
        ("file", Some("a.png"), PNG),
    ];
    let answer = Answer::of(with_form(request, &parts)).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    assert_eq!(app.get("/v1/files").await.json()["data"], json!([]));
    let answer = send(&app, "/v1/files", &parts).await;
    assert_eq!(answer.status, 200);
    app.stop().await;
}
