//! `file_search` from end to end: files that are uploaded, indexed by processes of their own, searched
//! by runs, and cited.

#[expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "office documents are built as for the tests of their reader"
)]
mod build;
mod documents;
mod expiry;
mod filters;
mod limits;
mod runs;

use serde_json::{Value, json};

use crate::{admin::ok, app::TestApp, files::upload};

pub(crate) const INDEXING: &str = "[indexing]\nconcurrency = 2";
pub(crate) const FOOD: &str = "# Food\n\nThe favourite food of the crew is pizza with pineapple.\n";

/// A store with these files, all of them looked at.
pub(crate) async fn store_of(app: &TestApp, files: &[(&str, &[u8])]) -> Value {
    let mut ids = Vec::new();
    for (name, bytes) in files {
        ids.push(upload(app, name, "assistants", bytes).await["id"].clone());
    }
    let store = ok(&app
        .post("/v1/vector_stores", &json!({"file_ids": ids}))
        .await);
    let path = format!("/v1/vector_stores/{}", store["id"].as_str().unwrap());
    loop {
        let store = ok(&app.get(&path).await);
        if store["status"] == "completed" {
            return store;
        }
    }
}

/// A path below that of a store; of the store itself where there is no rest.
pub(crate) fn of_store(store: &Value, rest: &str) -> String {
    let path = format!("/v1/vector_stores/{}/{rest}", store["id"].as_str().unwrap());
    path.trim_end_matches('/').to_owned()
}

/// A file in a store, once it is done with.
pub(crate) async fn done(app: &TestApp, store: &Value, file: &Value) -> Value {
    let path = of_store(store, &format!("files/{}", file.as_str().unwrap()));
    loop {
        let file = ok(&app.get(&path).await);
        if file["status"] != "in_progress" {
            return file;
        }
    }
}

pub(crate) async fn ended(app: &TestApp, run: &Value) -> Value {
    let (thread, id) = (
        run["thread_id"].as_str().unwrap(),
        run["id"].as_str().unwrap(),
    );
    loop {
        let run = ok(&app.get(&format!("/v1/threads/{thread}/runs/{id}")).await);
        let status = run["status"].as_str().unwrap();
        if !["queued", "in_progress"].contains(&status) {
            return run;
        }
    }
}

/// A run of the model that repeats what a search has found.
pub(crate) async fn searching(app: &TestApp, store: &Value, lines: &str) -> Value {
    let assistant = json!({
        "model": "echo",
        "tools": [{"type": "file_search"}, {"type": "function", "function": {"name": "clock"}}],
        "tool_resources": {"file_search": {"vector_store_ids": [store["id"]]}},
    });
    let assistant = ok(&app.post("/v1/assistants", &assistant).await);
    let run = json!({
        "assistant_id": assistant["id"],
        "thread": {"messages": [{"role": "user", "content": lines}]},
    });
    let run = ok(&app.post("/v1/threads/runs", &run).await);
    ended(app, &run).await
}

