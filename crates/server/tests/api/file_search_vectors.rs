//! `file_search` by what texts mean: embeddings of a provider, from the upload of a file to the passages
//! of a run, and what becomes of it when the provider fails.

use loomgate_testkit::{
    embeddings,
    upstream::{FakeUpstream, Recorded, Reply},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    admin::ok,
    app::{Answer, TestApp, UPSTREAM_KEY},
    file_search::{done, ended, of_run, of_store as path, searching, store_of},
    files::upload,
    program::fail,
};

const OPTIONS: &str = "[indexing]\nconcurrency = 2\n\
    [file_search]\nembeddings = 'scripted/embed-small'\nrewrite_model = 'scripted/writer'\n";
const PETS: &[u8] = b"The kitten has long whiskers.";
const FOOD: &[u8] = b"Pizza is the best meal.";

/// What a text is about: pets, food or travel.
fn vector(text: &str) -> Vec<f32> {
    const SUBJECTS: [&[&str]; 3] = [
        &["cat", "dog", "kitten", "whiskers"],
        &["pizza", "meal", "dinner"],
        &["train", "ship", "luggage"],
    ];
    let text = text.to_lowercase();
    let about = |words: &&[&str]| {
        let named = words.iter().filter(|word| text.contains(**word));
        named.map(|_| 1.0).sum::<f32>()
    };
    let mut vector: Vec<f32> = SUBJECTS.iter().map(about).collect();
    vector.push(0.1);
    vector
}

async fn start() -> TestApp {
    let upstream = FakeUpstream::start().await;
    upstream.embeds(vector);
    TestApp::start_in(tempfile::tempdir().unwrap(), upstream, OPTIONS).await
}

/// Names and scores of what is found.
async fn search(app: &TestApp, store: &Value, query: &str) -> Vec<(String, f64)> {
    let body = json!({"query": query, "ranking_options": {"score_threshold": 0.5}});
    let page = ok(&app.post(&path(store, "search"), &body).await);
    found(&page)
}

fn found(page: &Value) -> Vec<(String, f64)> {
    let results = page["data"].as_array().unwrap().iter();
    let of = |it: &Value| {
        (
            it["filename"].as_str().unwrap().to_owned(),
            it["score"].as_f64().unwrap(),
        )
    };
    results.map(of).collect()
}

async fn names(app: &TestApp, store: &Value, query: &str) -> Vec<String> {
    let found = search(app, store, query).await.into_iter();
    found.map(|(name, _)| name).collect()
}

/// What the upstream was asked to embed since so many requests.
fn embedded(upstream: &FakeUpstream, since: usize) -> Vec<Vec<String>> {
    let requests = upstream.requests().into_iter().skip(since);
    let of = |it: Recorded| {
        it.path
            .ends_with("/embeddings")
            .then(|| it.body["input"].clone())
    };
    let inputs = requests.filter_map(of);
    inputs
        .map(|it| serde_json::from_value(it).unwrap())
        .collect()
}

#[tokio::test]
async fn a_question_finds_what_shares_no_word_with_it() {
    let app = start().await;
    let store = store_of(&app, &[("pets.txt", PETS), ("foods.txt", FOOD)]).await;
    let request = app.upstream.requests().remove(0);
    assert_eq!(
        (&*request.method, &*request.path),
        ("POST", "/v1/embeddings")
    );
    assert_eq!(request.body["model"], "embed-small");
    let key = format!("Bearer {UPSTREAM_KEY}");
    assert_eq!(request.header("authorization"), Some(&*key));

    let found = search(&app, &store, "Do I need a cat or a dog?").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "pets.txt");
    assert!((0.9..=1.0).contains(&found[0].1), "{found:?}");

    // A run finds it in the same way.
    let lines = "/echo call file_search {\"queries\":[\"dinner\"]}";
    let run = searching(&app, &store, lines).await;
    assert_eq!(run["status"], "completed", "{run}");
    let steps = of_run(&app, &run, "steps?").await;
    let results = &steps[0]["step_details"]["tool_calls"][0]["file_search"]["results"];
    assert_eq!(results[0]["file_name"], "foods.txt", "{results}");
    app.stop().await;
}

