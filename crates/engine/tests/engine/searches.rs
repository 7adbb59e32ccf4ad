//! Runs that search: what they wait for, for how long, and what they leave alone meanwhile.

use std::time::Duration;

use loomgate_domain::{
    BlobId, Clock as _, File, FileId, Limits, Run, Timestamp, VectorStore, VectorStoreId,
    file::{Blob, FileStatus, Purpose},
    message::{Attachment, AttachmentTool},
    run::{RunState, RunStatus, StepDetails, ToolCall},
    tool::{FileSearch, Tool},
};
use loomgate_engine::{RunRequest, Settings, ThreadTarget};
use loomgate_store::{ClaimRequest, Indexed, IndexingTurns, NewChunk, Options, PutFiles};
use loomgate_wire::{chat::ChatMessage, request::CreateThread};

use crate::harness::{Bench, Reply, calls, options, user};

/// An engine with one place, whose leases outlast all that its clock is advanced by.
fn settings() -> Settings {
    Settings {
        concurrency: 1,
        lease: Duration::from_hours(10),
        ..Bench::settings(Limits::default())
    }
}

fn file_id() -> FileId {
    FileId::trusted("file-1")
}

/// A file that nobody has indexed.
async fn file(bench: &Bench) {
    let (id, now) = (file_id(), Timestamp(1));
    let blob = Blob {
        id: BlobId::trusted("blob_1"),
        hash: "0".repeat(64),
        bytes: 5,
    };
    let file = File {
        id,
        created_at: now,
        filename: "food.txt".to_owned(),
        purpose: Purpose::Assistants,
        bytes: 5,
        expires_at: None,
        status: FileStatus::Processed,
    };
    let blobs = bench.store.blobs();
    blobs.begin(&bench.ws, &blob.id, now).await.unwrap();
    let files = bench.store.files();
    files
        .create(&bench.ws, file, blob, (None, now))
        .await
        .unwrap();
}

/// What an indexer does to it.
pub(crate) async fn index(bench: &Bench) {
    let indexing = bench.store.indexing();
    let request = ClaimRequest {
        worker: "indexer".to_owned(),
        now_ms: 0,
        lease_ms: i64::MAX,
        max: 1,
    };
    let mut turns = IndexingTurns::default();
    let claims = indexing.claim(request, &mut turns).await;
    let guard = claims.unwrap().remove(0).guard;
    let chunk = NewChunk {
        start: 0,
        tokens: 4,
        text: "The food is pizza.".to_owned(),
        words: "the food is pizza".to_owned(),
        vector: None,
    };
    assert!(indexing.write(guard.clone(), vec![chunk]).await.unwrap());
    let indexed = Indexed {
        usage_bytes: 18,
        embedding: None,
    };
    assert!(indexing.complete(guard, indexed).await.unwrap());
}

/// A run with the tool whose message attaches the file.
fn attaching(bench: &Bench) -> RunRequest {
    let mut request = searching(bench);
    if let ThreadTarget::Existing(_, messages) = &mut request.thread {
        messages[0].attachments = vec![Attachment {
            file_id: Some(file_id().to_string()),
            tools: vec![AttachmentTool::FileSearch],
        }];
    }
    request
}

/// A run with the tool.
pub(crate) fn searching(bench: &Bench) -> RunRequest {
    let mut options = options(false);
    options.tools = Some(vec![Tool::FileSearch {
        file_search: FileSearch::default(),
    }]);
    bench.request("Look.", options)
}

pub(crate) async fn create(bench: &Bench, request: RunRequest) -> Run {
    let created = bench.engine.create_run(&bench.ws, request).await;
    created.unwrap().run
}