pub(crate) async fn of_run(app: &TestApp, run: &Value, what: &str) -> Vec<Value> {
    let thread = run["thread_id"].as_str().unwrap();
    let path = match what {
        "messages" => format!("/v1/threads/{thread}/messages?order=asc"),
        steps => format!(
            "/v1/threads/{thread}/runs/{}/{steps}order=asc",
            run["id"].as_str().unwrap()
        ),
    };
    ok(&app.get(&path).await)["data"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn what_was_uploaded_is_found_and_cited() {
    let app = TestApp::start_with(INDEXING).await;
    let pets = b"Our cat is called Minka. It is eleven years old.";
    let store = store_of(&app, &[("foods.md", FOOD.as_bytes()), ("pets.txt", pets)]).await;
    assert_eq!(store["file_counts"]["completed"], 2);

    let query = json!({"query": "What is the favourite food?"});
    let path = format!("/v1/vector_stores/{}/search", store["id"].as_str().unwrap());
    let page = ok(&app.post(&path, &query).await);
    let found = page["data"].as_array().unwrap();
    assert_eq!(
        (found.len(), &found[0]["filename"]),
        (1, &json!("foods.md"))
    );
    assert_eq!(found[0]["score"], json!(0.7));

    let run = searching(
        &app,
        &store,
        "/echo call file_search {\"queries\":[\"favourite food\"]}",
    )
    .await;
    assert_eq!(run["status"], "completed", "{run}");
    let steps = of_run(&app, &run, "steps?").await;
    let call = &steps[0]["step_details"]["tool_calls"][0];
    assert_eq!(call["type"], "file_search");
    let results = call["file_search"]["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["file_name"]),
        (1, &json!("foods.md"))
    );
    assert!(results[0].get("content").is_none(), "{results:?}");
    let content = "steps?include[]=step_details.tool_calls[*].file_search.results[*].content&";
    let steps = of_run(&app, &run, content).await;
    let result = &steps[0]["step_details"]["tool_calls"][0]["file_search"]["results"][0];
    assert_eq!(result["content"][0]["text"], FOOD.trim_end());

    // The model repeats what it got, the mark of the passage included.
    let messages = of_run(&app, &run, "messages").await;
    let text = &messages[1]["content"][0]["text"];
    let mark = "【4:0†foods.md】";
    assert!(text["value"].as_str().unwrap().contains(mark), "{text}");
    let annotation = &text["annotations"][0];
    assert_eq!(annotation["text"], mark);
    assert_eq!(annotation["file_citation"]["file_id"], result["file_id"]);
    let start = usize::try_from(annotation["start_index"].as_u64().unwrap()).unwrap();
    let value = text["value"].as_str().unwrap().chars().skip(start);
    assert_eq!(value.take(mark.chars().count()).collect::<String>(), mark);
}

#[tokio::test]
async fn a_turn_that_searches_and_calls_waits_for_the_client_with_the_search_done() {
    let app = TestApp::start_with(INDEXING).await;
    let store = store_of(&app, &[("foods.md", FOOD.as_bytes())]).await;
    let calls = "/echo call file_search {\"queries\":[\"food\"]}\n/echo call clock {}";
    let run = searching(&app, &store, calls).await;
    assert_eq!(run["status"], "requires_action", "{run}");
    let waiting = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");
    let steps = of_run(&app, &run, "steps?").await;
    let calls = &steps[0]["step_details"]["tool_calls"];
    assert_eq!(
        calls[0]["file_search"]["results"][0]["file_name"],
        "foods.md"
    );
    assert_eq!(calls[1]["function"]["name"], "clock");
    let outputs = json!({"tool_outputs": [{"tool_call_id": waiting[0]["id"], "output": "noon"}]});
    let path = format!(
        "/v1/threads/{}/runs/{}/submit_tool_outputs",
        run["thread_id"].as_str().unwrap(),
        run["id"].as_str().unwrap()
    );
    let run = ok(&app.post(&path, &outputs).await);
    assert_eq!(ended(&app, &run).await["status"], "completed");
}

#[tokio::test]
async fn files_that_can_not_be_read_fail_by_themselves() {
    let app = TestApp::start_with(INDEXING).await;
    let bomb = [0x1f_u8, 0x8b, 8, 0, 0, 0, 0, 0];
    let files: [(&str, &[u8]); 4] = [
        ("good.txt", b"Good words."),
        ("bad.pdf", b"no pdf at all"),
        ("empty.txt", b""),
        ("bomb.pdf", &bomb),
    ];
    let store = store_of(&app, &files).await;
    let counts = &store["file_counts"];
    assert_eq!(
        (&counts["completed"], &counts["failed"]),
        (&json!(1), &json!(3)),
        "{store}"
    );
    let path = format!(
        "/v1/vector_stores/{}/files?filter=failed",
        store["id"].as_str().unwrap()
    );
    let failed = ok(&app.get(&path).await);
    for file in failed["data"].as_array().unwrap() {
        let code = file["last_error"]["code"].as_str().unwrap();
        assert!(
            ["invalid_file", "unsupported_file"].contains(&code),
            "{file}"
        );
        let message = file["last_error"]["message"].as_str().unwrap();
        assert!(message.ends_with('.') && message.len() > 10, "{file}");
    }
}
