//! `x-loomgate-when-locked`: a thread that a run locks, and what a client may ask for then.

use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B, TestApp},
    process::text,
};

/// Of workspace `b`, whose model is the scripted upstream.
async fn send(app: &TestApp, path: &str, when: Option<&str>, body: &Value) -> Answer {
    let request = app.bare(Method::POST, &format!("/v1{path}"));
    let request = request.bearer_auth(KEY_B).json(body);
    Answer::of(match when {
        Some(when) => request.header("x-loomgate-when-locked", when),
        None => request,
    })
    .await
}

async fn get(app: &TestApp, path: &str) -> Value {
    let request = app.bare(Method::GET, &format!("/v1{path}"));
    Answer::of(request.bearer_auth(KEY_B)).await.json()
}

/// A thread of `b` that a run locks until the gate opens.
struct Locked {
    app: TestApp,
    gate: Gate,
    assistant: String,
    thread: String,
    run: String,
}

impl Locked {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(options: &str) -> Self {
        let upstream = FakeUpstream::start().await;
        let gate = Gate::new();
        upstream.push(Reply::gated("First.", &gate));
        let folder = tempfile::tempdir().unwrap();
        let app = TestApp::start_in(folder, upstream, options).await;
        let assistant = send(&app, "/assistants", None, &json!({"model": "gpt-4o"})).await;
        let assistant = text(&assistant.json(), "id");
        let thread = json!({"messages": [{"role": "user", "content": "one"}]});
        let both = json!({"assistant_id": assistant, "thread": thread});
        let run = send(&app, "/threads/runs", None, &both).await.json();
        app.upstream.next_request().await;
        Self {
            app,
            gate,
            assistant,
            thread: text(&run, "thread_id"),
            run: text(&run, "id"),
        }
    }

    async fn create_run(&self, words: &str, when: Option<&str>) -> Answer {
        let message = json!({"role": "user", "content": words});
        let body = json!({"assistant_id": self.assistant, "additional_messages": [message]});
        send(
            &self.app,
            &format!("/threads/{}/runs", self.thread),
            when,
            &body,
        )
        .await
    }

    async fn add(&self, words: &str, when: Option<&str>) -> Answer {
        let body = json!({"role": "user", "content": words});
        send(
            &self.app,
            &format!("/threads/{}/messages", self.thread),
            when,
            &body,
        )
        .await
    }

    /// Waits until a run has this status.
    async fn settled(&self, run: &str, status: &str) {
        let path = format!("/threads/{}/runs/{run}", self.thread);
        while get(&self.app, &path).await["status"] != status {
            tokio::task::yield_now().await;
        }
    }

    /// What stands in the thread, oldest first.
    async fn said(&self) -> Vec<String> {
        let path = format!("/threads/{}/messages?order=asc&limit=100", self.thread);
        let list = get(&self.app, &path).await;
        let said = list["data"].as_array().unwrap().iter();
        said.map(|it| text(&it["content"][0]["text"], "value"))
            .collect()
    }
}

#[tokio::test]
async fn what_is_enqueued_has_its_turn() {
    let locked = Locked::new().await;
    locked.app.upstream.push(Reply::text("Second."));
    let message = locked.add("two", Some("enqueue")).await;
    assert_eq!(message.status, 200, "{}", message.text);
    let run = locked.create_run("three", Some("enqueue")).await.json();
    assert_eq!(run["status"], "queued");
    assert_eq!(
        run["expires_at"].as_i64(),
        Some(run["created_at"].as_i64().unwrap() + 600)
    );

    // They are read by their ids, and stand in the list once they have their place.
    let path = format!(
        "/threads/{}/messages/{}",
        locked.thread,
        text(&message.json(), "id")
    );
    assert_eq!(get(&locked.app, &path).await, message.json());
    let changed = send(&locked.app, &path, None, &json!({"metadata": {"a": "b"}})).await;
    assert_eq!(changed.json()["metadata"], json!({"a": "b"}));
    assert_eq!(locked.said().await, ["one"]);

    locked.gate.release(1);
    locked.settled(&text(&run, "id"), "completed").await;
    assert_eq!(
        locked.said().await,
        ["one", "First.", "two", "three", "Second."]
    );
    assert_eq!(get(&locked.app, &path).await["metadata"], json!({"a": "b"}));
    locked.app.stop().await;
}

#[tokio::test]
async fn whoever_waits_is_answered_when_the_thread_is_free() {
    let locked = Locked::new().await;
    let opened = async {
        // The original's answer meanwhile.
        let error = locked.add("no", None).await.error(400);
        let expected = format!(
            "Can't add messages to {} while a run {} is active.",
            locked.thread, locked.run
        );
        assert_eq!(error.message, expected);
        locked.gate.release(1);
    };
    let (added, ()) = tokio::join!(locked.add("two", Some("wait=120")), opened);
    assert_eq!(added.status, 200, "{}", added.text);
    assert_eq!(locked.said().await, ["one", "First.", "two"]);
    locked.app.stop().await;
}

