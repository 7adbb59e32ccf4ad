//! Ways around keys, limits and guardrails that were found by looking for them.

use loomgate_testkit::upstream::Reply;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, KEY_B},
    gateway::stage::{Stage, question, said},
};

const OPERATORS_SECRET: &str = "sk-operators-own-0123456789abcdef";

/// Refuses requests with this word.
fn no_hello() -> Value {
    json!([{"default.contains": {"operator": "none", "words": ["Hello"]}, "deny": true}])
}

/// A key of workspace `a` that can not get past its config.
async fn fixed_key(stage: &Stage, config: &Value) -> String {
    let saved = json!({"name": "fixed", "slug": "pc-fixed", "config": config});
    let answer = stage.app.post("/v1/configs", &saved).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    stage
        .make_key(json!({
            "scopes": ["completions.write"],
            "defaults": {"config_id": "pc-fixed", "allow_config_override": false},
        }))
        .await
}

async fn with(stage: &Stage, key: &str, path: &str, body: &Value) -> Answer {
    let request = stage
        .app
        .bare(Method::POST, path)
        .header("x-portkey-api-key", key)
        .json(body);
    Answer::of(request).await
}

#[tokio::test]
async fn the_model_of_a_run_does_not_lead_past_the_config_of_its_key() {
    let stage = Stage::start().await;
    for provider in &stage.providers {
        provider.always(said("hi"));
    }
    let config = json!({"virtual_key": "one", "input_guardrails": no_hello()});
    let key = fixed_key(&stage, &config).await;
    let assistant = json!({"model": "gpt-4o-mini"});
    let assistant = with(&stage, &key, "/v1/assistants", &assistant)
        .await
        .json();
    let run = json!({
        "assistant_id": assistant["id"], "model": "@two/gpt-4o-mini", "stream": true,
        "thread": {"messages": [{"role": "user", "content": "Hello?"}]},
    });
    let answer = with(&stage, &key, "/v1/threads/runs", &run).await;
    assert_eq!(stage.counts(), [0, 0, 0], "{}", answer.text);
    assert!(answer.text.contains("thread.run.failed"), "{}", answer.text);
    stage.stop().await;
}

#[tokio::test]
async fn the_model_of_a_run_names_its_virtual_key_where_no_config_does() {
    let stage = Stage::start().await;
    stage.providers[1].always(said("hi"));
    let assistant = json!({"model": "@two/gpt-4o-mini"});
    let assistant = with(&stage, KEY_B, "/v1/assistants", &assistant)
        .await
        .json();
    let run = json!({
        "assistant_id": assistant["id"], "stream": true,
        "thread": {"messages": [{"role": "user", "content": "Hello?"}]},
    });
    let answer = with(&stage, KEY_B, "/v1/threads/runs", &run).await;
    assert!(
        answer.text.contains("thread.run.completed"),
        "{}",
        answer.text
    );
    assert_eq!(stage.counts(), [0, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn the_secret_of_a_saved_config_does_not_go_where_a_caller_says() {
    let config = format!(
        "[configs.own]\njson = '{{\"provider\":\"openai\",\"api_key\":\"{OPERATORS_SECRET}\"}}'\n\
         [egress]\nallow = ['127.0.0.1']\n"
    );
    let stage = Stage::start_with(&config).await;
    stage.providers[0].always(said("hi"));
    let answer = Answer::of(
        stage
            .post("/v1/chat/completions", &question())
            .header("x-portkey-config", "own")
            .header("x-portkey-custom-host", stage.providers[0].url()),
    )
    .await;
    assert_eq!(stage.counts(), [0, 0, 0]);
    let error = answer.json();
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(error["error"]["code"], "custom_host_not_allowed");
    stage.stop().await;
}

/// Sends a request line as it is.
async fn raw(stage: &Stage, path: &str, headers: &str, body: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-portkey-api-key: {KEY_B}\r\nconnection: close\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stage.app.raw(request.as_bytes()).await
}

/// The header of a config with a guardrail.
fn guarded() -> String {
    let config = json!({"virtual_key": "one", "input_guardrails": no_hello()});
    format!("x-portkey-config: {config}\r\n")
}

#[tokio::test]
async fn another_spelling_of_a_path_does_not_lead_past_a_guardrail() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("hi"));
    let json = guarded() + "content-type: application/json\r\n";
    let body = question().to_string();
    for path in [
        "/v1/chat/%63ompletions",
        "/v1/chat%2Fcompletions",
        "/v1/chat%2fcompletions/",
        "/v1/chat/%2563ompletions",
        "/v1/chat//completions",
        "/v1/Chat/Completions",
        "/v1/chat/completions;a=b",
        "/v1/chat;a/completions",
        "/v1/x/..%2fchat/completions",
        "/v1/v1/chat/completions",
        "/v1/deployments/d/chat/completions",
        "/v1/virtual%2Dkeys",
        "/v1/Virtual-Keys",
    ] {
        let answer = raw(&stage, path, &json, &body).await;
        assert_eq!(stage.counts(), [0, 0, 0], "{path}: {answer}");
        let status = &answer[9..12];
        assert!(matches!(status, "400" | "446"), "{path}: {answer}");
    }
    // Names with a slash in them are no other path.
    let request = stage.request(Method::GET, "/v1/models/org%2Fname");
    let request = request.header("x-portkey-virtual-key", "one");
    assert_eq!(Answer::of(request).await.status, 200);
    stage.stop().await;
}

#[tokio::test]
async fn another_content_type_does_not_lead_past_a_guardrail() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("hi"));
    for kind in [
        "content-type: audio/wav\r\n",
        "content-type: multipart/form-data; boundary=x\r\n",
        "content-type: application/vnd.x+json\r\n",
        "",
    ] {
        for length in [0, 2 * 1024 * 1024] {
            let body = " ".repeat(length + 1) + &question().to_string();
            let answer = raw(&stage, "/v1/chat/completions", &(guarded() + kind), &body).await;
            assert_eq!(stage.counts(), [0, 0, 0], "{kind} {length}: {answer}");
            let status = &answer[9..12];
            assert!(matches!(status, "400" | "446"), "{kind}: {answer}");
        }
    }
    // Nor does a body that only the provider can read.
    let body = format!("\u{feff}{}", question());
    let answer = raw(&stage, "/v1/chat/completions", &guarded(), &body).await;
    assert_eq!(stage.counts(), [0, 0, 0], "{answer}");
    stage.stop().await;
}

