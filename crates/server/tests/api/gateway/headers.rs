//! Which headers go on to providers, and which every answer has.

use loomgate_testkit::upstream::Reply;
use reqwest::{Method, RequestBuilder, header::HeaderName};
use serde_json::json;

use super::{
    errors::FIVE,
    stage::{PROVIDER_KEYS, Stage, question, refused, said},
};
use crate::app::{Answer, KEY_B};

const OWN: &str = "sk-callers-own-0123456789abcdef";

#[tokio::test]
async fn credentials_and_headers_of_the_connection_stay_here() {
    let stage = Stage::start().await;
    for path in [
        "/v1/chat/completions",
        "/v1/threads/t/runs/r",
        "/v1/batches",
    ] {
        stage.providers[0].push(said("ok"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nx-portkey-api-key: {KEY_B}\r\n\
             x-portkey-virtual-key: up-one\r\nauthorization: Bearer {OWN}\r\ncookie: a=b\r\n\
             x-api-key: k1\r\napi-key: k2\r\nx-goog-api-key: k3\r\nx-portkey-metadata: {{}}\r\n\
             x-portkey-trace-id: t\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\n\
             te: trailers\r\nproxy-authorization: Basic eA==\r\nproxy-connection: close\r\n\
             upgrade: h2c\r\nmetadata-flavor: Google\r\naccept-encoding: gzip\r\n\
             openai-beta: assistants=v2\r\nuser-agent: OpenAI/Python 2.30.0\r\n\
             x-stainless-lang: python\r\nx-custom: kept\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{{}}"
        );
        let answer = stage.app.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let request = stage.received();
        let mut names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "content-length",
            "content-type",
            "host",
            "openai-beta",
            "user-agent",
            "x-custom",
            "x-stainless-lang",
        ];
        assert_eq!(names, expected, "{path}");
        let stored = format!("Bearer {}", PROVIDER_KEYS[0]);
        assert_eq!(request.header("authorization"), Some(&*stored));
        assert!(!format!("{:?}", request.headers).contains(OWN));
        assert_ne!(request.header("host"), Some("gateway"));
    }
    stage.stop().await;
}

#[tokio::test]
async fn named_headers_go_on_but_the_gateways_key_does_not() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let call = |names: &str| {
        let request = stage.post("/v1/chat/completions", &question());
        request
            .header("x-portkey-virtual-key", "one")
            .header("x-portkey-forward-headers", names)
            .header("cookie", "a=b")
            .header("x-api-key", KEY_B)
    };
    let received = async |request: RequestBuilder| {
        assert_eq!(Answer::of(request).await.status, 200);
        let request = stage.received();
        ["authorization", "cookie", "x-api-key"].map(|name| request.header(name).map(str::to_owned))
    };
    let stored = format!("Bearer {}", PROVIDER_KEYS[0]);
    let own = format!("Bearer {OWN}");
    let cookie = Some("a=b".to_owned());
    for names in ["Cookie,X-Api-Key", "['Cookie', 'X-Api-Key']"] {
        let got = received(call(names).bearer_auth(OWN)).await;
        assert_eq!(got, [Some(stored.clone()), cookie.clone(), None], "{names}");
    }
    // At the caller's own word its credential goes on, in place of the one that is kept here.
    let got = received(call("authorization").bearer_auth(OWN)).await;
    assert_eq!(got, [Some(own), None, None]);
    for placeholder in [KEY_B, "OPENAI_API_KEY"] {
        let got = received(call("authorization").bearer_auth(placeholder)).await;
        assert_eq!(got, [Some(stored.clone()), None, None], "{placeholder}");
    }
    let forbidden = Answer::of(call("Metadata-Flavor")).await;
    assert_eq!(forbidden.status, 400, "{}", forbidden.text);
    // A header goes before the config.
    let config = json!({"virtual_key": "one", "forward_headers": ["cookie"]});
    let by_config = stage.call(&config).header("cookie", "a=b");
    assert_eq!(received(by_config).await[1], cookie);
    let overruled = stage
        .call(&config)
        .header("cookie", "a=b")
        .header("x-portkey-forward-headers", "x-other");
    assert_eq!(received(overruled).await[1], None);
    stage.stop().await;
}

