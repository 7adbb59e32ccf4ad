//! The model calls of runs go through the same plans as relayed calls.

use loomgate_testkit::upstream::Reply;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::stage::{PROVIDER_KEYS, Stage, refused};
use crate::app::Answer;

/// No pauses between attempts that tests do not ask for.
pub(super) const NO_RETRIES: &str = "[gateway]\nretries = 0\n";

/// An assistant with one function.
pub(super) async fn assistant(stage: &Stage, model: &str) -> Value {
    let function = json!({"type": "function", "function": {"name": "f"}});
    let body = json!({"model": model, "tools": [function]});
    let answer = Answer::of(stage.post("/v1/assistants", &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["id"].clone()
}

/// A run on a thread of its own; headers are added by `with`.
pub(super) async fn begin(
    stage: &Stage,
    assistant: &Value,
    with: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Value {
    let thread = json!({"messages": [{"role": "user", "content": "Hello?"}]});
    let body = json!({"assistant_id": assistant, "thread": thread});
    let answer = Answer::of(with(stage.post("/v1/threads/runs", &body))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// `/v1/threads/{id}/runs/{id}`
pub(super) fn path(run: &Value) -> String {
    let text = |key: &str| run[key].as_str().unwrap().to_owned();
    format!("/v1/threads/{}/runs/{}", text("thread_id"), text("id"))
}

/// Polls a run until it has this status; another end fails the test.
pub(super) async fn settled(stage: &Stage, run: &Value, status: &str) -> Value {
    loop {
        let request = stage.request(reqwest::Method::GET, &path(run));
        let run = Answer::of(request).await.json();
        if run["status"] == status {
            return run;
        }
        let going_on = ["queued", "in_progress", "requires_action", "cancelling"];
        assert!(going_on.contains(&run["status"].as_str().unwrap()), "{run}");
        tokio::task::yield_now().await;
    }
}

fn config(config: &Value) -> impl FnOnce(RequestBuilder) -> RequestBuilder {
    let config = config.to_string();
    move |request| request.header("x-portkey-config", config)
}

#[tokio::test]
async fn a_run_falls_back_and_tries_again_as_its_config_says() {
    let stage = Stage::start_with(NO_RETRIES).await;
    stage.providers[0].push(refused(503));
    stage.providers[0].push(refused(503));
    stage.providers[1].push(Reply::text("from two"));
    let first = json!({"virtual_key": "one", "retry": {"attempts": 1}});
    let targets = json!([first, {"virtual_key": "two"}]);
    let fallback = json!({"strategy": {"mode": "fallback"}, "targets": targets});
    let assistant = assistant(&stage, "gpt-4o-mini").await;
    let run = begin(&stage, &assistant, config(&fallback)).await;
    settled(&stage, &run, "completed").await;
    assert_eq!(stage.counts(), [2, 1, 0]);
    let body = &stage.providers[1].requests()[0].body;
    assert_eq!(body["model"], "gpt-4o-mini");
    stage.stop().await;
}

#[tokio::test]
async fn a_guardrail_can_deny_a_runs_question_and_its_answer() {
    let stage = Stage::start_with(NO_RETRIES).await;
    stage.providers[0].push(Reply::text("a secret word"));
    let assistant = assistant(&stage, "m").await;
    for (side, word) in [
        ("input_guardrails", "Hello"),
        ("output_guardrails", "secret"),
    ] {
        let checks =
            json!([{"default.contains": {"operator": "none", "words": [word]}, "deny": true}]);
        let guarded = json!({"virtual_key": "one", side: checks});
        let run = begin(&stage, &assistant, config(&guarded)).await;
        let run = settled(&stage, &run, "failed").await;
        assert_eq!(run["last_error"]["code"], "invalid_prompt", "{run}");
        let message = run["last_error"]["message"].as_str().unwrap();
        assert!(message.contains("guardrail checks"), "{message}");
        let thread = run["thread_id"].as_str().unwrap();
        let messages = stage.request(
            reqwest::Method::GET,
            &format!("/v1/threads/{thread}/messages"),
        );
        assert!(!Answer::of(messages).await.text.contains("a secret word"));
    }
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn the_model_may_name_the_virtual_key() {
    let stage = Stage::start_with(NO_RETRIES).await;
    stage.providers[2].push(Reply::text("from three"));
    let assistant = assistant(&stage, "@three/gpt-4o").await;
    let run = begin(&stage, &assistant, |request| request).await;
    settled(&stage, &run, "completed").await;
    assert_eq!(stage.counts(), [0, 0, 1]);
    assert_eq!(stage.providers[2].requests()[0].body["model"], "gpt-4o");
    stage.stop().await;
}

#[tokio::test]
async fn overrides_and_aliases_hold_for_runs() {
    let options = "[virtual_keys.aliased]\nprovider = 'openai'\nbase_url = '{one}'\n\
                   model_aliases = { 'gpt-4' = 'gpt-4o' }\n[gateway]\nretries = 0\n";
    let stage = Stage::start_with(options).await;
    stage.providers[0].push(Reply::text("ok"));
    let assistant = assistant(&stage, "gpt-4").await;
    let changed = json!({"virtual_key": "aliased", "override_params": {"seed": 7}});
    let run = begin(&stage, &assistant, config(&changed)).await;
    settled(&stage, &run, "completed").await;
    let body = stage.received().body;
    assert_eq!(
        (&body["model"], &body["seed"]),
        (&json!("gpt-4o"), &json!(7))
    );
    stage.stop().await;
}

#[tokio::test]
async fn credentials_of_a_run_are_sealed_survive_a_restart_and_are_erased() {
    let options = "[egress]\nallow = ['127.0.0.1']\n[gateway]\nretries = 0\n";
    let own = "sk-runs-own-credential-0123456789";
    let stage = Stage::start_with(options).await;
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    let url = stage.providers[0].url();
    let inline = json!({"provider": "openai", "api_key": own, "custom_host": url});
    let assistant = assistant(&stage, "m").await;
    let run = begin(&stage, &assistant, config(&inline)).await;
    settled(&stage, &run, "requires_action").await;
    let workspace = loomgate_domain::WorkspaceId::trusted("ws_b");
    let id = loomgate_domain::RunId::trusted(run["id"].as_str().unwrap());
    let sealed = stage.app.behind.store.runs().sealed(&workspace, &id).await;
    let sealed = sealed.unwrap().expect("what the run was made with");
    assert!(!sealed.contains(own), "{sealed}");

    let (folder, upstream, providers) = stage.end().await;
    let stage = Stage::again(folder, upstream, providers, options).await;
    stage.providers[0].push(Reply::text("done"));
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    // Whoever submits says nothing of the way: the run knows it.
    let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
    assert_eq!(Answer::of(submit).await.status, 200);
    settled(&stage, &run, "completed").await;
    let expected = format!("Bearer {own}");
    for request in stage.providers[0].requests() {
        assert_eq!(request.header("authorization"), Some(&*expected));
    }
    assert_eq!(stage.counts(), [2, 0, 0]);
    let sealed = stage.app.behind.store.runs().sealed(&workspace, &id).await;
    assert_eq!(sealed.unwrap(), None);
    stage.stop().await;
}

#[tokio::test]
async fn a_saved_config_is_looked_up_anew_for_each_turn() {
    let stage = Stage::start_with(NO_RETRIES).await;
    let saved = |slug: &str| json!({"name": "way", "slug": "pc-way", "config": {"virtual_key": slug}, "workspace_id": "b"});
    let made = stage.app.post("/v1/configs", &saved("one")).await;
    assert_eq!(made.status, 200, "{}", made.text);
    stage.providers[0].push(Reply::calls(&[("call_1", "f", "{}")]));
    let assistant = assistant(&stage, "m").await;
    let by_slug = |request: RequestBuilder| request.header("x-portkey-config", "pc-way");
    let run = begin(&stage, &assistant, by_slug).await;
    settled(&stage, &run, "requires_action").await;
    let change = stage
        .app
        .request(reqwest::Method::PUT, "/v1/configs/pc-way?workspace_id=b");
    let changed = Answer::of(change.json(&json!({"config": {"virtual_key": "two"}}))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    stage.providers[1].push(Reply::text("done"));
    let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
    let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
    assert_eq!(Answer::of(submit).await.status, 200);
    settled(&stage, &run, "completed").await;
    assert_eq!(stage.counts(), [1, 1, 0]);
    let key = format!("Bearer {}", PROVIDER_KEYS[1]);
    let request = &stage.providers[1].requests()[0];
    assert_eq!(request.header("authorization"), Some(&*key));
    stage.stop().await;
}

#[tokio::test]
async fn a_call_goes_back_to_gemini_with_its_signature_and_to_nobody_else() {
    let options = format!(
        "[virtual_keys.gemini]\nprovider = 'google'\nbase_url = '{{one}}'\napi_key = 'k-stage'\n\
         {NO_RETRIES}"
    );
    let stage = Stage::start_with(&options).await;
    let signature = "c2VhbGVkIHRob3VnaHRz";
    let kind = [("content-type", "text/event-stream")];
    let said = |part: Value| {
        let content = json!({"role": "model", "parts": [part]});
        let candidate = json!({"content": content, "finishReason": "STOP", "index": 0});
        format!("data: {}\n\n", json!({"candidates": [candidate]}))
    };
    let call = json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": signature});
    let gemini = [said(call), said(json!({"text": "It is done."}))];
    let extra = json!({"google": {"thought_signature": signature}});
    let function = json!({"name": "f", "arguments": "{}"});
    let call = json!({"index": 0, "id": "c", "function": function, "extra_content": extra});
    let choice =
        json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"});
    let compatible = format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}));
    for (slug, replies) in [
        (
            "gemini",
            gemini.map(|event| Reply::chunked(&kind, &[&event])),
        ),
        (
            "one",
            [
                Reply::chunked(&kind, &[&compatible]),
                Reply::text("It is done."),
            ],
        ),
    ] {
        for reply in replies {
            stage.providers[0].push(reply);
        }
        let assistant = assistant(&stage, "gemini-3.8-flash").await;
        let with = |request: RequestBuilder| request.header("x-portkey-virtual-key", slug);
        let run = begin(&stage, &assistant, with).await;
        let run = settled(&stage, &run, "requires_action").await;
        let calls = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
        let outputs = json!({"tool_outputs": [{"tool_call_id": calls[0]["id"], "output": "ok"}]});
        let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
        assert_eq!(Answer::of(submit).await.status, 200);
        let run = settled(&stage, &run, "completed").await;
        let sent = stage.received().bytes;
        let sent = std::str::from_utf8(&sent).unwrap();
        assert_eq!(sent.contains(signature), slug == "gemini", "{sent}");
        assert!(!sent.contains("skip_thought_signature_validator"), "{sent}");
        let steps = stage.request(reqwest::Method::GET, &format!("{}/steps", path(&run)));
        let shown = Answer::of(steps).await.text + &run.to_string();
        assert!(!shown.contains(signature), "{shown}");
    }
    stage.stop().await;
}
