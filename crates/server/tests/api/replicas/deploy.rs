//! A deploy: processes are stopped and started one after the other while clients work. A client tries
//! again where its connection was refused or reset, and opens a stream again that broke off; no
//! request is answered by a failure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loomgate_testkit::upstream::{Gate, Reply};
use parking_lot::Mutex;
use reqwest::{Client, Method, Response, Url, header};
use serde_json::{Value, json};

use super::Site;
use crate::{
    app::client,
    process::{Process, text},
};

const ANSWER: &str = "It took a while, but here it is.";
/// Enough for the turn of a model to be under way when its process is stopped, and is let go of.
const DRAIN_S: &str = "1";

/// What clients know: where to go, and when it is over.
struct Load {
    client: Client,
    /// The processes, oldest first, also one that is being stopped: nobody tells clients.
    doors: Mutex<Vec<(Url, header::HeaderValue)>>,
    turn: AtomicUsize,
    /// The words of the model's answers, which go on as clients do, unless the model is silent.
    gate: Gate,
    is_silent: AtomicBool,
    is_over: AtomicBool,
    /// How often each client has come to an end of its work.
    done: [AtomicUsize; 3],
}

impl Load {
    fn new(gate: Gate) -> Self {
        Self {
            client: client(Client::builder()),
            doors: Mutex::default(),
            turn: AtomicUsize::new(0),
            gate,
            is_silent: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            done: Default::default(),
        }
    }

    fn open(&self, process: &Process) {
        let request = process.request(Method::GET, "/").build().unwrap();
        let key = request.headers()[header::AUTHORIZATION].clone();
        let door = (request.url().join("/v1/").unwrap(), key);
        self.doors.lock().push(door);
    }

    /// The oldest has been stopped, which clients have noticed by now.
    fn close(&self) {
        self.doors.lock().remove(0);
    }

    /// An answer's head, from whoever accepts the request.
    async fn send(&self, method: &Method, path: &str, of: &Request<'_>) -> Response {
        loop {
            let (url, key) = {
                let doors = self.doors.lock();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                doors[turn % doors.len()].clone()
            };
            let url = url.join(path).unwrap();
            let mut request = self.client.request(method.clone(), url);
            request = request.header(header::AUTHORIZATION, key);
            if let Some((name, value)) = of.header {
                request = request.header(name, value);
            }
            if let Some(body) = of.body {
                request = request.json(body);
            }
            match request.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    assert!(
                        status == 200,
                        "{method} {path}: {status} {:?}",
                        answer.text().await
                    );
                    return answer;
                }
                Err(error) => assert!(error.is_request() && !error.is_timeout(), "{error:?}"),
            }
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send(&Method::GET, path, &Request::default()).await;
        // Whatever has begun comes to its end.
        answer.json().await.unwrap()
    }

    /// Creates something once, however often it is sent.
    async fn create(&self, path: &str, key: &str, body: &Value) -> Response {
        let request = Request {
            header: Some(("idempotency-key", key)),
            body: Some(body),
        };
        self.send(&Method::POST, path, &request).await
    }

    async fn created(&self, path: &str, key: &str, body: &Value) -> String {
        let answer = self.create(path, key, body).await;
        text(&answer.json().await.unwrap(), "id")
    }

    /// Waits until every client has come to the end of some work that it had not begun before.
    async fn progress(&self) {
        let now = || self.done.each_ref().map(|it| it.load(Ordering::Relaxed));
        let before = now();
        while now()
            .iter()
            .zip(before)
            .any(|(now, before)| *now < before + 2)
        {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Default)]
struct Request<'r> {
    header: Option<(&'static str, &'r str)>,
    body: Option<&'r Value>,
}

/// Posts messages to a thread of its own, which are there in the end, each once.
async fn post(load: &Load) {
    let thread = load.created("threads", "posts", &json!({})).await;
    let messages = format!("threads/{thread}/messages");
    let mut posted = Vec::new();
    while !load.is_over.load(Ordering::Relaxed) {
        let body = json!({"role": "user", "content": "A note."});
        let key = format!("post-{}", posted.len());
        posted.push(load.created(&messages, &key, &body).await);
        if !load.is_silent.load(Ordering::Relaxed) {
            load.gate.release(1);
        }
        load.done[0].fetch_add(1, Ordering::Relaxed);
    }
    // Whatever is being answered still comes to its end.
    load.gate.release(1_000);
    let (mut there, mut after) = (Vec::new(), String::new());
    loop {
        let page = format!("{messages}?order=asc&limit=100{after}");
        let page = load.get(&page).await;
        let listed = page["data"].as_array().unwrap().iter();
        there.extend(listed.map(|message| text(message, "id")));
        if page["has_more"] != true {
            break;
        }
        after = format!("&after={}", text(&page, "last_id"));
    }
    assert_eq!(there, posted);
}

