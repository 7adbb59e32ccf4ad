//! The error matrix of the contract (portkey.md section 1): status and text of each row. Bodies
//! have both forms: `status` and `message` for Portkey's clients, `error` for OpenAI's.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, question};
use crate::app::{Answer, KEY_B};

/// The five headers of every answer.
pub(super) const FIVE: [&str; 5] = [
    "x-portkey-trace-id",
    "x-portkey-retry-attempt-count",
    "x-portkey-last-used-option-index",
    "x-portkey-cache-status",
    "x-portkey-provider",
];

/// Errors in both forms, with the five headers.
#[track_caller]
pub(super) fn expect(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["status"], "failure", "{}", answer.text);
    assert_eq!(body["message"], message, "{}", answer.text);
    assert_eq!(body["error"]["message"], message, "{}", answer.text);
    for name in FIVE {
        assert_ne!(answer.header(name), "", "{name}");
    }
}

const NO_PROVIDER_IN_CONFIG: &str = "Either x-portkey-provider needs to be passed. Or the x-portkey-config header should have a valid \
     config with provider details in it.";
const OLD: &str =
    "This version of config is not supported in this route. Please migrate to the latest version";

/// A chat completion of a key that has no default way.
async fn free(stage: &Stage, headers: &[(&str, &str)]) -> Answer {
    let key = stage.make_key(json!({})).await;
    let mut request = stage
        .app
        .bare(Method::POST, "/v1/chat/completions")
        .header("x-portkey-api-key", key)
        .json(&question());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn requests_without_a_way_are_told_the_documented_texts() {
    let stage = Stage::start().await;
    let provider = |name| ("x-portkey-provider", name);
    let config = |text| ("x-portkey-config", text);
    let own = ("authorization", "Bearer sk-own-0123456789");
    for (headers, message) in [
        (
            &[][..],
            "Either x-portkey-config or x-portkey-provider header is required",
        ),
        (&[provider("nobody"), own], "Invalid provider passed"),
        (
            &[config("{")],
            "Invalid config passed. You need to pass a valid json",
        ),
        (&[config("{\"options\": []}")], OLD),
        (
            &[
                provider("openai"),
                own,
                ("x-portkey-custom-host", "ftp://a.example"),
            ],
            "Invalid custom host",
        ),
        (
            &[
                provider("openai"),
                own,
                ("x-portkey-custom-host", "http://a@b.example"),
            ],
            "Invalid custom host",
        ),
        (
            &[
                own,
                provider("openai"),
                ("x-portkey-forward-headers", "x-portkey-forward-headers"),
            ],
            "forward_headers must not contain the 'x-portkey-forward-headers' header",
        ),
    ] {
        expect(&free(&stage, headers).await, 400, message);
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_config_without_a_provider_is_told_what_it_lacks() {
    let stage = Stage::start().await;
    let answer = free(
        &stage,
        &[("x-portkey-config", "{\"retry\": {\"attempts\": 1}}")],
    )
    .await;
    expect(&answer, 400, NO_PROVIDER_IN_CONFIG);
    stage.stop().await;
}

#[tokio::test]
async fn unknown_slugs_are_named() {
    let stage = Stage::start().await;
    for (header, value, code) in [
        ("x-portkey-virtual-key", "nowhere", "invalid_virtual_key"),
        ("x-portkey-provider", "@nowhere", "invalid_virtual_key"),
        ("x-portkey-config", "pc-nowhere", "invalid_config"),
        (
            "x-portkey-config",
            "{\"virtual_key\": \"nowhere\"}",
            "invalid_virtual_key",
        ),
    ] {
        let answer = free(&stage, &[(header, value)]).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        let body = answer.json();
        assert_eq!(body["error"]["code"], code, "{header}: {}", answer.text);
        assert_eq!(body["status"], "failure");
        let slug = value.trim_start_matches('@');
        let named = if slug.starts_with('{') {
            "nowhere"
        } else {
            slug
        };
        assert!(answer.text.contains(named), "{}", answer.text);
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_schema_violation_lists_all_that_is_wrong() {
    let stage = Stage::start().await;
    let errors = |text: Value| {
        let stage = &stage;
        async move {
            let answer = free(stage, &[("x-portkey-config", &text.to_string())]).await;
            expect(&answer, 400, "Invalid config passed");
            let errors = answer.json()["errors"].as_array().unwrap().clone();
            errors
                .iter()
                .map(|error| error.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let mode = json!({"strategy": {"mode": "spread"}, "targets": [{"virtual_key": "one"}]});
    let told = "path: strategy,mode, message: Invalid 'mode' value. Must be one of: single, \
                loadbalance, fallback, conditional";
    assert_eq!(errors(mode).await, [told]);
    let alone = json!({"provider": "openai"});
    let told = "path: , message: Invalid configuration. It must have either 'provider' and \
                'api_key', or 'strategy' and 'targets', or 'cache', or 'retry', or \
                'request_timeout'";
    assert_eq!(errors(alone).await[0], told);
    let two = json!({"virtual_key": "one", "retry": {"attempts": "x"}, "request_timeout": -1});
    assert_eq!(errors(two).await.len(), 2);
    stage.stop().await;
}

#[tokio::test]
async fn bodies_that_are_no_json_are_400() {
    // The open gateway answers 500 with V8's words; the mistake is the caller's, so 400 it is.
    let stage = Stage::start().await;
    for body in ["{", "", "[1]", "{} x"] {
        let request = stage
            .request(Method::POST, "/v1/chat/completions")
            .header("content-type", "application/json")
            .header("x-portkey-virtual-key", "one")
            .body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text);
        let told = "We could not parse the JSON body of your request";
        assert!(
            answer.json()["message"].as_str().unwrap().starts_with(told),
            "{}",
            answer.text
        );
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_content_type_that_no_provider_takes_is_refused() {
    let stage = Stage::start().await;
    let request = stage
        .request(Method::POST, "/v1/chat/completions")
        .header("content-type", "text/plain")
        .header("x-portkey-virtual-key", "one")
        .body("Hello");
    expect(
        &Answer::of(request).await,
        400,
        "Invalid content type passed",
    );
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn providers_that_can_not_be_reached_are_502() {
    // The open gateway answers 500 in plain text with the address in it; here it is 502 for a
    // connection that is refused or breaks, in the one form, and the address is not told.
    let options = "[virtual_keys.nobody]\nprovider = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n\
                   [virtual_keys.unknown]\nprovider = 'openai'\nbase_url = 'http://a.invalid/v1'\n";
    let stage = Stage::start_with(options).await;
    for slug in ["nobody", "unknown"] {
        let answer = stage.chat(&json!({"virtual_key": slug})).await;
        assert_eq!(answer.status, 502, "{}", answer.text);
        let body = answer.json();
        assert_eq!(body["error"]["code"], "upstream_unreachable");
        assert_eq!(body["error"]["type"], "server_error");
        assert_eq!(body["status"], "failure");
        assert_eq!(answer.header("x-portkey-provider"), "openai");
        assert!(
            !answer.text.contains("127.0.0.1") && !answer.text.contains("a.invalid"),
            "{}",
            answer.text
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn providers_that_never_finish_a_connection_are_503() {
    // It takes the connection, and never says a word of the handshake.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let options = format!(
        "[gateway]\nconnect_s = 1\nretries = 0\n\
         [virtual_keys.silent]\nprovider = 'openai'\nbase_url = 'https://{address}/v1'\n"
    );
    let stage = Stage::start_with(&options).await;
    let answer = stage.chat(&json!({"virtual_key": "silent"})).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], "connect_timeout");
    assert_eq!(answer.json()["status"], "failure");
    for name in FIVE {
        assert_ne!(answer.header(name), "", "{name}");
    }
    stage.stop().await;
    drop(silent);
}

#[tokio::test]
async fn paths_and_methods_that_nobody_serves_are_404_and_405() {
    let stage = Stage::start().await;
    for (method, path, status) in [
        (Method::POST, "/nothing", 404),
        (Method::GET, "/v2/models", 404),
        (Method::OPTIONS, "/", 404),
        (Method::PATCH, "/v1/assistants", 405),
    ] {
        let request = stage.app.bare(method.clone(), path).bearer_auth(KEY_B);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        for name in FIVE {
            assert_ne!(answer.header(name), "", "{method} {path}: {name}");
        }
    }
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_failure_of_the_gateways_own_is_marked() {
    let stage = Stage::start().await;
    // A key that can stand in no header: the call can not be made.
    let config = json!({"provider": "openai", "api_key": "sk-\ncanary-key-0123456789"});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert_eq!(answer.header("x-portkey-gateway-exception"), "true");
    assert!(!answer.text.contains("canary"), "{}", answer.text);
    for name in FIVE {
        assert_ne!(answer.header(name), "", "{name}");
    }
    let answer = stage.chat(&json!({"virtual_key": "nowhere"})).await;
    assert_eq!(answer.header("x-portkey-gateway-exception"), "");
    stage.stop().await;
}

#[tokio::test]
async fn an_option_that_nobody_acts_on_is_named() {
    let stage = Stage::start().await;
    let config = json!({"strategy": {"mode": "single"}, "targets": [
        {"provider": "vllm", "custom_host": "https://a.example/v1", "api_verison": "v1"}]});
    let answer = stage.chat(&config).await;
    expect(&answer, 400, "Invalid config passed");
    let told = "path: targets,0,api_verison, message: Unknown key";
    assert_eq!(answer.json()["errors"], json!([told]));
    stage.stop().await;
}

#[tokio::test]
async fn headers_are_read_as_utf_8() {
    let stage = Stage::start().await;
    stage.providers[0].always(super::stage::said("ok"));
    let config = json!({"virtual_key": "one", "override_params": {"user": "J\u{fc}rgen \u{65e5}"}});
    assert_eq!(stage.chat(&config).await.status, 200);
    assert_eq!(stage.received().body["user"], "J\u{fc}rgen \u{65e5}");
    for name in ["x-portkey-config", "x-portkey-virtual-key"] {
        let request = stage.post("/v1/chat/completions", &question());
        let answer = Answer::of(request.header(name, &b"J\xfcrgen"[..])).await;
        expect(&answer, 400, &format!("The header '{name}' is not UTF-8."));
    }
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}
