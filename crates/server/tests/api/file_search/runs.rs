//! What runs search, how, and what they cite.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{INDEXING, ended, of_run, searching, store_of};
use crate::{admin::ok, app::TestApp, process::text};

/// An assistant that searches this store, with these settings of its tool.
async fn assistant(app: &TestApp, store: &Value, settings: Value) -> String {
    let body = json!({
        "model": "echo",
        "tools": [{"type": "file_search", "file_search": settings}],
        "tool_resources": in_store(store),
    });
    text(&ok(&app.post("/v1/assistants", &body).await), "id")
}

fn in_store(store: &Value) -> Value {
    json!({"file_search": {"vector_store_ids": [store["id"]]}})
}

/// A message that has the model search.
fn asking(calls: &[&[&str]]) -> Value {
    let line =
        |queries: &&[&str]| format!("/echo call file_search {}", json!({"queries": queries}));
    let lines: Vec<_> = calls.iter().map(line).collect();
    json!({"role": "user", "content": lines.join("\n")})
}

/// What each call of the run's first step has found, by the names of the files.
async fn found(app: &TestApp, run: &Value) -> Vec<Vec<String>> {
    assert_eq!(run["status"], "completed", "{run}");
    let steps = of_run(app, run, "steps?").await;
    let calls = steps[0]["step_details"]["tool_calls"].as_array().unwrap();
    let names = |call: &Value| {
        let results = call["file_search"]["results"].as_array().unwrap().iter();
        results.map(|it| text(it, "file_name")).collect()
    };
    calls.iter().map(names).collect()
}

/// What the run's message cites: the marks, with the names of the files that they are for.
async fn cited(app: &TestApp, run: &Value) -> BTreeSet<(String, String)> {
    let messages = of_run(app, run, "messages").await;
    let notes = &messages[1]["content"][0]["text"]["annotations"];
    let mut cited = BTreeSet::new();
    for note in notes.as_array().unwrap() {
        let id = text(&note["file_citation"], "file_id");
        let file = ok(&app.get(&format!("/v1/files/{id}")).await);
        cited.insert((text(note, "text"), text(&file, "filename")));
    }
    cited
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn stores_of_assistant_request_and_thread_are_searched_together() {
    let app = TestApp::start_with(INDEXING).await;
    let of_assistant = store_of(&app, &[("assistant.txt", b"The harbour opens at six.")]).await;
    let of_request = store_of(&app, &[("request.txt", b"The harbour is deep.")]).await;
    let of_thread = store_of(&app, &[("thread.txt", b"The harbour has two piers.")]).await;
    let assistant = assistant(&app, &of_assistant, json!({})).await;
    let thread = json!({
        "messages": [asking(&[&["harbour"]])], "tool_resources": in_store(&of_thread)});

    let made = ok(&app.post("/v1/threads", &thread).await);
    let runs = format!("/v1/threads/{}/runs", text(&made, "id"));
    let two = ok(&app.post(&runs, &json!({"assistant_id": assistant})).await);
    let body = json!({"assistant_id": assistant, "thread": thread,
        "tool_resources": in_store(&of_request)});
    let three = ok(&app.post("/v1/threads/runs", &body).await);
    for (run, names) in [
        (two, set(["assistant.txt", "thread.txt"])),
        (three, set(["assistant.txt", "request.txt", "thread.txt"])),
    ] {
        let run = ended(&app, &run).await;
        let found = found(&app, &run).await.concat();
        assert_eq!(found.len(), names.len(), "{found:?}");
        let marks = (0..).zip(&found);
        let marks = marks.map(|(n, name)| (format!("【4:{n}†{name}】"), name.clone()));
        assert_eq!(cited(&app, &run).await, marks.collect());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_call_asks_several_questions_and_a_turn_makes_several_calls() {
    let app = TestApp::start_with(INDEXING).await;
    let files: [(&str, &[u8]); 3] = [
        ("foods.txt", b"Pizza is the best meal."),
        ("pets.txt", b"The cat is called Minka."),
        ("trains.txt", b"The train leaves at noon."),
    ];
    let store = store_of(&app, &files).await;
    let assistant = assistant(&app, &store, json!({})).await;
    let calls: [&[&str]; 2] = [&["pizza", "cat"], &["train"]];
    let body = json!({
        "assistant_id": assistant, "thread": {"messages": [asking(&calls)]}});
    let run = ok(&app.post("/v1/threads/runs", &body).await);
    let run = ended(&app, &run).await;
    let found = found(&app, &run).await;
    assert_eq!(found.len(), 2, "{found:?}");
    let first: BTreeSet<_> = found[0].iter().cloned().collect();
    assert_eq!(first, set(["foods.txt", "pets.txt"]));
    assert_eq!(found[1], ["trains.txt"]);
    // Each call has a block of its own.
    let mut marks = BTreeSet::new();
    for (block, names) in (4..).zip(&found) {
        let names = (0..).zip(names);
        marks.extend(names.map(|(n, name)| (format!("【{block}:{n}†{name}】"), name.clone())));
    }
    assert_eq!(cited(&app, &run).await, marks);
    app.stop().await;
}

#[tokio::test]
async fn a_threshold_of_the_tool_cuts_what_a_run_finds() {
    let app = TestApp::start_with(INDEXING).await;
    let store = store_of(&app, &[("foods.txt", b"Pizza is the best meal.")]).await;
    for (threshold, expected) in [(0.99, &[][..]), (0.5, &["foods.txt"])] {
        let options = json!({"ranking_options": {"score_threshold": threshold}});
        let assistant = assistant(&app, &store, options).await;
        let body = json!({
            "assistant_id": assistant, "thread": {"messages": [asking(&[&["pizza"]])]}});
        let run = ok(&app.post("/v1/threads/runs", &body).await);
        let run = ended(&app, &run).await;
        assert_eq!(found(&app, &run).await, [expected], "{threshold}");
    }
    app.stop().await;
}

/// A mark without anything that was found is none of a file: clients would show it as it is.
#[tokio::test]
async fn marks_that_a_model_makes_up_are_left_out_where_nothing_was_searched() {
    let app = TestApp::start_with(INDEXING).await;
    let store = store_of(&app, &[("foods.txt", b"Pizza is the best meal.")]).await;
    let run = searching(
        &app,
        &store,
        "No file【4:0†foods.txt】 tells 【注意】【4:0】.",
    )
    .await;
    assert_eq!(run["status"], "completed", "{run}");
    let messages = of_run(&app, &run, "messages").await;
    let expected = json!({"value": "No file tells 【注意】.", "annotations": []});
    assert_eq!(messages[1]["content"][0]["text"], expected);
    app.stop().await;
}