#[tokio::test]
async fn a_body_that_servers_read_differently_does_not_lead_past_rules() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("hi"));
    let json = guarded() + "content-type: application/json\r\n";
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"Hello"}],"messages":[]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"Hello","content":"hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"Messages":[{"role":"user","content":"Hello"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","Content":"Hello"}]}"#,
    ] {
        let answer = raw(&stage, "/v1/chat/completions", &json, body).await;
        assert_eq!(&answer[9..12], "400", "{body}: {answer}");
        let told = "We could not parse the JSON body of your request: '";
        assert!(answer.contains(told), "{answer}");
    }
    // Nor past what a config puts into the body, or takes out.
    let config = json!({
        "virtual_key": "one", "override_params": {"max_tokens": 5}, "drop_params": ["user"],
    });
    let json = format!("x-portkey-config: {config}\r\ncontent-type: application/json\r\n");
    for body in [
        r#"{"model":"m","Max_Tokens":9}"#,
        r#"{"model":"m","USER":"x"}"#,
    ] {
        let answer = raw(&stage, "/v1/chat/completions", &json, body).await;
        assert_eq!(&answer[9..12], "400", "{body}: {answer}");
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    // Where nothing depends on it, the body is the provider's business.
    let json = "x-portkey-virtual-key: one\r\ncontent-type: application/json\r\n";
    let body = r#"{"model":"m","Messages":[],"messages":[],"messages":[]}"#;
    let answer = raw(&stage, "/v1/chat/completions", json, body).await;
    assert_eq!(&answer[9..12], "200", "{answer}");
    assert_eq!(stage.received().bytes, body);
    stage.stop().await;
}

