//! The same calls at every vendor: what each is sent, and what comes back of its answers.

mod calls;
mod forms;
mod oddities;
mod runs;

use loomgate_testkit::upstream::{Recorded, Reply};
use serde_json::{Value, json};

use super::{
    runs::NO_RETRIES,
    stage::{Stage, question},
};
use crate::app::Answer;

const KEY: &str = "sk-of-a-vendor-0123456789abcdef";
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

/// A vendor in front of the first provider, and how it is called.
struct Vendor {
    slug: &'static str,
    provider: &'static str,
    /// More lines of the virtual key.
    options: &'static str,
    model: &'static str,
    /// Where a chat goes, whole and streamed.
    paths: [&'static str; 2],
    /// The header of its key, and what stands before it.
    credential: (&'static str, &'static str),
}

const BEARER: (&str, &str) = ("authorization", "Bearer ");

const fn compatible(provider: &'static str) -> Vendor {
    Vendor {
        slug: provider,
        provider,
        options: "",
        model: "m",
        paths: ["/v1/chat/completions"; 2],
        credential: BEARER,
    }
}

const VENDORS: [Vendor; 13] = [
    compatible("openai"),
    compatible("ollama"),
    compatible("vllm"),
    Vendor {
        slug: "llamacpp",
        ..compatible("llama.cpp")
    },
    compatible("openrouter"),
    compatible("groq"),
    compatible("mistral"),
    compatible("deepseek"),
    compatible("together"),
    Vendor {
        slug: "azure",
        options: "deployment_name = 'gpt'\n",
        paths: ["/v1/chat/completions"; 2],
        credential: ("api-key", ""),
        ..compatible("azure-openai")
    },
    Vendor {
        slug: "azure-dated",
        options: "deployment_name = 'gpt'\napi_version = '2024-10-21'\n",
        paths: ["/openai/deployments/gpt/chat/completions?api-version=2024-10-21"; 2],
        credential: ("api-key", ""),
        ..compatible("azure-openai")
    },
    Vendor {
        model: "claude-sonnet-4-5",
        paths: ["/v1/messages"; 2],
        credential: ("x-api-key", ""),
        ..compatible("anthropic")
    },
    Vendor {
        model: "gemini-2.5-flash",
        paths: [
            "/v1/models/gemini-2.5-flash:generateContent",
            "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ],
        credential: ("x-goog-api-key", ""),
        ..compatible("google")
    },
];

impl Vendor {
    fn speaks_openai(&self) -> bool {
        !matches!(self.provider, "anthropic" | "google")
    }

    /// A whole answer of this vendor's: words, and where one is named a call of `f`.
    fn says(&self, words: &str, call: Option<&Value>) -> Reply {
        let body = match self.provider {
            "anthropic" => {
                let mut content = vec![json!({"type": "text", "text": words})];
                content.extend(call.map(
                    |input| json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": input}),
                ));
                let reason = if call.is_some() {
                    "tool_use"
                } else {
                    "end_turn"
                };
                json!({
                    "id": "msg_1", "type": "message", "role": "assistant", "model": self.model,
                    "content": content, "stop_reason": reason,
                    "usage": {"input_tokens": 10, "output_tokens": 2},
                })
            }
            "google" => {
                let mut parts = vec![json!({"text": words})];
                parts.extend(call.map(|args| json!({"functionCall": {"name": "f", "args": args}})));
                json!({
                    "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
                    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2},
                    "modelVersion": self.model, "responseId": "resp-1",
                })
            }
            _ => {
                let mut message = json!({"role": "assistant", "content": words});
                if let Some(arguments) = call {
                    let function = json!({"name": "f", "arguments": arguments.to_string()});
                    let call = json!({"id": "call_1", "type": "function", "function": function});
                    message["tool_calls"] = json!([call]);
                }
                let reason = if call.is_some() { "tool_calls" } else { "stop" };
                json!({
                    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model,
                    "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
                })
            }
        };
        Reply::status(200, body, &[])
    }

    /// The same, streamed; words without a call or a call without words.
    fn streams(&self, words: &str, call: Option<&Value>) -> Reply {
        let events = match (self.provider, call) {
            ("anthropic", call) => {
                let (block, delta) = match call {
                    Some(input) => (
                        json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
                        json!({"type": "input_json_delta", "partial_json": input.to_string()}),
                    ),
                    None => (
                        json!({"type": "text", "text": ""}),
                        json!({"type": "text_delta", "text": words}),
                    ),
                };
                let reason = if call.is_some() {
                    "tool_use"
                } else {
                    "end_turn"
                };
                let message = json!({
                    "id": "msg_1", "model": self.model, "usage": {"input_tokens": 10, "output_tokens": 1},
                });
                vec![
                    json!({"type": "message_start", "message": message}),
                    json!({"type": "content_block_start", "index": 0, "content_block": block}),
                    json!({"type": "content_block_delta", "index": 0, "delta": delta}),
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}}),
                    json!({"type": "message_stop"}),
                ]
            }
            ("google", call) => {
                let part = match call {
                    Some(args) => json!({"functionCall": {"name": "f", "args": args}}),
                    None => json!({"text": words}),
                };
                let content = json!({"role": "model", "parts": [part]});
                vec![
                    json!({"candidates": [{"content": content}], "modelVersion": self.model, "responseId": "resp-1"}),
                    json!({
                        "candidates": [{"content": {"parts": []}, "finishReason": "STOP"}],
                        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2},
                    }),
                ]
            }
            (_, None) => return Reply::text(words).usage(10, 2),
            (_, Some(arguments)) => {
                return Reply::calls(&[("call_1", "f", &arguments.to_string())]).usage(10, 2);
            }
        };
        let frames: Vec<_> = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let frames: Vec<_> = frames.iter().map(String::as_str).collect();
        Reply::chunked(&[EVENTS], &frames)
    }

    #[track_caller]
    fn check_head(&self, request: &Recorded, streamed: bool) {
        assert_eq!(
            request.path,
            self.paths[usize::from(streamed)],
            "{}",
            self.slug
        );
        let (name, prefix) = self.credential;
        let credential = request.header(name);
        assert_eq!(
            credential,
            Some(&*format!("{prefix}{KEY}")),
            "{}",
            self.slug
        );
        // One credential, and that the vendor's.
        for other in ["authorization", "api-key", "x-api-key", "x-goog-api-key"] {
            assert!(
                other == name || request.header(other).is_none(),
                "{}: {other}",
                self.slug
            );
        }
        let version = request.header("anthropic-version");
        let expected = (self.provider == "anthropic").then_some("2023-06-01");
        assert_eq!(version, expected, "{}", self.slug);
    }
}

