//! Where callers can not lead the gateway: inside the network, to itself, or away with a secret.

use std::net::SocketAddr;

use loomgate_testkit::upstream::Reply;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::stage::{Stage, question, said, to, words};
use crate::app::Answer;

const OWN: &str = "sk-callers-own-0123456789abcdef";

fn own(stage: &Stage) -> RequestBuilder {
    let request = stage.post("/v1/chat/completions", &question());
    request.bearer_auth(OWN)
}

fn by_headers(stage: &Stage, url: &str) -> RequestBuilder {
    own(stage)
        .header("x-portkey-provider", "openai")
        .header("x-portkey-custom-host", url)
}

fn by_config(stage: &Stage, url: &str) -> RequestBuilder {
    let config = json!({"provider": "openai", "api_key": OWN, "custom_host": url});
    stage.call(&config)
}

#[tokio::test]
async fn a_callers_host_has_to_be_public_unless_excepted() {
    let stage = Stage::start().await;
    let port = stage.providers[0].url();
    let port = port.rsplit(':').next().unwrap().to_owned();
    for host in [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
    ] {
        let url = format!("http://{host}:{port}");
        for call in [by_headers(&stage, &url), by_config(&stage, &url)] {
            let answer = Answer::of(call).await;
            assert_eq!(answer.status, 400, "{url}: {}", answer.text);
            assert!(!answer.text.contains(&port), "{}", answer.text);
        }
    }
    for url in [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/v1",
        "http://metadata.google.internal/v1",
    ] {
        let answer = Answer::of(by_headers(&stage, url)).await;
        assert_eq!(answer.status, 400, "{url}: {}", answer.text);
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;

    let stage = Stage::start_with("[egress]\nallow = ['127.0.0.1']\n").await;
    stage.providers[0].always(said("ok"));
    let url = stage.providers[0].url();
    assert_eq!(words(&Answer::of(by_headers(&stage, &url)).await), "ok");
    assert_eq!(words(&Answer::of(by_config(&stage, &url)).await), "ok");
    stage.stop().await;
}

#[tokio::test]
async fn a_stored_credential_never_goes_to_a_host_of_the_caller() {
    // T5. The host would be allowed, were the credential the caller's own.
    let options = "[egress]\nallow = ['127.0.0.1']\n";
    let stage = Stage::start_with(options).await;
    let url = stage.providers[1].url();
    let stolen = json!({"virtual_key": "one", "custom_host": url});
    let nested = json!({
        "strategy": {"mode": "single"}, "custom_host": url, "targets": [to("one")],
    });
    let saved = json!({"name": "x", "slug": "pc-x", "config": stolen, "workspace_id": "b"});
    let saved = stage.app.post("/v1/configs", &saved).await;
    assert!(matches!(saved.status, 200 | 400), "{}", saved.text);
    let header = |request: RequestBuilder| request.header("x-portkey-custom-host", &url);
    let chat = || stage.post("/v1/chat/completions", &question());
    for (what, call) in [
        (
            "header",
            header(chat().header("x-portkey-virtual-key", "one")),
        ),
        ("header, default key", header(chat())),
        (
            "header, provider slug",
            header(chat().header("x-portkey-provider", "@one")),
        ),
        ("header over a config", header(stage.call(&to("one")))),
        ("inline config", stage.call(&stolen)),
        ("inherited", stage.call(&nested)),
        ("saved config", chat().header("x-portkey-config", "pc-x")),
        (
            "model",
            header(chat().json(&json!({"model": "@one/m", "messages": []}))),
        ),
        (
            "assistants",
            header(
                stage
                    .post("/v1/threads", &json!({}))
                    .header("x-portkey-virtual-key", "up-one"),
            ),
        ),
    ] {
        let answer = Answer::of(call).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    assert_eq!(stage.app.upstream.count(), 0);
    stage.stop().await;
}

#[tokio::test]
async fn a_run_is_held_to_the_same() {
    let stage =
        Stage::start_with("[egress]\nallow = ['127.0.0.1']\n[gateway]\nretries = 0\n").await;
    let assistant = super::runs::assistant(&stage, "m").await;
    let url = stage.providers[1].url();
    let stolen = json!({"virtual_key": "one", "custom_host": url}).to_string();
    let with = |request: RequestBuilder| request.header("x-portkey-config", &stolen);
    let run = super::runs::begin(&stage, &assistant, with).await;
    let run = super::runs::settled(&stage, &run, "failed").await;
    let message = run["last_error"]["message"].as_str().unwrap();
    assert!(
        message.contains("A stored credential only goes to its own address"),
        "{message}"
    );
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn virtual_keys_made_over_the_api_only_go_to_public_addresses() {
    let stage = Stage::start().await;
    let url = stage.providers[0].url();
    let body = json!({
        "name": "inside", "slug": "inside", "provider": "openai", "key": OWN, "base_url": url,
        "workspace_id": "b",
    });
    let made = stage.app.post("/v1/virtual-keys", &body).await;
    assert!(matches!(made.status, 200 | 400), "{}", made.text);
    let answer = stage.chat(&to("inside")).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let stage = Stage::start_with("[egress]\nallow = ['127.0.0.1']\n").await;
    let elsewhere = format!("{}/x", stage.providers[1].url());
    let location = [("location", &*elsewhere)];
    stage.providers[0].always(Reply::exact(307, &location, ""));
    let url = stage.providers[0].url();
    let answer = Answer::of(by_headers(&stage, &url)).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, &*elsewhere)
    );
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

/// A named provider whose own address is on this machine.
async fn ollama(options: &str) -> Answer {
    let stage = Stage::start_with(options).await;
    let call = stage
        .post("/v1/chat/completions", &question())
        .header("x-portkey-provider", "ollama");
    let answer = Answer::of(call).await;
    let config: Value = json!({"provider": "ollama"});
    assert_eq!(stage.chat(&config).await.status, answer.status);
    stage.stop().await;
    answer
}

#[tokio::test]
async fn a_local_provider_that_a_caller_names_is_inside_too() {
    let answer = ollama("").await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], "host_not_allowed");
    // With the exception it is called; nothing listens there in a test.
    let answer = ollama("[egress]\nallow = ['127.0.0.1:11434', 'localhost:11434']\n").await;
    assert_ne!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn the_gateway_does_not_call_itself() {
    let stage = Stage::start_with("[egress]\nallow = ['127.0.0.0/8', 'localhost']\n").await;
    let port = SocketAddr::port(&stage.app.address);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/v1");
        let answer = Answer::of(by_headers(&stage, &url)).await;
        assert_eq!(answer.status, 400, "{url}: {}", answer.text);
        let told = "the host is this gateway itself";
        assert!(answer.text.contains(told), "{}", answer.text);
    }
    stage.stop().await;
}