#[tokio::test]
async fn the_run_before_is_cancelled() {
    let locked = Locked::new().await;
    locked.app.upstream.push(Reply::text("Second."));
    let run = locked.create_run("two", Some("cancel_previous")).await;
    assert_eq!(run.status, 200, "{}", run.text);
    locked.settled(&locked.run, "cancelled").await;
    locked.settled(&text(&run.json(), "id"), "completed").await;
    assert_eq!(locked.said().await.last().unwrap(), "Second.");
    locked.app.stop().await;
}

#[tokio::test]
async fn patience_ends_with_the_originals_answer() {
    let locked = Locked::new().await;
    let error = locked.create_run("two", Some("wait=1")).await.error(400);
    let expected = format!(
        "Thread {} already has an active run {}.",
        locked.thread, locked.run
    );
    assert_eq!((error.message, error.code), (expected, None));
    locked.gate.release(1);
    locked.app.stop().await;
}

#[tokio::test]
async fn a_key_has_a_choice_of_its_own_and_the_header_goes_before_it() {
    let key = "lg-test-workspace-b-enqueues-0123456789";
    let file = format!(
        "[[api_keys]]\nname = 'enqueues'\nkey = '{key}'\nworkspace = 'b'\n\
         default_virtual_key = 'scripted'\nwhen_locked = 'enqueue'\n"
    );
    // Tables of keys stand before those of virtual keys or after them alike.
    let locked = Locked::with(&file).await;
    let path = format!("/v1/threads/{}/messages", locked.thread);
    let post = |when: Option<&'static str>| {
        let request = locked.app.bare(Method::POST, &path).bearer_auth(key);
        let request = request.json(&json!({"role": "user", "content": "two"}));
        Answer::of(match when {
            Some(when) => request.header("x-loomgate-when-locked", when),
            None => request,
        })
    };
    assert_eq!(post(None).await.status, 200);
    post(Some("fail")).await.error(400);
    locked.gate.release(1);
    locked.settled(&locked.run, "completed").await;
    assert_eq!(locked.said().await, ["one", "First.", "two"]);
    locked.app.stop().await;
}

#[tokio::test]
async fn only_so_much_waits() {
    let locked = Locked::new().await;
    for n in 0..64 {
        let added = locked.add(&n.to_string(), Some("enqueue")).await;
        assert_eq!(added.status, 200, "{}", added.text);
    }
    let error = locked.add("one more", Some("enqueue")).await.error(400);
    let start = format!("Thread {} has 64 messages and runs waiting", locked.thread);
    error.expect(&start, Some("thread_queue_full"));
    locked.gate.release(1);
    locked.settled(&locked.run, "completed").await;
    assert_eq!(locked.said().await.len(), 66);
    locked.app.stop().await;
}

#[tokio::test]
async fn a_header_that_says_nothing_known_is_refused() {
    let app = TestApp::start().await;
    for when in ["", "queue", "wait=0", "wait=601", "enqueue=3"] {
        let request = app.request(Method::POST, "/v1/threads/thread_1/messages");
        let request = request.json(&json!({"role": "user", "content": "hi"}));
        let answer = Answer::of(request.header("x-loomgate-when-locked", when)).await;
        let error = answer.error(400);
        let start = "Invalid 'x-loomgate-when-locked' header: expected 'fail', 'wait', 'enqueue'";
        assert!(error.message.starts_with(start), "{when:?}: {error:?}");
        assert_eq!(error.param.as_deref(), Some("x-loomgate-when-locked"));
        assert_eq!(error.code.as_deref(), Some("invalid_value"));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_provider_locks_its_threads_by_itself() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::text("relayed"));
    let key = "lg-test-workspace-b-upstream-0123456789";
    let options = format!(
        "[virtual_keys.theirs]\nprovider = 'openai'\nbase_url = '{}'\nassistants = 'upstream'\n\
         api_key = 'sk-test-theirs-0123456789'\n\
         [[api_keys]]\nname = 'up'\nkey = '{key}'\nworkspace = 'b'\n\
         default_virtual_key = 'theirs'\nwhen_locked = 'enqueue'\n",
        upstream.url()
    );
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::start_in(folder, upstream, &options).await;
    let post = |when: &'static str| {
        let request = app.bare(Method::POST, "/v1/threads/thread_abc/messages");
        let request = request
            .bearer_auth(key)
            .header("x-loomgate-when-locked", when);
        Answer::of(request.json(&json!({"role": "user", "content": "hi"})))
    };
    let error = post("enqueue").await.error(400);
    assert!(
        error.message.contains("this thread is the provider's"),
        "{error:?}"
    );
    assert_eq!(app.upstream.count(), 0);
    assert_eq!(post("fail").await.status, 200);
    let relayed = app.upstream.next_request().await;
    assert_eq!(relayed.header("x-loomgate-when-locked"), None);
    app.stop().await;
}