#[tokio::test]
async fn the_local_model_finds_what_shares_no_word_with_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let model = embeddings::model();
    let options = format!(
        "[indexing]\nconcurrency = 2\n[file_search]\nembeddings = 'local:{}'\n",
        model.display()
    );
    let app = TestApp::start_in(folder, FakeUpstream::start().await, &options).await;
    let files: [(&str, &[u8]); 3] = [
        ("pets.txt", b"Kittens sleep for most of the day."),
        (
            "taxes.txt",
            b"Income has to be declared by the end of March.",
        ),
        (
            "food.txt",
            b"Knead the dough and let it rise before baking.",
        ),
    ];
    let store = store_of(&app, &files).await;
    for (question, name) in [
        ("How long do young cats rest?", "pets.txt"),
        ("When is my money reported to the state?", "taxes.txt"),
        ("How is bread made?", "food.txt"),
    ] {
        let body = json!({"query": question, "max_num_results": 1});
        let page = ok(&app.post(&path(&store, "search"), &body).await);
        assert_eq!(page["data"][0]["filename"], name, "{question}: {page}");
    }
    // Nobody else was asked.
    assert_eq!(app.upstream.requests().len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_embedded_twice_and_what_is_gone_is_not_found() {
    let app = start().await;
    // One paragraph of it is looked for: no more than both files' fit among the results.
    let about = |n| if n == 50 { "luggage" } else { "nothing" };
    let words = " word".repeat(200);
    let paragraph = |n| format!("Paragraph {n}: {}.{words}\n\n", about(n));
    let long = (0..100).map(paragraph).collect::<Vec<_>>().concat();
    let file = upload(&app, "long.txt", "assistants", long.as_bytes()).await["id"].clone();
    let store = ok(&app.post("/v1/vector_stores", &json!({"name": "s"})).await);
    let chunking = json!({"type": "static", "static":
        {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 0}});
    let body = json!({"file_id": file, "chunking_strategy": chunking});
    ok(&app.post(&path(&store, "files"), &body).await);
    assert_eq!(done(&app, &store, &file).await["status"], "completed");
    let batches = embedded(&app.upstream, 0);
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    assert!(
        sizes.len() > 1 && sizes.iter().all(|size| *size <= 64),
        "{sizes:?}"
    );
    assert!(sizes[0] > 60, "{sizes:?}");

    // The same once more, then another file with the same text.
    let before = app.upstream.count();
    ok(&app.post(&path(&store, "files"), &body).await);
    assert_eq!(done(&app, &store, &file).await["status"], "completed");
    let twin = upload(&app, "twin.txt", "assistants", long.as_bytes()).await["id"].clone();
    let body = json!({"file_id": twin, "chunking_strategy": chunking});
    ok(&app.post(&path(&store, "files"), &body).await);
    assert_eq!(done(&app, &store, &twin).await["status"], "completed");
    assert_eq!(app.upstream.count(), before);

    let names_of = async || {
        let mut names = names(&app, &store, "a ship").await;
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names_of().await, ["long.txt", "twin.txt"]);
    assert_eq!(embedded(&app.upstream, before), [["a ship"]]);
    let file = path(&store, &format!("files/{}", file.as_str().unwrap()));
    ok(&Answer::of(app.request(Method::DELETE, &file)).await);
    assert_eq!(names_of().await, ["twin.txt"]);
    app.stop().await;
}

#[tokio::test]
async fn vectors_outlive_a_restart() {
    let app = start().await;
    let store = store_of(&app, &[("pets.txt", PETS)]).await;
    assert_eq!(names(&app, &store, "a dog").await, ["pets.txt"]);
    let (folder, upstream) = app.end().await;
    let before = upstream.count();
    let app = TestApp::start_in(folder, upstream, OPTIONS).await;
    assert_eq!(names(&app, &store, "a dog").await, ["pets.txt"]);
    assert_eq!(embedded(&app.upstream, before), [["a dog"]]);
    // Another model makes its own of what is there, in the background.
    let (folder, upstream) = app.end().await;
    let options = OPTIONS.replace("embed-small", "embed-large");
    let app = TestApp::start_in(folder, upstream, &options).await;
    assert_eq!(names(&app, &store, "long whiskers").await, ["pets.txt"]);
    while names(&app, &store, "a dog").await.is_empty() {
        tokio::task::yield_now().await;
    }
    let requests = app.upstream.requests();
    let text = json!([std::str::from_utf8(PETS).unwrap()]);
    let by_large = requests
        .iter()
        .filter(|it| it.body["model"] == "embed-large");
    assert_eq!(by_large.filter(|it| it.body["input"] == text).count(), 1);
    app.stop().await;
}

#[tokio::test]
async fn the_weights_of_the_tool_decide_what_comes_first_in_a_run() {
    let app = start().await;
    // One has the word, and is about something else for the most part; the other means it.
    let files: [(&str, &[u8]); 2] = [
        ("word.txt", b"A cat on a train, a ship, and luggage."),
        ("meaning.txt", PETS),
    ];
    let store = store_of(&app, &files).await;
    for (embedding, text, expected) in [
        (0.0, 1.0, ["word.txt", "meaning.txt"]),
        (1.0, 0.0, ["meaning.txt", "word.txt"]),
    ] {
        let weights = json!({"embedding_weight": embedding, "text_weight": text});
        let options = json!({"score_threshold": 0, "hybrid_search": weights});
        let assistant = json!({
            "model": "echo",
            "tools": [{"type": "file_search", "file_search": {"ranking_options": options}}],
            "tool_resources": {"file_search": {"vector_store_ids": [store["id"]]}},
        });
        let assistant = ok(&app.post("/v1/assistants", &assistant).await);
        let lines = "/echo call file_search {\"queries\":[\"cat\"]}";
        let body = json!({"assistant_id": assistant["id"],
            "thread": {"messages": [{"role": "user", "content": lines}]}});
        let run = ok(&app.post("/v1/threads/runs", &body).await);
        let run = ended(&app, &run).await;
        assert_eq!(run["status"], "completed", "{run}");
        let steps = of_run(&app, &run, "steps?").await;
        let results = &steps[0]["step_details"]["tool_calls"][0]["file_search"]["results"];
        let results = results.as_array().unwrap().iter();
        let names: Vec<_> = results.map(|it| &it["file_name"]).collect();
        assert_eq!(names, expected, "{embedding} {text}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_model_has_the_last_word_on_what_was_found() {
    let options = "[indexing]\nconcurrency = 2\n[file_search]\nrerank_model = 'scripted/judge'\n";
    let upstream = FakeUpstream::start().await;
    let app = TestApp::start_in(tempfile::tempdir().unwrap(), upstream, options).await;
    let files: [(&str, &[u8]); 2] = [("one.txt", b"A cat sleeps."), ("two.txt", b"The cat eats.")];
    let store = store_of(&app, &files).await;
    let search = async |ranking: Value| {
        let body = json!({"query": "cat", "ranking_options": ranking});
        found(&ok(&app.post(&path(&store, "search"), &body).await))
    };
    let fused = search(json!({"ranker": "none", "score_threshold": 0})).await;
    assert_eq!((fused.len(), app.upstream.count()), (2, 0));
    let judged = json!({"results": [
        {"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}]});
    for (threshold, expected) in [(0.0, 2), (0.5, 1)] {
        app.upstream.push(Reply::status(200, judged.clone(), &[]));
        let ranked = search(json!({"ranker": "auto", "score_threshold": threshold})).await;
        let by_model = [(fused[1].0.clone(), 0.75), (fused[0].0.clone(), 0.25)];
        assert_eq!(ranked, by_model[..expected]);
    }
    let request = app.upstream.requests().remove(0);
    assert_eq!(request.path, "/v1/rerank");
    assert_eq!(
        (&request.body["model"], &request.body["query"]),
        (&json!("judge"), &json!("cat"))
    );
    assert_eq!(request.body["documents"].as_array().unwrap().len(), 2);
    // Without its word, the fused ranking stands.
    let refusal = json!({"error": {"message": "no such model"}});
    app.upstream.push(Reply::status(404, refusal, &[]));
    assert_eq!(search(json!({"score_threshold": 0})).await, fused);
    app.upstream
        .push(Reply::status(200, json!({"results": []}), &[]));
    assert_eq!(search(json!({"score_threshold": 0})).await, fused);
    app.stop().await;
}

#[tokio::test]
async fn a_provider_that_fails_leaves_the_words_and_says_so_of_files() {
    let app = start().await;
    let store = store_of(&app, &[("pets.txt", PETS)]).await;
    let says = |message: &str| json!({"error": {"message": message, "type": "x"}});
    let refusal = says("The model 'embed-small' does not exist");
    app.upstream.push(Reply::status(404, refusal.clone(), &[]));
    assert_eq!(names(&app, &store, "long whiskers").await, ["pets.txt"]);
    app.upstream
        .push(Reply::status(200, json!({"data": []}), &[]));
    assert_eq!(names(&app, &store, "a dog").await, [""; 0]);

    // What repeats the key does not get it into the world.
    let message = format!("Incorrect API key {UPSTREAM_KEY}");
    app.upstream.push(Reply::status(401, says(&message), &[]));
    let file = upload(&app, "foods.txt", "assistants", FOOD).await["id"].clone();
    ok(&app
        .post(&path(&store, "files"), &json!({"file_id": file}))
        .await);
    let failed = done(&app, &store, &file).await;
    assert_eq!(failed["status"], "failed");
    let error = &failed["last_error"];
    assert_eq!(error["code"], "server_error");
    let message = error["message"].as_str().unwrap();
    let start =
        "The embeddings of the file could not be made. The provider answered with status 401";
    assert!(message.starts_with(start), "{message}");
    assert!(!message.contains(UPSTREAM_KEY), "{message}");

    // In passing: the gateway tries again by itself.
    app.upstream
        .push(Reply::status(503, says("busy"), &[("retry-after-ms", "1")]));
    ok(&app
        .post(&path(&store, "files"), &json!({"file_id": file}))
        .await);
    assert_eq!(done(&app, &store, &file).await["status"], "completed");
    assert_eq!(names(&app, &store, "dinner").await, ["foods.txt"]);
    app.stop().await;
}

#[tokio::test]
async fn a_model_rewrites_the_question_where_it_is_asked_to() {
    let app = start().await;
    let store = store_of(&app, &[("pets.txt", PETS), ("foods.txt", FOOD)]).await;
    let says = |text: &str| {
        let message = json!({"role": "assistant", "content": text});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let body = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "writer",
            "choices": [choice],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
        Reply::status(200, body, &[])
    };
    let question = json!({"query": "Hello! What do we feed it?", "rewrite_query": true,
        "ranking_options": {"score_threshold": 0.5}});
    app.upstream.push(says("\"dinner pizza\"\n"));
    let page = ok(&app.post(&path(&store, "search"), &question).await);
    assert_eq!(page["search_query"], json!(["dinner pizza"]));
    assert_eq!(found(&page)[0].0, "foods.txt");
    let requests = app.upstream.requests();
    let asked = requests
        .iter()
        .find(|it| it.path.ends_with("/chat/completions"));
    let asked = &asked.unwrap().body;
    assert_eq!(asked["model"], "writer");
    assert_eq!(
        asked["messages"][1]["content"],
        "Hello! What do we feed it?"
    );
    // One that fails leaves the question as it is, which the answer shows.
    app.upstream
        .push(Reply::status(400, json!({"error": {"message": "no"}}), &[]));
    let page = ok(&app.post(&path(&store, "search"), &question).await);
    assert_eq!(page["search_query"], json!(["Hello! What do we feed it?"]));
    app.stop().await;
}

#[tokio::test]
async fn a_folder_without_a_model_fails_the_start_and_says_what_belongs_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[file_search]\nembeddings = \"local:no-model\"\n";
    std::fs::write(folder.path().join("loomgate.toml"), config).unwrap();
    let (code, told) = fail(folder.path(), &["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(1), "{told}");
    let start =
        "`file_search.embeddings`: the model in no-model: no-model/config.json can not be read";
    assert!(told.contains(start), "{told}");
    assert!(told.contains("all-MiniLM-L6-v2"), "{told}");
}
