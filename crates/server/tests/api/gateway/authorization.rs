//! Who may call by which of the forms A to H, and whose credential the provider gets to see.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    errors::FIVE,
    stage::{PROVIDER_KEYS, Stage, question, said},
};
use crate::app::{Answer, KEY_A, KEY_B};

const OWN: &str = "sk-callers-own-0123456789abcdef";

/// Callers may name the first provider.
async fn stage() -> Stage {
    Stage::start_with("[egress]\nallow = ['127.0.0.1']\n").await
}

fn bare(stage: &Stage) -> RequestBuilder {
    let request = stage.app.bare(Method::POST, "/v1/chat/completions");
    request.json(&question())
}

/// What the first provider was called with.
async fn presented(stage: &Stage, request: RequestBuilder) -> String {
    stage.providers[0].push(said("ok"));
    let before = stage.providers[0].count();
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(stage.providers[0].count(), before + 1);
    let request = stage.received();
    let secrets = [KEY_A, KEY_B, "OPENAI_API_KEY"];
    for (name, value) in &request.headers {
        let value = value.to_str().unwrap();
        assert!(!name.as_str().starts_with("x-portkey-"), "{name}");
        assert!(
            !secrets.iter().any(|secret| value.contains(secret)),
            "{name}: {value}"
        );
    }
    request
        .header("authorization")
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn stored_credentials_are_named_in_every_form() {
    let stage = stage().await;
    let stored = format!("Bearer {}", PROVIDER_KEYS[0]);
    let gateway = |request: RequestBuilder| request.header("x-portkey-api-key", KEY_B);
    let config = json!({"virtual_key": "one"}).to_string();
    let provider_slug = json!({"provider": "@one"}).to_string();
    let named = |name: &'static str, value: &str| gateway(bare(&stage)).header(name, value);
    let mut in_model = question();
    in_model["model"] = json!("@one/m");
    for (form, request) in [
        ("A", named("x-portkey-virtual-key", "one")),
        (
            "A, as the Python SDK sends it",
            named("x-portkey-virtual-key", "one").bearer_auth("OPENAI_API_KEY"),
        ),
        (
            "A, as the Node SDK sends it",
            named("x-portkey-virtual-key", "one").bearer_auth(KEY_B),
        ),
        // The caller's own credential is dropped where a stored one is named.
        (
            "A, with another key",
            named("x-portkey-virtual-key", "one").bearer_auth(OWN),
        ),
        ("C", named("x-portkey-config", &config)),
        (
            "C, with another key",
            named("x-portkey-config", &config).bearer_auth(OWN),
        ),
        (
            "C, by the provider's slug",
            named("x-portkey-config", &provider_slug),
        ),
        ("E", named("x-portkey-provider", "@one")),
        (
            "F",
            gateway(stage.app.bare(Method::POST, "/v1/chat/completions")).json(&in_model),
        ),
        (
            "H",
            bare(&stage)
                .bearer_auth(KEY_B)
                .header("x-portkey-virtual-key", "one"),
        ),
    ] {
        assert_eq!(presented(&stage, request).await, stored, "{form}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_caller_may_bring_its_own_credential_and_host() {
    let stage = stage().await;
    let own = format!("Bearer {OWN}");
    let url = stage.providers[0].url();
    let gateway = || bare(&stage).header("x-portkey-api-key", KEY_B);
    let by_headers = gateway()
        .header("x-portkey-provider", "openai")
        .header("x-portkey-custom-host", &url)
        .bearer_auth(OWN);
    assert_eq!(presented(&stage, by_headers).await, own);
    let inline = json!({"provider": "openai", "api_key": OWN, "custom_host": url}).to_string();
    let by_config = gateway().header("x-portkey-config", &inline);
    assert_eq!(presented(&stage, by_config).await, own);
    // The key of a config goes before the one in `Authorization`.
    let both = gateway()
        .header("x-portkey-config", &inline)
        .bearer_auth("sk-another-0123456789");
    assert_eq!(presented(&stage, both).await, own);
    // A config without a provider is filled from the headers.
    let filled = gateway()
        .header(
            "x-portkey-config",
            json!({"retry": {"attempts": 1}}).to_string(),
        )
        .header("x-portkey-provider", "openai")
        .header("x-portkey-custom-host", &url)
        .bearer_auth(OWN);
    assert_eq!(presented(&stage, filled).await, own);
    let without = gateway().header("x-portkey-provider", "openai");
    let answer = Answer::of(without).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "missing_provider_key");
    stage.stop().await;
}

#[tokio::test]
async fn a_custom_host_stands_in_for_an_address_and_a_key() {
    let stage = stage().await;
    let url = stage.providers[0].url();
    // A host that wants no key is called without one.
    let by_headers = bare(&stage)
        .header("x-portkey-api-key", KEY_B)
        .header("x-portkey-provider", "openai")
        .header("x-portkey-custom-host", &url);
    assert_eq!(presented(&stage, by_headers).await, "");
    let config = json!({"provider": "openai", "custom_host": url});
    assert_eq!(presented(&stage, stage.call(&config)).await, "");

    // Azure through a gateway of one's own, in headers and in a config.
    let azure = |request: RequestBuilder| request.header("x-portkey-api-key", KEY_B);
    let by_headers = azure(bare(&stage))
        .header("x-portkey-provider", "azure-openai")
        .header(
            "x-portkey-custom-host",
            &stage.providers[0].url().replace("/v1", "/openai"),
        )
        .header("x-portkey-azure-deployment-id", "mine")
        .header("x-portkey-azure-api-version", "2024-06-01")
        .bearer_auth(OWN);
    let config = json!({
        "provider": "azure-openai", "api_key": OWN, "deployment_id": "mine",
        "custom_host": stage.providers[0].url().replace("/v1", "/openai"),
        "api_version": "2024-06-01",
    });
    let by_config = stage.call(&config);
    for request in [by_headers, by_config] {
        assert_eq!(presented(&stage, request).await, "");
        let request = stage.received();
        assert_eq!(request.header("api-key"), Some(OWN));
        assert_eq!(
            request.path,
            "/openai/deployments/mine/chat/completions?api-version=2024-06-01"
        );
    }
    let by_token = azure(bare(&stage))
        .header("x-portkey-provider", "azure-openai")
        .header("x-portkey-custom-host", &url)
        .header("x-portkey-azure-ad-token", OWN);
    assert_eq!(presented(&stage, by_token).await, format!("Bearer {OWN}"));
    assert_eq!(stage.received().header("api-key"), None);
    stage.stop().await;
}

#[tokio::test]
async fn no_key_of_this_server_goes_to_a_provider_not_even_another_ones() {
    let stage = stage().await;
    stage.providers[0].always(said("ok"));
    let made = stage.make_key(json!({})).await;
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!(":{KEY_B}")));
    for other in [
        format!("Bearer {KEY_A}"),
        format!("Bearer {made}"),
        made.clone(),
        basic,
    ] {
        let own = stage
            .post("/v1/chat/completions", &question())
            .header("authorization", &other)
            .header("x-portkey-provider", "vllm")
            .header("x-portkey-custom-host", stage.providers[0].url());
        assert_eq!(Answer::of(own).await.status, 200, "{other}");
        assert_eq!(stage.received().header("authorization"), None, "{other}");
        let named = stage
            .call(&json!({"virtual_key": "one", "forward_headers": ["authorization", "x-api-key"]}))
            .header("authorization", &other)
            .header("x-api-key", &made);
        assert_eq!(Answer::of(named).await.status, 200, "{other}");
        let request = stage.received();
        let stored = format!("Bearer {}", PROVIDER_KEYS[0]);
        assert_eq!(request.header("authorization"), Some(&*stored), "{other}");
        assert_eq!(request.header("x-api-key"), None, "{other}");
    }
    // That of another such server is as good as any credential.
    let foreign = format!("Bearer lg-{}", "a1".repeat(20));
    let own = stage
        .post("/v1/chat/completions", &question())
        .header("authorization", &foreign)
        .header("x-portkey-provider", "vllm")
        .header("x-portkey-custom-host", stage.providers[0].url());
    assert_eq!(Answer::of(own).await.status, 200);
    assert_eq!(stage.received().header("authorization"), Some(&*foreign));
    // Alone it is no credential for a provider that wants one.
    let own = stage
        .post("/v1/chat/completions", &question())
        .bearer_auth(KEY_A)
        .header("x-portkey-provider", "openai");
    let answer = Answer::of(own).await;
    assert_eq!(answer.json()["error"]["code"], "missing_provider_key");
    stage.stop().await;
}