/// The model asks for a search, and then answers.
pub(crate) fn searches(bench: &Bench) {
    let arguments = [r#"{"queries":["food"]}"#];
    let events = calls(&[("call_1", "file_search", &arguments)]);
    bench.model.then(Reply::Events(events));
}

/// Waits until the run has a search that is not carried out. The names of what it found, once it is.
pub(crate) async fn search_of(bench: &Bench, run: &Run) -> Option<Vec<String>> {
    loop {
        for step in bench.steps(&run.id).await {
            if let StepDetails::ToolCalls { tool_calls } = step.details
                && let [ToolCall::FileSearch { file_search, .. }] = &*tool_calls
            {
                let found = file_search.results.as_ref()?.iter();
                return Some(found.map(|result| result.file_name.clone()).collect());
            }
        }
        tokio::task::yield_now().await;
    }
}

/// The last that the model was told.
fn told(bench: &Bench) -> String {
    let requests = bench.model.requests();
    match requests.last().and_then(|it| it.messages.last()) {
        Some(ChatMessage::Tool { content, .. }) => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// A run whose search waits for a file of its thread.
pub(crate) async fn waiting() -> (Bench, Run) {
    let bench = Bench::idle(Bench::database(), settings()).await;
    bench.engine.start().await.unwrap();
    file(&bench).await;
    searches(&bench);
    let run = create(&bench, attaching(&bench)).await;
    assert_eq!(search_of(&bench, &run).await, None);
    (bench, run)
}

#[tokio::test]
async fn files_of_the_thread_are_waited_for_without_a_place() {
    let (bench, run) = waiting().await;
    // The only place is free for another run meanwhile, and is so once more behind it.
    for _ in 0..2 {
        bench.model.says(&["Hello."]);
        let other = RunRequest {
            thread: ThreadTarget::New(CreateThread {
                messages: vec![user("Hi.")],
                ..CreateThread::default()
            }),
            ..bench.request("", options(false))
        };
        let other = create(&bench, other).await;
        let status = loop {
            let runs = bench.store.runs();
            let found = runs.get(&bench.ws, &other.thread_id, &other.id).await;
            let status = found.unwrap().unwrap().state.status();
            if !status.is_active() {
                break status;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(status, RunStatus::Completed);
    }
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::InProgress
    );
    assert_eq!(search_of(&bench, &run).await, None);

    bench.model.says(&["Pizza."]);
    index(&bench).await;
    let ended = bench.settled(&run.id).await;
    assert_eq!(ended.state.status(), RunStatus::Completed);
    let found = search_of(&bench, &run).await;
    assert_eq!(found, Some(vec!["food.txt".to_owned()]));
    assert!(told(&bench).contains("The food is pizza."));
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once() {
    let (bench, run) = waiting().await;
    let engine = &bench.engine;
    let cancelled = engine.cancel(&bench.ws, &bench.thread, &run.id).await;
    cancelled.unwrap();
    let ended = bench.settled(&run.id).await;
    assert_eq!(ended.state.status(), RunStatus::Cancelled);
    assert_eq!(bench.model.requests().len(), 1);
}

#[tokio::test]
async fn a_minute_is_all_that_files_are_waited_for() {
    let (bench, run) = waiting().await;
    bench.model.says(&["I do not know."]);
    bench.clock.advance(60);
    let ended = bench.settled(&run.id).await;
    assert_eq!(search_of(&bench, &run).await, Some(Vec::new()));
    assert!((60..100).contains(&seconds(&ended)), "{ended:?}");
}

/// How long a run took that has completed.
fn seconds(run: &Run) -> i64 {
    match run.state {
        RunState::Completed {
            started_at,
            completed_at,
        } => completed_at.0 - started_at.0,
        _ => panic!("{run:?}"),
    }
}

#[tokio::test]
async fn whoever_takes_a_waiting_run_over_waits_for_the_rest_of_the_minute() {
    let mut bench = Bench::idle(Options::memory(), settings()).await;
    // A process is a runtime here: it ends between two steps of its tasks, and they with it.
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let engine = bench.engine.clone();
    let started = process.spawn(async move { engine.start().await });
    started.await.unwrap().unwrap();
    file(&bench).await;
    searches(&bench);
    let run = create(&bench, attaching(&bench)).await;
    assert_eq!(search_of(&bench, &run).await, None);
    let ended = move || process.shutdown_timeout(Duration::from_mins(1));
    tokio::task::spawn_blocking(ended).await.unwrap();

    bench.clock.advance(60);
    bench.model.says(&["I do not know."]);
    bench.restart().await;
    let ended = bench.settled(&run.id).await;
    assert_eq!(search_of(&bench, &run).await, Some(Vec::new()));
    // The model was not asked for its search again, and nobody waited for another minute.
    assert_eq!(bench.model.requests().len(), 2);
    assert!((60..100).contains(&seconds(&ended)), "{ended:?}");
}

/// Gives the thread a store that expires a day after its last use.
async fn with_store(bench: &Bench, used: Timestamp) -> VectorStoreId {
    let store = VectorStore {
        expires_after_days: Some(1),
        last_active_at: used,
        ..VectorStore::new(VectorStoreId::trusted("vs_1"), Timestamp(1))
    };
    let id = store.id.clone();
    let put = PutFiles {
        files: Vec::new(),
        at: used,
        most: 10,
    };
    let stores = bench.store.vector_stores();
    stores.create(&bench.ws, store, put, None).await.unwrap();
    let threads = bench.store.threads();
    let named = threads.update(&bench.ws, &bench.thread, |mut thread| {
        thread.tool_resources.set_vector_store("vs_1");
        thread
    });
    named.await.unwrap().unwrap();
    id
}

#[tokio::test]
async fn a_run_on_a_thread_whose_store_has_expired_fails_before_its_model_is_asked() {
    let bench = Bench::new().await;
    with_store(&bench, Timestamp(1)).await;
    let run = create(&bench, searching(&bench)).await;
    let ended = bench.settled(&run.id).await;
    let RunState::Failed { error, .. } = &ended.state else {
        panic!("{ended:?}")
    };
    let why = "Vector store 'vs_1' has expired.";
    assert!(error.message.starts_with(why), "{error:?}");
    assert_eq!(bench.model.requests().len(), 0);

    // Without the tool it has nothing to do with the store.
    bench.model.says(&["Hello."]);
    let run = bench.run("Hi.").await;
    let ended = bench.settled(&run.id).await;
    assert_eq!(ended.state.status(), RunStatus::Completed);
}

#[tokio::test]
async fn a_store_is_used_by_runs_that_may_search_it() {
    let bench = Bench::new().await;
    let an_hour_ago = Timestamp(bench.clock.now().0 - 3600);
    let id = with_store(&bench, an_hour_ago).await;
    bench.model.says(&["Nothing to look for."]);
    let run = create(&bench, searching(&bench)).await;
    let ended = bench.settled(&run.id).await;
    let stores = bench.store.vector_stores();
    let store = stores.get(&bench.ws, &id).await.unwrap().unwrap();
    assert!(store.last_active_at >= ended.created_at, "{store:?}");
}