async fn stage() -> Stage {
    let mut options = String::new();
    for vendor in &VENDORS {
        let Vendor {
            slug,
            provider,
            options: more,
            ..
        } = vendor;
        let base = if *slug == "azure-dated" {
            // Below another path, as Azure's own are.
            "{one}/../openai"
        } else {
            "{one}"
        };
        options = format!(
            "{options}[virtual_keys.v-{slug}]\nprovider = '{provider}'\nbase_url = '{base}'\n\
             api_key = '{KEY}'\n{more}"
        );
    }
    Stage::start_with(&format!("{options}{NO_RETRIES}")).await
}

async fn chat(stage: &Stage, vendor: &Vendor, body: &Value) -> Answer {
    let call = stage
        .post("/v1/chat/completions", body)
        .header("x-portkey-virtual-key", format!("v-{}", vendor.slug));
    Answer::of(call).await
}

fn asked(vendor: &Vendor) -> Value {
    let mut body = question();
    body["model"] = json!(vendor.model);
    let parameters = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let function = json!({"name": "f", "parameters": parameters});
    body["tools"] = json!([{"type": "function", "function": function}]);
    body
}

/// The chunks of a stream, which has to end as OpenAI's do.
#[track_caller]
fn chunks(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let frames = answer
        .text
        .strip_suffix("data: [DONE]\n\n")
        .expect(&answer.text);
    let frames = frames.split_terminator("\n\n");
    let data = frames.map(|frame| frame.strip_prefix("data: ").expect(frame));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// Named by their slugs.
fn vendor(slug: &str) -> &'static Vendor {
    VENDORS.iter().find(|vendor| vendor.slug == slug).unwrap()
}
