//! Files whose time is over.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{INDEXING, done, of_run, of_store, searching, store_of};
use crate::{
    admin::ok,
    app::{Answer, TestApp},
    files::with_form,
    process::text,
};

const HOUR: Duration = Duration::from_hours(1);

/// A file that is there for an hour.
async fn lent(app: &TestApp, name: &str, bytes: &[u8]) -> Value {
    let parts = [
        ("purpose", None, &b"assistants"[..]),
        ("expires_after[anchor]", None, b"created_at"),
        ("expires_after[seconds]", None, b"3600"),
        ("file", Some(name), bytes),
    ];
    let request = with_form(app.request(Method::POST, "/v1/files"), &parts);
    ok(&Answer::of(request).await)
}

/// Names of the files that a search finds, that a run finds, and how many the store lists and counts.
async fn seen(app: &TestApp, store: &Value) -> (Vec<String>, Vec<String>, usize, Value) {
    let body = json!({"query": "pizza"});
    let page = ok(&app.post(&of_store(store, "search"), &body).await);
    let run = searching(
        app,
        store,
        "/echo call file_search {\"queries\":[\"pizza\"]}",
    )
    .await;
    assert_eq!(run["status"], "completed", "{run}");
    let steps = of_run(app, &run, "steps?").await;
    let results = &steps[0]["step_details"]["tool_calls"][0]["file_search"]["results"];
    let names = |found: &Value, key: &str| {
        let mut names: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|it| text(it, key))
            .collect();
        names.sort();
        names
    };
    let listed = ok(&app.get(&of_store(store, "files")).await);
    let counts = ok(&app.get(&of_store(store, "")).await)["file_counts"]["total"].clone();
    (
        names(&page["data"], "filename"),
        names(results, "file_name"),
        listed["data"].as_array().unwrap().len(),
        counts,
    )
}

#[tokio::test]
async fn a_file_whose_time_is_over_is_found_no_more_and_leaves_its_store_when_it_is_swept() {
    let app = TestApp::start_with(INDEXING).await;
    let store = store_of(&app, &[("kept.txt", b"Pizza is kept warm.")]).await;
    let file = lent(&app, "lent.txt", b"Pizza was lent.").await;
    let body = json!({"file_id": file["id"]});
    ok(&app.post(&of_store(&store, "files"), &body).await);
    assert_eq!(done(&app, &store, &file["id"]).await["status"], "completed");
    let body = json!({"model": "echo", "tools": [{"type": "code_interpreter"}],
        "tool_resources": {"code_interpreter": {"file_ids": [file["id"]]}}});
    let user = ok(&app.post("/v1/assistants", &body).await);
    let user = format!("/v1/assistants/{}", text(&user, "id"));
    let named = async || {
        let user = ok(&app.get(&user).await);
        user["tool_resources"]["code_interpreter"]["file_ids"].clone()
    };
    let both = vec!["kept.txt".to_owned(), "lent.txt".to_owned()];
    let kept = vec!["kept.txt".to_owned()];
    assert_eq!(seen(&app, &store).await, (both.clone(), both, 2, json!(2)));

    app.pass(HOUR);
    assert_eq!(
        seen(&app, &store).await,
        (kept.clone(), kept.clone(), 2, json!(2))
    );
    assert_eq!(named().await, json!([file["id"]]));
    loomgate_server::sweeper::sweep(&app.behind).await.unwrap();
    assert_eq!(seen(&app, &store).await, (kept.clone(), kept, 1, json!(1)));
    assert_eq!(named().await, json!([]));
    app.stop().await;
}