#[tokio::test]
async fn tokens_are_answered_clearly() {
    let stage = stage().await;
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl";
    for request in [
        bare(&stage).header("x-portkey-api-key", token),
        bare(&stage).bearer_auth(token),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 401);
        let body = answer.json();
        assert_eq!(body["error"]["code"], "jwt_not_supported");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("JWT authorization is not supported."),
            "{message}"
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn keys_that_open_nothing_are_refused_on_relayed_calls() {
    let stage = stage().await;
    let expiring = stage
        .make_key(json!({"expires_at": "2099-01-01T00:00:00Z"}))
        .await;
    stage.providers[0].always(said("ok"));
    assert_eq!(Answer::of(stage.call_with(&expiring)).await.status, 200);
    let years = 366 * 80;
    stage
        .app
        .pass(std::time::Duration::from_secs(years * 86_400));

    let revoked = stage.make_key(json!({})).await;
    assert_eq!(Answer::of(stage.call_with(&revoked)).await.status, 200);
    let listed = stage.app.get("/v1/api-keys").await.json();
    let keys = listed["data"].as_array().unwrap();
    let name = json!("made by a test");
    for key in keys.iter().filter(|key| key["name"] == name) {
        if key["status"] == "active" {
            let path = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
            let deleted = Answer::of(stage.app.request(Method::DELETE, &path)).await;
            assert_eq!(deleted.status, 200, "{}", deleted.text);
        }
    }
    let calls = stage.providers[0].count();
    for key in [
        &*expiring,
        &*revoked,
        "lg-unknown-0123456789abcdef",
        "short",
    ] {
        let answer = Answer::of(stage.call_with(key)).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    }
    let nobody = Answer::of(bare(&stage)).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(stage.providers[0].count(), calls);
    stage.stop().await;
}

#[tokio::test]
async fn a_key_without_the_scope_is_told_so_in_the_documented_form() {
    let stage = stage().await;
    let key = stage.make_key(json!({"scopes": ["logs.list"]})).await;
    for (method, path) in [
        (Method::POST, "/v1/chat/completions"),
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/batches"),
        (Method::POST, "/v1/threads"),
        (Method::GET, "/v1/virtual-keys"),
    ] {
        let request = stage.app.bare(method.clone(), path);
        let request = request.header("x-portkey-api-key", &key);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
        let body = answer.json();
        let expected = json!({
            "message": "You do not have enough permissions to execute this request",
            "errorCode": "AB03",
        });
        assert_eq!(
            body["success"],
            Value::Bool(false),
            "{method} {path}: {body}"
        );
        assert_eq!(body["data"], expected);
        assert_eq!(body["error"]["code"], "AB03");
        for name in FIVE {
            assert_ne!(answer.header(name), "", "{name}");
        }
    }
    let logs = stage.app.bare(Method::GET, "/v1/logs");
    let logs = logs.header("x-portkey-api-key", &key);
    assert_eq!(Answer::of(logs).await.status, 200);
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}
