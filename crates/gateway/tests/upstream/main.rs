//! The gateway against a scripted server.

#![expect(
    clippy::unwrap_used,
    reason = "what stands between the tests may fail them"
)]

mod answers;
mod faults;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use loomgate_domain::{
    IdGen,
    tool::{ResponseFormat, ToolChoice},
};
use loomgate_gateway::{
    AttemptPolicy, ChatEvent, ChatRequest, ChatStream, Error, Gateway, OpenAi, Provider, Target,
    Timeouts,
};
use loomgate_testkit::upstream::FakeUpstream;
use loomgate_wire::chat::{ChatMessage, UserContent};

const KEY: &str = "sk-canary-0123456789";

struct Counting(AtomicU8);

impl IdGen for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// A gateway that does not take its time between attempts.
fn gateway() -> Gateway {
    let policy = AttemptPolicy {
        base_delay: Duration::from_millis(1),
        ..AttemptPolicy::default()
    };
    Gateway::new(policy, Arc::new(Counting(AtomicU8::new(0)))).unwrap()
}

fn target(upstream: &FakeUpstream) -> Target {
    target_at(&upstream.url())
}

fn target_at(base_url: &str) -> Target {
    Target {
        name: "main".to_owned(),
        provider: Provider::OpenAi(OpenAi::new(base_url.parse().unwrap(), Some(KEY.into()))),
        model_aliases: BTreeMap::from([("gpt-4o".to_owned(), "local-model".to_owned())]),
        timeouts: Timeouts::default(),
    }
}

fn request() -> ChatRequest {
    ChatRequest {
        model: "gpt-4o".to_owned(),
        messages: vec![ChatMessage::User {
            content: UserContent::Text("hi".to_owned()),
        }],
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: true,
        response_format: ResponseFormat::Auto,
        temperature: None,
        top_p: None,
        reasoning_effort: None,
        max_completion_tokens: Some(500),
    }
}

async fn chat(upstream: &FakeUpstream) -> Result<ChatStream, Error> {
    gateway().chat(&target(upstream), &request()).await
}

/// All events, and the error that ended them.
async fn drain(mut stream: ChatStream) -> (Vec<ChatEvent>, Option<Error>) {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error ends the stream");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

/// All events of a stream that ends well.
async fn whole(stream: ChatStream) -> Vec<ChatEvent> {
    let (events, error) = drain(stream).await;
    assert_eq!(error, None);
    events
}

fn text(word: &str) -> ChatEvent {
    ChatEvent::Text(word.to_owned())
}