/// Asks for a run on a thread with a message.
fn asked(assistant: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "Tell me."}]);
    let thread = json!({ "messages": messages });
    json!({"assistant_id": assistant, "thread": thread, "stream": stream})
}

/// Where a run is.
fn path(run: &Value) -> String {
    let (thread, run) = (text(run, "thread_id"), text(run, "id"));
    format!("threads/{thread}/runs/{run}")
}

/// Polls a run to its end. Its thread has one answer.
async fn ended(load: &Load, mut run: Value) {
    while ["queued", "in_progress"].contains(&run["status"].as_str().unwrap()) {
        run = load.get(&path(&run)).await;
    }
    assert_eq!(run["status"], "completed", "{run}");
    let messages = format!("threads/{}/messages", text(&run, "thread_id"));
    let listed = load.get(&messages).await;
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["content"][0]["text"]["value"], ANSWER);
}

/// Polls runs, one after the other.
async fn poll(load: &Load, assistant: &str) {
    for number in 0.. {
        let key = format!("polled-{number}");
        let body = asked(assistant, false);
        let created = load.create("threads/runs", &key, &body).await;
        ended(load, created.json().await.unwrap()).await;
        load.done[1].fetch_add(1, Ordering::Relaxed);
        if load.is_over.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// Streams runs, one after the other, each over all breaks.
async fn stream(load: &Load, assistant: &str) {
    for number in 0.. {
        let key = format!("streamed-{number}");
        let body = asked(assistant, true);
        let mut answer = load.create("threads/runs", &key, &body).await;
        let mut events = Events::default();
        while !events.is_done() {
            match answer.chunk().await {
                Ok(Some(chunk)) => events.hear(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) => panic!("a stream ended without its last event: {}", events.text),
                Err(_broken) => {
                    answer = match events.place() {
                        Some((run, last)) => {
                            let request = Request {
                                header: Some(("last-event-id", last)),
                                body: None,
                            };
                            load.send(&Method::GET, &format!("{run}/stream"), &request)
                                .await
                        }
                        None => load.create("threads/runs", &key, &body).await,
                    };
                    events.cut();
                }
            }
        }
        let (run, _) = events.place().unwrap();
        ended(load, load.get(&run).await).await;
        let ids = events.ids();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        load.done[2].fetch_add(1, Ordering::Relaxed);
        if load.is_over.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// What was read of a stream.
#[derive(Default)]
struct Events {
    text: String,
}

impl Events {
    fn hear(&mut self, chunk: &str) {
        self.text.push_str(chunk);
    }

    fn is_done(&self) -> bool {
        self.text.ends_with("data: [DONE]\n\n")
    }

    /// Forgets an event that did not come to its end.
    fn cut(&mut self) {
        let whole = self.text.rfind("\n\n").map_or(0, |at| at + 2);
        self.text.truncate(whole);
    }

    /// The run's path, and the last event that came as a whole.
    fn place(&self) -> Option<(String, &str)> {
        let whole = &self.text[..self.text.rfind("\n\n")?];
        let last = whole.rfind("id: ")?;
        let last = whole[last + 4..].lines().next()?;
        let created = whole.split_once("event: thread.run.created\ndata: ")?.1;
        let run: Value = serde_json::from_str(created.lines().next()?).unwrap();
        Some((path(&run), last))
    }

    /// The ids of all events, by attempt and number.
    fn ids(&self) -> Vec<(u64, u64)> {
        let ids = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("id: "));
        let ids = ids.map(|id| {
            let (attempt, number) = id.split_once('.').unwrap();
            (attempt.parse().unwrap(), number.parse().unwrap())
        });
        ids.collect()
    }
}

#[tokio::test]
async fn processes_are_replaced_one_after_the_other_and_no_request_fails() {
    let site = Site::new().await;
    let gate = Gate::new();
    site.upstream.always(Reply::gated(ANSWER, &gate));
    let load = Load::new(gate);
    let mut processes = Vec::new();
    for _ in 0..2 {
        let process = site.process_that("all", DRAIN_S).await;
        load.open(&process);
        processes.push(process);
    }
    let assistant = json!({"model": "m"});
    let assistant = load.created("assistants", "assistant", &assistant).await;
    let deploy = async {
        let mut successors = Vec::new();
        for old in processes {
            load.progress().await;
            load.is_silent.store(true, Ordering::Relaxed);
            // One of the runs at least is in its hands.
            let cut = old.post("/threads/runs", asked(&assistant, false)).await;
            assert_eq!(old.terminate().await, Some(0));
            load.is_silent.store(false, Ordering::Relaxed);
            load.close();
            ended(&load, cut).await;
            load.progress().await;
            let new = site.process_that("all", DRAIN_S).await;
            load.open(&new);
            successors.push(new);
        }
        load.progress().await;
        load.is_over.store(true, Ordering::Relaxed);
        successors
    };
    let _successors = tokio::join!(
        deploy,
        post(&load),
        poll(&load, &assistant),
        stream(&load, &assistant)
    );
}