#[tokio::test]
async fn what_portkey_names_its_own_way_reaches_the_provider_by_its_own_name() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let call = stage
        .call(&json!({"virtual_key": "one"}))
        .header("x-portkey-openai-organization", "org-1")
        .header("x-portkey-openai-project", "proj-1")
        .header("x-portkey-openai-beta", "assistants=v2");
    assert_eq!(Answer::of(call).await.status, 200);
    let request = stage.received();
    for (name, value) in [
        ("openai-organization", "org-1"),
        ("openai-project", "proj-1"),
        ("openai-beta", "assistants=v2"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert!(!format!("{:?}", request.headers).contains("x-portkey"));
    stage.stop().await;
}

/// Headers of contract portkey.md section 2 that say nothing about where a call goes, with values
/// that mean something.
const DOCUMENTED: [(&str, &str); 38] = [
    ("x-portkey-trace-id", "trace"),
    ("x-portkey-span-id", "span"),
    ("x-portkey-span-name", "name"),
    ("x-portkey-parent-span-id", "parent"),
    ("x-portkey-metadata", r#"{"_user":"u"}"#),
    ("x-portkey-cache-force-refresh", "true"),
    ("x-portkey-cache-namespace", "space"),
    ("x-portkey-cache", "simple"),
    ("x-portkey-request-timeout", "60000"),
    ("x-portkey-retry-count", "5"),
    ("x-portkey-mode", "proxy openai"),
    ("x-portkey-forward-headers", "x-none"),
    ("x-portkey-strict-open-ai-compliance", "false"),
    ("x-portkey-strict-openai-compliance", "false"),
    ("x-portkey-debug", "false"),
    ("x-portkey-sensitive-headers", "x-none"),
    ("x-portkey-beta", "some-flag"),
    ("x-portkey-fetch-integrated-models", "true"),
    ("x-portkey-openai-organization", "org"),
    ("x-portkey-openai-project", "proj"),
    ("x-portkey-openai-beta", "assistants=v2"),
    ("x-portkey-azure-resource-name", "r"),
    ("x-portkey-azure-deployment-id", "d"),
    ("x-portkey-azure-api-version", "v"),
    ("x-portkey-aws-region", "eu"),
    ("x-portkey-amzn-sagemaker-model-name", "m"),
    ("x-portkey-vertex-project-id", "p"),
    ("x-portkey-anthropic-beta", "b"),
    ("x-portkey-anthropic-version", "2023-06-01"),
    ("x-portkey-mistral-fim-completion", "true"),
    ("x-portkey-file-purpose", "batch"),
    ("x-portkey-provider-model", "m"),
    ("x-portkey-default-input-guardrails", "[]"),
    ("x-portkey-default-output-guardrails", "[]"),
    ("x-portkey-package-version", "portkey-2.3.4"),
    ("x-portkey-runtime", "CPython"),
    ("x-portkey-runtime-version", "3.12"),
    ("x-portkey-anything-new", "yes"),
];

#[tokio::test]
async fn each_documented_header_is_taken_and_none_goes_on_under_portkeys_name() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let call = |slug: &str, path: &str| {
        let call = stage.post(path, &question());
        call.header("x-portkey-virtual-key", slug)
    };
    for (slug, path) in [
        ("one", "/v1/chat/completions"),
        ("up-one", "/v1/threads/t/runs/r"),
    ] {
        let mut all = call(slug, path);
        for (name, value) in DOCUMENTED {
            let answer = Answer::of(call(slug, path).header(name, value)).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            all = all.header(name, value);
        }
        assert_eq!(Answer::of(all).await.status, 200, "{path}");
        for request in stage.providers[0].requests() {
            let mut names = request.headers.keys().map(HeaderName::as_str);
            let portkeys = names.find(|name| name.starts_with("x-portkey"));
            assert_eq!(portkeys, None, "{path}");
        }
    }
    for name in ["auth-mode", "managed-client-id", "entra-client-secret"] {
        let name = format!("x-portkey-azure-{name}");
        let call = call("one", "/v1/chat/completions").header(&name, "secret-value");
        let answer = Answer::of(call).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json()["error"]["param"], *name);
        assert!(!answer.text.contains("secret-value"), "{}", answer.text);
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_answer_has_all_five() {
    let options = "[limits]\nbody_bytes = 1024\n";
    let stage = Stage::start_with(options).await;
    stage.providers[0].always(said("ok"));
    stage.providers[1].always(refused(429));
    stage.providers[2].always(Reply::text("a stream"));
    let chat = |slug: &str| {
        let request = stage.post("/v1/chat/completions", &question());
        request.header("x-portkey-virtual-key", slug)
    };
    let mut stream = question();
    stream["stream"] = json!(true);
    let streamed = stage
        .post("/v1/chat/completions", &stream)
        .header("x-portkey-virtual-key", "three");
    let large = json!({"model": "x".repeat(2048)});
    let many = (0..70).fold(
        stage.request(Method::GET, "/v1/models"),
        |request, index| request.header(format!("x-many-{index}"), "1"),
    );
    let request = |method, path| stage.request(method, path);
    for (what, status, request) in [
        ("native", 200, request(Method::GET, "/v1/assistants")),
        (
            "native 404",
            404,
            request(Method::GET, "/v1/threads/thread_none"),
        ),
        (
            "native 400",
            400,
            stage.post("/v1/assistants", &json!({"model": 1})),
        ),
        ("health", 200, request(Method::GET, "/health")),
        ("relayed", 200, chat("one")),
        ("relayed 429", 429, chat("two")),
        ("streamed", 200, streamed),
        ("401", 401, stage.app.bare(Method::GET, "/v1/models")),
        ("403", 403, request(Method::GET, "/metrics")),
        ("404", 404, request(Method::GET, "/nowhere")),
        ("405", 405, request(Method::PUT, "/v1/assistants")),
        ("413 native", 413, stage.post("/v1/assistants", &large)),
        ("413 relayed", 413, chat("one").json(&large)),
        (
            "415",
            415,
            request(Method::POST, "/v1/assistants")
                .header("content-type", "text/plain")
                .body("x"),
        ),
        ("431", 431, many),
        ("no virtual key", 400, chat("nowhere")),
        (
            "bad metadata",
            400,
            chat("one").header("x-portkey-metadata", "[]"),
        ),
    ] {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        for name in FIVE {
            let values = answer.headers.get_all(name).iter().count();
            assert_eq!(values, 1, "{what}: {name}");
            assert_ne!(answer.header(name), "", "{what}: {name}");
        }
        let provider = match what {
            "relayed" | "relayed 429" | "streamed" => "openai",
            _ => "loomgate",
        };
        assert_eq!(answer.header("x-portkey-provider"), provider, "{what}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_providers_own_headers_of_the_same_names_are_replaced() {
    let stage = Stage::start().await;
    let headers = [
        ("content-type", "application/json"),
        ("x-portkey-trace-id", "theirs"),
        ("x-portkey-provider", "theirs"),
        ("x-portkey-gateway-exception", "true"),
        ("x-request-id", "req_theirs"),
        ("openai-processing-ms", "17"),
        ("x-ratelimit-remaining-requests", "9"),
        ("set-cookie", "a=b"),
    ];
    stage.providers[0].push(Reply::exact(200, &headers, "{}"));
    let answer = stage.chat(&json!({"virtual_key": "one"})).await;
    assert_eq!(answer.header("x-portkey-provider"), "openai");
    assert_eq!(
        answer.headers.get_all("x-portkey-trace-id").iter().count(),
        1
    );
    assert_ne!(answer.header("x-portkey-trace-id"), "theirs");
    assert_eq!(answer.header("x-portkey-gateway-exception"), "");
    assert_eq!(answer.header("x-request-id"), "req_theirs");
    assert_eq!(answer.header("openai-processing-ms"), "17");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "9");
    assert_eq!(answer.header("set-cookie"), "");
    stage.stop().await;
}

#[tokio::test]
async fn the_trace_is_the_callers_where_it_has_one() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("ok"));
    let call = || stage.call(&json!({"virtual_key": "one"}));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let own = call()
        .header("x-portkey-trace-id", "mine")
        .header("traceparent", parent);
    assert_eq!(Answer::of(own).await.header("x-portkey-trace-id"), "mine");
    let w3c = call().header("traceparent", parent);
    let trace = Answer::of(w3c).await;
    assert_eq!(
        trace.header("x-portkey-trace-id"),
        "0af7651916cd43dd8448eb211c80319c"
    );
    // What W3C says goes on to the provider, which may trace too.
    assert_eq!(stage.received().header("traceparent"), Some(parent));
    let (one, other) = (Answer::of(call()).await, Answer::of(call()).await);
    let generated = one.header("x-portkey-trace-id");
    assert_eq!(generated.len(), 32, "{generated}");
    assert_ne!(generated, other.header("x-portkey-trace-id"));
    stage.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_has_them_as_well() {
    let stage = Stage::start().await;
    for path in ["/v1/models", "/v1/assistants"] {
        let large = "x".repeat(40_000);
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nx-large: {large}\r\n\r\n"
        );
        let answer = stage.app.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        for name in FIVE {
            assert!(answer.contains(name), "{name}: {answer}");
        }
    }
    stage.stop().await;
}
