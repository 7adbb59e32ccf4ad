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
    Clock, IdGen, WorkspaceId,
    tool::{ResponseFormat, ToolChoice},
};
use loomgate_gateway::{
    Account, AttemptPolicy, ChatEvent, ChatRequest, ChatStream, Error, Gateway, ModelCall, Plan,
    Provider, Settings, Target, relay::Caller,
};
use loomgate_testkit::upstream::FakeUpstream;
use loomgate_wire::chat::{ChatMessage, UserContent};

const KEY: &str = "sk-canary-0123456789";

struct Counting(AtomicU8);

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_795_348_800_000
    }
}

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
    let settings = Settings {
        policy,
        ..Settings::default()
    };
    Gateway::new(
        settings,
        Arc::new(Counting(AtomicU8::new(0))),
        Arc::new(Noon),
    )
    .unwrap()
}

fn target(upstream: &FakeUpstream) -> Target {
    target_at(&upstream.url())
}

fn target_at(base_url: &str) -> Target {
    let account = Account::openai(base_url.parse().unwrap(), Some(KEY.into()));
    Target {
        model_aliases: BTreeMap::from([("gpt-4o".to_owned(), "local-model".to_owned())]),
        ..Target::new("main", "openai", Provider::Http(Box::new(account)))
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
    turn(&gateway(), &target(upstream), &request()).await
}

async fn turn(
    gateway: &Gateway,
    target: &Target,
    request: &ChatRequest,
) -> Result<ChatStream, Error> {
    let plan = Plan::single(&Arc::new(target.clone()));
    let call = ModelCall {
        caller: Caller {
            workspace: WorkspaceId::trusted("ws_test"),
            key: None,
            metadata: Arc::default(),
        },
        path: "/v1/threads/thread_1/runs".to_owned(),
        capture: 0,
    };
    let turn = gateway
        .chat(&plan, &call, request, Box::new(|_, _| {}))
        .await?;
    Ok(turn.events)
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
