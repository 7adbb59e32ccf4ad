//! A secret that was put in appears nowhere (T4): not in the database, the logs, the metrics or an
//! answer.

use loomgate_testkit::upstream::{FakeUpstream, Reply};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::stage::{Stage, question, refused, said};
use crate::{app::client, database::kept_below, program::Program};

const KEY: &str = "lg-canary-gateway-key-0123456789abcdef";
const STORED: &str = "sk-canary-stored-0123456789abcdef";
const VAULTED: &str = "sk-canary-vaulted-0123456789abcdef";
const OWN: &str = "sk-canary-own-0123456789abcdef";
const INLINE: &str = "sk-canary-inline-0123456789abcdef";
const WORD: &str = "canary";

/// A program that lets callers name the provider, with bodies in its logs and every log line.
struct Cage {
    program: Program,
    provider: FakeUpstream,
    client: reqwest::Client,
    answers: String,
}

impl Cage {
    async fn start(folder: &std::path::Path) -> Self {
        let provider = FakeUpstream::start().await;
        let config = format!(
            "[[api_keys]]\nname = 'a'\nkey = '{KEY}'\nscopes = ['admin']\n\
             [virtual_keys.main]\nprovider = 'openai'\nbase_url = '{}'\napi_key = '{STORED}'\n\
             [egress]\nallow = ['127.0.0.1']\n[logs]\nbodies = true\n[gateway]\nretries = 0\n",
            provider.url()
        );
        Self {
            program: Program::start(folder, &config).await,
            provider,
            client: client(reqwest::Client::builder()),
            answers: String::new(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.program.url));
        request.header("x-portkey-api-key", KEY)
    }

    /// Sends it, and keeps all that comes back.
    async fn send(&mut self, request: RequestBuilder) -> (u16, String) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        self.answers.push_str(&headers);
        let text = answer.text().await.unwrap();
        self.answers.push_str(&text);
        (status, text)
    }

    /// A run with a function call between two turns; after the first of them what it was made with
    /// is still needed.
    async fn run(&mut self, with: impl Fn(RequestBuilder) -> RequestBuilder) {
        self.provider.push(Reply::calls(&[("call_1", "f", "{}")]));
        self.provider.push(Reply::text("done"));
        let function = json!({"type": "function", "function": {"name": "f"}});
        let body = json!({"model": "m", "tools": [function]});
        let (_, made) = self
            .send(self.request(Method::POST, "/v1/assistants").json(&body))
            .await;
        let made: Value = serde_json::from_str(&made).unwrap();
        let thread = json!({"messages": [{"role": "user", "content": "Hello?"}]});
        let body = json!({"assistant_id": made["id"], "thread": thread});
        let begun = with(self.request(Method::POST, "/v1/threads/runs").json(&body));
        let (status, run) = self.send(begun).await;
        assert_eq!(status, 200, "{run}");
        let run: Value = serde_json::from_str(&run).unwrap();
        let path = super::runs::path(&run);
        self.until(&path, "requires_action").await;
        let outputs = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "ok"}]});
        let submit = self.request(Method::POST, &format!("{path}/submit_tool_outputs"));
        assert_eq!(self.send(submit.json(&outputs)).await.0, 200);
        self.until(&path, "completed").await;
    }

    async fn until(&mut self, path: &str, status: &str) {
        loop {
            let (_, run) = self.send(self.request(Method::GET, path)).await;
            let run: Value = serde_json::from_str(&run).unwrap();
            if run["status"] == status {
                return;
            }
            assert_ne!(run["status"], "failed", "{run}");
            tokio::task::yield_now().await;
        }
    }
}

/// A chat completion.
fn chat(cage: &Cage) -> RequestBuilder {
    cage.request(Method::POST, "/v1/chat/completions")
        .json(&question())
}

/// A config with a credential of its own, to the provider.
fn inline(cage: &Cage) -> String {
    let url = cage.provider.url();
    json!({"provider": "openai", "api_key": INLINE, "custom_host": url}).to_string()
}

/// A call with the caller's own credential.
fn own(cage: &Cage, request: RequestBuilder) -> RequestBuilder {
    request
        .header("x-portkey-provider", "openai")
        .header("x-portkey-custom-host", cage.provider.url())
        .bearer_auth(OWN)
}

/// Every way that a secret has into the gateway, with good answers and with refusals.
async fn relayed_calls(cage: &mut Cage) {
    let vaulted = json!({"name": "v", "slug": "v", "provider": "openai", "key": VAULTED});
    let made = cage.request(Method::POST, "/v1/virtual-keys");
    let (status, text) = cage.send(made.json(&vaulted)).await;
    assert_eq!(status, 200, "{text}");
    // Some providers repeat the key that they refuse.
    let message = format!("Incorrect API key: {STORED}");
    let repeated = Reply::status(401, json!({"error": {"message": message}}), &[]);
    for (to_stored, to_others) in [(said("ok"), said("ok")), (repeated, refused(500))] {
        let stored = [
            chat(cage)
                .header("x-portkey-virtual-key", "main")
                .bearer_auth(OWN),
            chat(cage).header("x-portkey-config", "{\"virtual_key\":\"main\"}"),
        ];
        for request in stored {
            cage.provider.push(to_stored.clone());
            cage.send(request).await;
        }
        let others = [
            chat(cage).header("x-portkey-config", inline(cage)),
            own(cage, chat(cage)),
        ];
        for request in others {
            cage.provider.push(to_others.clone());
            cage.send(request).await;
        }
    }
}

