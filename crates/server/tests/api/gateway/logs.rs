//! What the logbook keeps: one record for each relayed call and each model call of a run.

use loomgate_domain::{Order, PageRequest};
use loomgate_domain::{
    WorkspaceId,
    limit::Nanodollars,
    log::{LogRecord, RecordKind, new_log_id},
};
use loomgate_store::LogFilter;
use loomgate_testkit::upstream::{Gate, Reply};
use serde_json::json;

use super::{
    runs::{assistant, begin, settled},
    stage::{Stage, question, refused, said},
};
use crate::app::Answer;

const PRICE: &str = "[[prices]]\nprovider = 'openai'\nmodel = 'gpt-4o-mini'\ninput = 1.0\n\
                     output = 2.0\n";

/// The records of workspace `b` with this trace, oldest first, once there are so many.
pub(super) async fn records(stage: &Stage, trace: &str, count: usize) -> Vec<LogRecord> {
    let filter = LogFilter {
        trace_id: Some(trace.to_owned()),
        ..LogFilter::default()
    };
    let page = PageRequest {
        order: Order::Asc,
        limit: 100,
        ..PageRequest::default()
    };
    let workspace = WorkspaceId::trusted("ws_b");
    loop {
        let logs = stage.app.behind.store.logs();
        let found = logs.list(&workspace, filter.clone(), page.clone()).await;
        let found = found.unwrap().items;
        assert!(found.len() <= count, "{found:#?}");
        if found.len() == count {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_relayed_call_leaves_one_record_with_all_that_is_known() {
    let stage = Stage::start_with(&format!(
        "{PRICE}[configs.pc-way]\njson = '{{\"strategy\":{{\"mode\":\"fallback\"}},\
         \"targets\":[{{\"virtual_key\":\"one\"}},{{\"virtual_key\":\"two\"}}]}}'\n"
    ))
    .await;
    stage.providers[0].push(refused(500));
    stage.providers[1].push(said("ok"));
    let call = stage
        .post("/v1/chat/completions?x=1", &question())
        .header("x-portkey-config", "pc-way")
        .header("x-portkey-trace-id", "trace-1")
        .header("x-portkey-span-id", "span-1")
        .header("x-portkey-parent-span-id", "span-0")
        .header("x-portkey-span-name", "asking")
        .header("x-portkey-metadata", "{\"_user\":\"u-1\"}");
    let answer = Answer::of(call).await;
    assert_eq!(answer.status, 200);
    let record = records(&stage, "trace-1", 1).await.remove(0);
    assert_eq!(record.kind, RecordKind::Request);
    assert_eq!(record.request_id, answer.header("x-request-id"));
    assert_eq!(record.span.id.as_deref(), Some("span-1"));
    assert_eq!(record.span.parent_id.as_deref(), Some("span-0"));
    assert_eq!(record.span.name.as_deref(), Some("asking"));
    assert_eq!(record.api_key.as_str(), "key_config_b");
    assert_eq!(
        (&*record.method, &*record.path),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(record.config.as_deref(), Some("pc-way"));
    assert_eq!(record.virtual_key.as_deref(), Some("two"));
    assert_eq!(record.provider, "openai");
    assert_eq!(record.option_index, "config.targets[1]");
    assert_eq!(record.model.as_deref(), Some("gpt-4o-mini"));
    assert_eq!(record.served_model.as_deref(), Some("gpt-4o-mini"));
    assert_eq!((record.attempts, record.status), (2, 200));
    assert_eq!(record.error, None);
    let usage = record.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (10, 2));
    // 10 tokens at 1 dollar and 2 at 2 dollars a million.
    assert_eq!(record.cost, Some(Nanodollars(14_000)));
    assert!(record.first_byte_us.is_some() && record.total_us > 0);
    assert!(record.overhead_us <= record.total_us);
    assert_eq!(record.cache, "DISABLED");
    assert_eq!(record.metadata["_user"], "u-1");
    assert_eq!((record.request_body, record.response_body), (None, None));
    stage.stop().await;
}

#[tokio::test]
async fn failures_streams_and_cached_answers_are_told_apart() {
    let stage = Stage::start_with(
        "[virtual_keys.nobody]\nprovider = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n",
    )
    .await;
    let call = |config: &serde_json::Value, trace: &str| {
        stage.call(config).header("x-portkey-trace-id", trace)
    };
    stage.providers[0].push(refused(400));
    let answer = Answer::of(call(&json!({"virtual_key": "one"}), "refused")).await;
    assert_eq!(answer.status, 400);
    let record = records(&stage, "refused", 1).await.remove(0);
    assert_eq!(
        (record.status, record.usage, record.cost),
        (400, None, None)
    );

    Answer::of(call(&json!({"virtual_key": "nobody"}), "nobody")).await;
    let record = records(&stage, "nobody", 1).await.remove(0);
    assert_eq!((record.status, record.attempts), (502, 1));
    assert!(record.error.unwrap().contains("could not be reached"));

    stage.providers[0].push(Reply::text("one two three").reset_after(1));
    let mut body = question();
    body["stream"] = json!(true);
    let stream = call(&json!({"virtual_key": "one"}), "cut").json(&body);
    Answer::of(stream).await;
    let record = records(&stage, "cut", 1).await.remove(0);
    assert_eq!(record.status, 200);
    assert!(record.error.unwrap().contains("broke"), "the cut is told");

    stage.providers[0].push(said("ok"));
    let cached = json!({"virtual_key": "one", "cache": {"mode": "simple"}});
    for _ in 0..2 {
        Answer::of(call(&cached, "cached")).await;
    }
    let kept = records(&stage, "cached", 2).await;
    let told: Vec<_> = kept
        .iter()
        .map(|record| (&*record.cache, record.attempts))
        .collect();
    assert_eq!(told, [("MISS", 1), ("HIT", 0)]);
    assert_eq!((kept[1].usage, kept[1].cost), (None, None));

    let denied =
        json!([{"default.contains": {"operator": "none", "words": ["Hello"]}, "deny": true}]);
    Answer::of(call(
        &json!({"virtual_key": "one", "input_guardrails": denied}),
        "denied",
    ))
    .await;
    let record = records(&stage, "denied", 1).await.remove(0);
    assert_eq!((record.status, record.attempts), (446, 0));
    assert_eq!(
        record.guardrails.unwrap()["before_request_hooks"][0]["verdict"],
        false
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_relayed_assistants_call_is_recorded_with_its_account() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::status(200, json!({"id": "run_1"}), &[]));
    let call = stage
        .post("/v1/threads/thread_1/runs/run_1", &json!({"metadata": {}}))
        .header("x-portkey-virtual-key", "up-one")
        .header("x-portkey-trace-id", "modify");
    assert_eq!(Answer::of(call).await.status, 200);
    let record = records(&stage, "modify", 1).await.remove(0);
    assert_eq!(record.virtual_key.as_deref(), Some("up-one"));
    assert_eq!(record.path, "/v1/threads/thread_1/runs/run_1");
    assert_eq!(
        (record.usage, record.model, record.cost),
        (None, None, None)
    );
    stage.stop().await;
}

#[tokio::test]
async fn each_model_call_of_a_run_is_recorded_beside_the_requests() {
    let options = format!("{PRICE}[gateway]\nretries = 0\n");
    let stage = Stage::start_with(&options).await;
    stage.providers[0].push(refused(503));
    stage.providers[0].push(Reply::text("all good"));
    let assistant = assistant(&stage, "gpt-4o-mini").await;
    let config = json!({"virtual_key": "one", "retry": {"attempts": 1}}).to_string();
    let with = |request: reqwest::RequestBuilder| {
        request
            .header("x-portkey-config", &config)
            .header("x-portkey-trace-id", "run")
            .header("x-portkey-span-id", "span-1")
            .header("x-portkey-metadata", "{\"_user\":\"u-1\"}")
    };
    let run = begin(&stage, &assistant, with).await;
    settled(&stage, &run, "completed").await;
    let kept = records(&stage, "run", 2).await;
    let made = kept
        .iter()
        .find(|record| record.kind == RecordKind::Request)
        .unwrap();
    assert_eq!(
        (&*made.provider, &*made.path),
        ("loomgate", "/v1/threads/runs")
    );
    let call = kept
        .iter()
        .find(|record| record.kind == RecordKind::ModelCall)
        .unwrap();
    assert_eq!(
        call.run.as_ref().unwrap().as_str(),
        run["id"].as_str().unwrap()
    );
    assert_eq!(
        call.thread.as_ref().unwrap().as_str(),
        run["thread_id"].as_str().unwrap()
    );
    assert_eq!(call.span.parent_id.as_deref(), Some("span-1"));
    assert_eq!(call.virtual_key.as_deref(), Some("one"));
    assert_eq!((call.attempts, call.status), (2, 200));
    assert_eq!(call.model.as_deref(), Some("gpt-4o-mini"));
    let usage = call.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (10, 2));
    assert_eq!(call.cost, Some(Nanodollars(14_000)));
    assert!(call.first_byte_us.is_some());
    assert_eq!(call.metadata["_user"], "u-1");
    stage.stop().await;
}

#[tokio::test]
async fn what_was_served_or_refused_here_is_recorded_with_its_metadata() {
    let stage = Stage::start_with(
        "[[api_keys]]\nname = 'limited'\nkey = 'lg-limited-0123456789abcdef'\nworkspace = 'b'\n\
         rate_limits = [{ type = 'requests', unit = 'rpd', value = 1 }]\n",
    )
    .await;
    let call = |trace: &str| {
        stage
            .app
            .bare(reqwest::Method::POST, "/v1/threads?limit=1")
            .header("x-portkey-api-key", "lg-limited-0123456789abcdef")
            .header("x-portkey-trace-id", trace)
            .header("x-portkey-metadata", "{\"_user\":\"u-1\"}")
            .json(&json!({}))
    };
    for (trace, status) in [("served", 200), ("refused", 429)] {
        assert_eq!(Answer::of(call(trace)).await.status, status);
        let record = records(&stage, trace, 1).await.remove(0);
        assert_eq!((record.status, record.attempts), (status, 0));
        assert_eq!(
            (&*record.path, &*record.provider),
            ("/v1/threads", "loomgate")
        );
        assert_eq!(record.api_key.as_str(), "key_config_limited");
        assert_eq!(record.metadata["_user"], "u-1", "{trace}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_stream_that_was_served_here_is_recorded_at_its_end() {
    let stage = Stage::start().await;
    let gate = Gate::new();
    stage.providers[0].push(Reply::gated("one two", &gate));
    let assistant = assistant(&stage, "gpt-4o-mini").await;
    let thread = json!({"messages": [{"role": "user", "content": "Hello?"}]});
    let body = json!({"assistant_id": assistant, "thread": thread, "stream": true});
    let run = stage
        .post("/v1/threads/runs", &body)
        .header("x-portkey-virtual-key", "one")
        .header("x-portkey-trace-id", "streamed");
    let mut answer = run.send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    assert!(records(&stage, "streamed", 0).await.is_empty());
    gate.release(2);
    while answer.chunk().await.unwrap().is_some() {}
    let kept = records(&stage, "streamed", 2).await;
    let request = kept.iter().find(|kept| kept.kind == RecordKind::Request);
    let request = request.unwrap();
    assert_eq!((&*request.provider, request.status), ("loomgate", 200));
    assert!(request.first_byte_us.unwrap() <= request.total_us);
    let call = kept.iter().find(|kept| kept.kind == RecordKind::ModelCall);
    assert!(request.total_us >= call.unwrap().total_us, "{kept:#?}");
    stage.stop().await;
}

#[tokio::test]
async fn records_are_kept_for_their_time_however_often_the_server_starts() {
    let options = "[logs]\nretention_days = 30\n";
    let stage = Stage::start_with(options).await;
    stage.providers[0].push(said("ok"));
    let call = stage
        .call(&json!({"virtual_key": "one"}))
        .header("x-portkey-trace-id", "kept");
    assert_eq!(Answer::of(call).await.status, 200);
    let kept = records(&stage, "kept", 1).await.remove(0);
    let behind = &stage.app.behind;
    let day_ms = 24 * 3_600 * 1_000;
    let old = [29, 31].map(|days| LogRecord {
        id: new_log_id(kept.created_at_ms - days * day_ms, &*behind.ids),
        created_at_ms: kept.created_at_ms - days * day_ms,
        ..kept.clone()
    });
    behind
        .store
        .logs()
        .insert(old.to_vec(), None)
        .await
        .unwrap();
    let (folder, upstream, providers) = stage.end().await;
    let stage = Stage::again(folder, upstream, providers, options).await;
    let workspace = WorkspaceId::trusted("ws_b");
    let logs = stage.app.behind.store.logs();
    while logs.get(&workspace, &old[1].id).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(logs.get(&workspace, &old[0].id).await.unwrap().is_some());
    assert!(logs.get(&workspace, &kept.id).await.unwrap().is_some());
    stage.stop().await;
}

#[tokio::test]
async fn tokens_are_found_in_every_form_of_answer() {
    let stage = Stage::start().await;
    let events = ("content-type", "text/event-stream");
    let completed = json!({"type": "response.completed", "response": {
        "model": "gpt-4o", "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    }});
    let responses = Reply::chunked(
        &[events],
        &[
            "event: response.created\ndata: {\"type\":\"response.created\"}\n\n",
            &format!("event: response.completed\ndata: {completed}\n\n"),
        ],
    );
    let whole = json!({"model": "gpt-4o", "usage": {"input_tokens": 7, "output_tokens": 3}});
    let embedded = json!({
        "object": "list", "data": [], "model": "e",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    });
    for (trace, path, reply, completion) in [
        ("streamed", "responses", responses, 3),
        ("whole", "responses", Reply::status(200, whole, &[]), 3),
        (
            "embedded",
            "embeddings",
            Reply::status(200, embedded, &[]),
            0,
        ),
    ] {
        stage.providers[0].push(reply);
        let body = json!({"model": "m", "input": "x", "stream": trace == "streamed"});
        let call = stage
            .post(&format!("/v1/{path}"), &body)
            .header("x-portkey-virtual-key", "one")
            .header("x-portkey-trace-id", trace);
        assert_eq!(Answer::of(call).await.status, 200);
        let record = records(&stage, trace, 1).await.remove(0);
        let usage = record.usage.expect(trace);
        let counted = (usage.prompt_tokens, usage.completion_tokens);
        assert_eq!(counted, (7, completion), "{trace}");
        assert_eq!(record.error, None, "{trace}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn bodies_are_kept_only_when_asked_for_cut_and_without_secrets() {
    let options = "[logs]\nbodies = true\nbody_kb = 1\n";
    let stage = Stage::start_with(options).await;
    stage.providers[0].push(said(&"word ".repeat(1000)));
    let mut body = question();
    body["messages"][0]["content"] = json!("my key is sk-canary-in-a-body-0123456789");
    let call = |trace: &str| {
        stage
            .post("/v1/chat/completions", &body)
            .header("x-portkey-virtual-key", "one")
            .header("x-portkey-trace-id", trace)
    };
    let whole = async |trace: &str| {
        let record = records(&stage, trace, 1).await.remove(0);
        let logs = stage.app.behind.store.logs();
        let workspace = WorkspaceId::trusted("ws_b");
        logs.get(&workspace, &record.id).await.unwrap().unwrap()
    };
    assert_eq!(Answer::of(call("bodies")).await.status, 200);
    let record = whole("bodies").await;
    let asked = record.request_body.unwrap();
    assert!(asked.contains("my key is [redacted]"), "{asked}");
    let answered = record.response_body.unwrap();
    assert!(
        answered.len() <= 1024 && answered.contains("chatcmpl-1"),
        "{answered}"
    );
    // A caller can keep its words to itself.
    stage.providers[0].push(said("a word"));
    let quiet = call("quiet").header("x-portkey-debug", "false");
    assert_eq!(Answer::of(quiet).await.status, 200);
    let record = whole("quiet").await;
    assert_eq!((record.request_body, record.response_body), (None, None));
    stage.stop().await;
}

#[tokio::test]
async fn the_bodies_of_model_calls_are_kept_like_those_of_requests() {
    let stage = Stage::start_with("[logs]\nbodies = true\nbody_kb = 1\n").await;
    stage.providers[0].push(Reply::text("the key is sk-canary-in-a-body-0123456789"));
    let assistant = assistant(&stage, "gpt-4o-mini").await;
    let with = |request: reqwest::RequestBuilder| {
        request
            .header("x-portkey-virtual-key", "one")
            .header("x-portkey-trace-id", "bodies")
    };
    let run = begin(&stage, &assistant, with).await;
    settled(&stage, &run, "completed").await;
    let kept = records(&stage, "bodies", 2).await;
    let call = kept.iter().find(|kept| kept.kind == RecordKind::ModelCall);
    let call = call.unwrap();
    let json = |body: &Option<String>| -> serde_json::Value {
        serde_json::from_str(body.as_ref().unwrap()).unwrap()
    };
    let asked = json(&call.request_body);
    assert_eq!(asked["messages"][0]["content"], "Hello?", "{asked}");
    let said = json(&call.response_body);
    let expected = json!({"role": "assistant", "content": "the key is [redacted]"});
    assert_eq!(said, expected);
    stage.stop().await;
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let stage = Stage::start_with("[logs]\nqueue = 1\n").await;
    stage.providers[0].always(said("ok"));
    let dropped = async || {
        let metrics = stage.app.get("/metrics").await.text;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("loomgate_log_records_dropped_total"))
            .map(str::to_owned);
        line.map_or(0, |line| {
            line.split(' ').next_back().unwrap().parse::<u64>().unwrap()
        })
    };
    // More at once than one place holds; nobody waits for it.
    for _ in 0..200 {
        let config = json!({"virtual_key": "one"});
        let calls = (0..16).map(|_| stage.chat(&config));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.status, 200);
        }
        if dropped().await > 0 {
            break;
        }
    }
    assert!(dropped().await > 0);
    stage.stop().await;
}