#[tokio::test]
async fn a_deployment_in_the_path_is_the_model_that_a_guardrail_sees() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("hi"));
    let allowed = json!([{"default.modelWhitelist": {"models": ["small"]}, "deny": true}]);
    let config = json!({"virtual_key": "one", "input_guardrails": allowed}).to_string();
    let call = async |path: &str| {
        let body = json!({"model": "small", "messages": []});
        let request = stage.post(path, &body).header("x-portkey-config", &config);
        Answer::of(request).await.status
    };
    assert_eq!(call("/v1/chat/completions").await, 200);
    assert_eq!(call("/v1/deployments/large/chat/completions").await, 446);
    assert_eq!(call("/v1/engines/large/embeddings").await, 446);
    assert_eq!(call("/v1/deployments/small/chat/completions").await, 200);
    assert_eq!(stage.counts(), [2, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_key_that_forbids_configs_does_so_without_one_of_its_own() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("hi"));
    let key = stage
        .make_key(json!({"defaults": {"virtual_key": "one", "allow_config_override": false}}))
        .await;
    let call = |config: Option<&str>| {
        let request = stage.app.bare(Method::POST, "/v1/chat/completions");
        let request = request.bearer_auth(&key).json(&question());
        match config {
            Some(config) => request.header("x-portkey-config", config),
            None => request,
        }
    };
    assert_eq!(Answer::of(call(None)).await.status, 200);
    for config in [r#"{"virtual_key":"two"}"#, "nowhere"] {
        let answer = Answer::of(call(Some(config))).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert_eq!(
            answer.json()["error"]["code"],
            "config_override_not_allowed"
        );
    }
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn guardrails_look_at_responses_and_messages_too() {
    let stage = Stage::start().await;
    let config = json!({
        "virtual_key": "one", "input_guardrails": no_hello(), "output_guardrails":
        [{"default.contains": {"operator": "none", "words": ["secret"]}, "deny": true}],
    });
    let call = |path: &str, body: Value| {
        let request = stage.post(path, &body);
        Answer::of(request.header("x-portkey-config", config.to_string()))
    };
    let asks = json!({"model": "m", "input": "Hello"});
    assert_eq!(call("/v1/responses", asks).await.status, 446);
    let asks =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(call("/v1/messages", asks).await.status, 446);
    assert_eq!(stage.counts(), [0, 0, 0]);

    let text = json!([{"type": "output_text", "text": "a secret"}]);
    for (path, answer) in [
        (
            "/v1/responses",
            json!({"output": [{"type": "message", "content": text}]}),
        ),
        ("/v1/messages", json!({"content": text})),
        (
            "/v1/chat/completions",
            json!({"choices": [
            {"message": {"content": "fine"}}, {"message": {"content": "a secret"}}]}),
        ),
    ] {
        stage.providers[0].push(Reply::status(200, answer, &[]));
        let asks = json!({"model": "m", "n": 2, "input": "Hi", "messages": []});
        assert_eq!(call(path, asks).await.status, 446, "{path}");
    }
    for (path, event) in [
        (
            "/v1/responses",
            json!({"type": "response.output_text.delta", "delta": "a secret"}),
        ),
        (
            "/v1/messages",
            json!({"type": "content_block_delta", "delta": {"text": "a secret"}}),
        ),
    ] {
        let events = format!("data: {event}\n\ndata: [DONE]\n\n");
        let kind = [("content-type", "text/event-stream")];
        stage.providers[0].push(Reply::chunked(&kind, &[&events]));
        let asks = json!({"model": "m", "stream": true, "input": "Hi", "messages": []});
        assert_eq!(call(path, asks).await.status, 446, "{path}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_one_config_keeps_is_not_the_answer_of_another() {
    let stage = Stage::start_with("[egress]\nallow = ['127.0.0.1']\n").await;
    stage.providers[0].always(said("a secret"));
    stage.providers[1].always(said("another"));
    let keeps = |config: Value| {
        let mut config = config;
        config["cache"] = json!({"mode": "simple"});
        config
    };
    let plain = keeps(json!({"virtual_key": "one"}));
    assert_eq!(stage.chat(&plain).await.status, 200);
    // The answer was kept for those who have no guardrail.
    let denies =
        json!([{"default.contains": {"operator": "none", "words": ["secret"]}, "deny": true}]);
    let config = keeps(json!({"virtual_key": "one", "output_guardrails": denies}));
    assert_eq!(stage.chat(&config).await.status, 446);
    let schema = |kind: &str| {
        let schema = json!({"schema": {"type": kind}});
        keeps(json!({"virtual_key": "one", "output_guardrails":
            [{"default.jsonSchema": schema, "deny": kind == "object"}]}))
    };
    assert_eq!(stage.chat(&schema("array")).await.status, 246);
    assert_eq!(stage.chat(&schema("object")).await.status, 446);
    // Nor is it the answer of other parameters, or of another query.
    let config = keeps(json!({"virtual_key": "one", "override_params": {"seed": 1}}));
    assert_eq!(stage.chat(&config).await.status, 200);
    assert_eq!(stage.counts(), [5, 0, 0]);
    let request = stage.post("/v1/chat/completions?api-version=1", &question());
    let request = request.header("x-portkey-config", plain.to_string());
    assert_eq!(
        Answer::of(request).await.header("x-portkey-cache-status"),
        "MISS"
    );
    stage.stop().await;
}

#[tokio::test]
async fn what_one_host_said_is_not_the_answer_of_another() {
    let stage = Stage::start_with("[egress]\nallow = ['127.0.0.1']\n").await;
    stage.providers[0].always(said("evil"));
    stage.providers[1].always(said("good"));
    let of = async |index: usize| {
        let config = json!({
            "provider": "vllm", "cache": {"mode": "simple"},
            "base_url": stage.providers[index].url(),
        });
        stage.chat(&config).await.text
    };
    assert!(of(0).await.contains("evil"));
    let second = of(1).await;
    assert!(second.contains("good"), "{second}");
    stage.stop().await;
}