/// Refusals of the gateway's own.
async fn refused_calls(cage: &mut Cage) {
    let inside = json!({
        "provider": "openai", "custom_host": "http://10.0.0.1/v1", "api_key": INLINE,
    });
    let nonsense = json!({"provider": "openai", "api_key": INLINE, "nonsense": []});
    let by_config = |config: String| chat(cage).header("x-portkey-config", config);
    for request in [
        by_config(nonsense.to_string()),
        by_config(format!("{{\"api_key\":\"{INLINE}\"")),
        by_config(inside.to_string()),
        chat(cage)
            .header("x-portkey-provider", "nobody")
            .bearer_auth(OWN),
        chat(cage)
            .header("x-portkey-virtual-key", "main")
            .header("x-portkey-custom-host", cage.provider.url()),
    ] {
        let (status, text) = cage.send(request).await;
        assert_eq!(status, 400, "{text}");
    }
}

/// A key that is made by the interface, and used. Its making is the one answer that shows it.
async fn made_key(cage: &mut Cage) -> String {
    let made = cage.request(Method::POST, "/v1/api-keys/workspace/service");
    let made = made.json(&json!({"name": "made", "scopes": ["completions.write"]}));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    cage.provider.push(said("ok"));
    // A scope that it does not have: a refusal is an answer, too.
    for (path, expected) in [("/v1/chat/completions", 200), ("/v1/virtual-keys", 403)] {
        let url = format!("{}{path}", cage.program.url);
        let call = cage.client.post(url).json(&question());
        let call = call.header("x-portkey-virtual-key", "main");
        let (status, text) = cage.send(call.header("x-portkey-api-key", &key)).await;
        assert_eq!(status, expected, "{text}");
    }
    key
}

/// A secret is in nothing that is kept below this folder.
#[track_caller]
fn search(folder: &std::path::Path, secret: &str) {
    let files = kept_below(folder);
    assert!(files.len() >= 2, "{files:?}");
    for (path, bytes) in files {
        let mut windows = bytes.windows(secret.len());
        let found = windows.any(|window| window == secret.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[tokio::test]
async fn no_secret_of_any_kind_is_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut cage = Cage::start(folder.path()).await;
    relayed_calls(&mut cage).await;
    refused_calls(&mut cage).await;
    let made = made_key(&mut cage).await;
    let config = inline(&cage);
    cage.run(|request| request.header("x-portkey-config", &config))
        .await;
    let url = cage.provider.url();
    cage.run(|request| {
        let request = request.header("x-portkey-provider", "openai");
        request
            .header("x-portkey-custom-host", &url)
            .bearer_auth(OWN)
    })
    .await;
    for path in [
        "/metrics",
        "/v1/virtual-keys",
        "/v1/virtual-keys/v",
        "/v1/virtual-keys/main",
        "/v1/api-keys",
        "/v1/configs",
        "/v1/logs?page_size=100",
    ] {
        let (status, text) = cage.send(cage.request(Method::GET, path)).await;
        assert_eq!(status, 200, "{path}: {text}");
    }
    // The provider has seen the right one each time, or else the test shows nothing.
    let requests = cage.provider.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| format!("{:?}", request.headers))
        .collect();
    let seen = seen.concat();
    assert!(!seen.contains(KEY) && !seen.contains(&made));
    for secret in [STORED, OWN, INLINE] {
        assert!(seen.contains(secret), "{secret}");
    }

    // While it runs, so that what stands in the write-ahead logs is looked at too.
    let data = folder.path().join("loomgate-data");
    search(&data, WORD);
    search(&data, &made[..14]);
    let answers = std::mem::take(&mut cage.answers);
    let printed = cage.program.printed.clone();
    let log = cage.program.stop().await;
    search(&data, WORD);
    search(&data, &made[..14]);
    assert!(log.contains("route=\"relay\""), "{log}");
    for (place, text) in [("answers", &answers), ("log", &log), ("stdout", &printed)] {
        for secret in [KEY, STORED, VAULTED, OWN, INLINE, &made] {
            // A few letters from the front may be shown, to tell keys apart.
            assert!(!text.contains(&secret[..14]), "{place}: {secret}");
        }
    }
}

/// A key that looks like nothing.
const PLAIN: &str = "0123canary4567890abcdef";

#[tokio::test]
async fn a_key_that_looks_like_none_is_in_no_log_though_its_server_repeats_it() {
    let options = format!(
        "[logs]\nbodies = true\n[egress]\nallow = ['127.0.0.1']\n\
         [virtual_keys.plain]\nprovider = 'openai'\nbase_url = '{{one}}'\napi_key = '{PLAIN}'\n"
    );
    let stage = Stage::start_with(&options).await;
    let own = json!({
        "provider": "openai", "api_key": PLAIN, "custom_host": stage.providers[0].url(),
    });
    let mut streamed = question();
    streamed["stream"] = json!(true);
    for config in [json!({"virtual_key": "plain"}), own] {
        let events = format!("event: error\ndata: {{\"message\":\"no key {PLAIN}\"}}\n\n");
        let headers = [("content-type", "text/event-stream")];
        for (body, reply) in [
            (question(), said(&format!("You sent {PLAIN}."))),
            (
                question(),
                Reply::status(401, json!({"error": {"message": PLAIN}}), &[]),
            ),
            (streamed.clone(), Reply::chunked(&headers, &[&events])),
        ] {
            stage.providers[0].push(reply);
            let call = stage.call(&config).json(&body);
            let status = crate::app::Answer::of(call).await.status;
            assert!([200, 401].contains(&status), "{status}");
        }
    }
    // A server that stops has written all records.
    let folder = stage.stop().await;
    search(&folder.path().join("data"), WORD);
}
