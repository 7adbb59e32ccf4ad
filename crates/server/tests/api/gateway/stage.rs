//! A server before three scripted providers, each with an account of its own.

use loomgate_testkit::upstream::{FakeUpstream, Recorded, Reply};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::app::{Answer, KEY_B, TestApp};

/// The keys that the providers are called with, in their order.
pub(crate) const PROVIDER_KEYS: [&str; 3] = [
    "sk-stage-one-0123456789abcdef",
    "sk-stage-two-0123456789abcdef",
    "sk-stage-three-0123456789abcdef",
];

/// Slugs of the virtual keys, in the order of the providers.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A server before three providers. The virtual keys `one`, `two` and `three` are relayed to for
/// model calls; `up-one`, `up-two` and `up-three` for everything.
pub(crate) struct Stage {
    pub(crate) app: TestApp,
    pub(crate) providers: [FakeUpstream; 3],
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more options: lines of TOML. `{one}`, `{two}` and `{three}` in them are the base
    /// addresses of the providers.
    pub(crate) async fn start_with(options: &str) -> Self {
        Self::again(
            tempfile::tempdir().unwrap(),
            FakeUpstream::start().await,
            [
                FakeUpstream::start().await,
                FakeUpstream::start().await,
                FakeUpstream::start().await,
            ],
            options,
        )
        .await
    }

    /// On a folder and before providers that are there already.
    pub(crate) async fn again(
        folder: tempfile::TempDir,
        upstream: FakeUpstream,
        providers: [FakeUpstream; 3],
        options: &str,
    ) -> Self {
        let mut file = String::new();
        let mut options = options.to_owned();
        for ((name, provider), key) in NAMES.iter().zip(&providers).zip(PROVIDER_KEYS) {
            let url = provider.url();
            options = options.replace(&format!("{{{name}}}"), &url);
            let account = format!("provider = 'openai'\nbase_url = '{url}'\napi_key = '{key}'\n");
            file = format!(
                "{file}[virtual_keys.{name}]\n{account}\
                 [virtual_keys.up-{name}]\n{account}assistants = 'upstream'\n"
            );
        }
        file.push_str(&options);
        let app = TestApp::start_in(folder, upstream, &file).await;
        Self { app, providers }
    }

    /// A chat completion of workspace `b`, by a config.
    pub(crate) fn call(&self, config: &Value) -> RequestBuilder {
        self.post("/v1/chat/completions", &question())
            .header("x-portkey-config", config.to_string())
    }

    /// The same, answered.
    pub(crate) async fn chat(&self, config: &Value) -> Answer {
        Answer::of(self.call(config)).await
    }

    /// A request of workspace `b`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app
            .bare(method, path)
            .header("x-portkey-api-key", KEY_B)
    }

    /// A `POST` of workspace `b`.
    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// Makes an API key of workspace `a` as the admin API's body says. The key.
    pub(crate) async fn make_key(&self, mut body: Value) -> String {
        body["name"] = json!("made by a test");
        let answer = self.app.post("/v1/api-keys/workspace/service", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["key"].as_str().unwrap().to_owned()
    }

    /// A chat completion by virtual key `one`, with another API key.
    pub(crate) fn call_with(&self, key: &str) -> RequestBuilder {
        self.app
            .bare(Method::POST, "/v1/chat/completions")
            .header("x-portkey-api-key", key)
            .header("x-portkey-virtual-key", "one")
            .json(&question())
    }

    /// How many requests the providers have received.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|index| self.providers[index].count())
    }

    /// The last request that the first provider received.
    pub(crate) fn received(&self) -> Recorded {
        self.providers[0].requests().pop().expect("a request")
    }

    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.app.stop().await
    }

    /// Ends the server; a second one goes on from [`Stage::again`].
    pub(crate) async fn end(self) -> (tempfile::TempDir, FakeUpstream, [FakeUpstream; 3]) {
        let (folder, upstream) = self.app.end().await;
        (folder, upstream, self.providers)
    }
}

/// A small chat completion.
pub(crate) fn question() -> Value {
    json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]})
}

/// A provider's answer: 10 prompt tokens, 2 completion tokens.
pub(crate) fn said(words: &str) -> Reply {
    Reply::status(
        200,
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": words},
            }],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
        }),
        &[],
    )
}

/// A provider's refusal.
pub(crate) fn refused(status: u16) -> Reply {
    let message = format!("provider says {status}");
    let error = json!({"error": {"message": message, "type": "t", "param": null, "code": null}});
    Reply::status(status, error, &[])
}

/// `{"virtual_key": slug}`
pub(crate) fn to(slug: &str) -> Value {
    json!({"virtual_key": slug})
}

/// What an assistant said in a chat completion.
#[track_caller]
pub(crate) fn words(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let words = answer.json()["choices"][0]["message"]["content"].clone();
    words.as_str().unwrap().to_owned()
}
