//! A gateway before a scripted server that stands for every vendor.
//!
//! Over HTTP, because which reader an answer gets depends on its head.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use loomgate_domain::{Clock, IdGen, WorkspaceId};
use loomgate_testkit::upstream::{FakeUpstream, Reply};
use serde_json::json;
use url::Url;

use super::{accounts::At, *};
use crate::{
    ChatEvent, ChatRequest, Error, Gateway, ModelCall, Plan, Provider, Settings, Target,
    relay::{AnswerBody, Cacheable, Caller, RelayBody, RelayRequest},
    retries::AttemptPolicy,
};

pub(super) struct Line {
    gateway: Gateway,
    pub(super) upstream: FakeUpstream,
}

pub(super) struct Sevens;

impl IdGen for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

/// What a turn came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    content: String,
    refusal: String,
    calls: Vec<[Option<String>; 4]>,
    usage: Option<Value>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

impl Read {
    pub(super) fn take(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Text(text) => self.content.push_str(&text),
            ChatEvent::Refusal(text) => self.refusal.push_str(&text),
            ChatEvent::CallStarted {
                index,
                id,
                name,
                signature,
            } => {
                assert_eq!(index, self.calls.len());
                let call = [Some(id), Some(name), Some(String::new()), signature];
                self.calls.push(call);
            }
            ChatEvent::CallArguments { index, text } => {
                self.calls[index][2].as_mut().unwrap().push_str(&text);
            }
            ChatEvent::Usage(usage) => {
                let usage = serde_json::to_value(usage).unwrap();
                assert_eq!(self.usage.replace(usage), None);
            }
            ChatEvent::Finished(reason) => {
                let reason = format!("{reason:?}");
                assert_eq!(self.finish_reason.replace(reason), None);
            }
        }
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.error = Some(json!({
            "who": format!("{:?}", error.who),
            "status": error.status,
            "retryable": error.retryable,
            "message": error.message,
            "phase": format!("{:?}", error.phase),
        }));
    }

    pub(super) fn shown(&self) -> Value {
        let calls = self.calls.iter().map(|[id, name, arguments, signature]| {
            json!({"id": id, "name": name, "arguments": arguments, "signature": signature})
        });
        json!({
            "content": self.content,
            "refusal": self.refusal,
            "calls": calls.collect::<Vec<_>>(),
            "usage": self.usage,
            "finish_reason": self.finish_reason,
            "error": self.error,
        })
    }
}

impl Line {
    pub(super) async fn start() -> Self {
        let policy = AttemptPolicy {
            retries: 0,
            ..AttemptPolicy::default()
        };
        let settings = Settings {
            policy,
            ..Settings::default()
        };
        Self {
            gateway: Gateway::new(settings, Arc::new(Sevens), Arc::new(Noon)).unwrap(),
            upstream: FakeUpstream::start().await,
        }
    }

    /// To the vendor's path on the scripted server.
    fn plan(&self, at: At) -> Plan {
        let mut account = at.account();
        let mut url: Url = self.upstream.url().parse().unwrap();
        url.set_path(account.base_url.path());
        account.base_url = url;
        let provider = Provider::Http(Box::new(account));
        Plan::single(&Arc::new(Target::new("main", at.name, provider)))
    }

    pub(super) async fn turn(&self, at: At, request: &ChatRequest) -> Read {
        let call = ModelCall {
            caller: caller(),
            path: "/v1/threads/thread_1/runs".to_owned(),
            capture: 0,
        };
        let mut read = Read::default();
        let sink = Box::new(|_: &_, _| {});
        match self
            .gateway
            .chat(&self.plan(at), &call, request, sink)
            .await
        {
            Ok(mut turn) => {
                while let Some(event) = turn.events.next().await {
                    match event {
                        Ok(event) => read.take(event),
                        Err(error) => read.fail(&error),
                    }
                }
            }
            Err(error) => read.fail(&error),
        }
        read
    }

    /// Relays a call; gives the body that the caller gets, and what was seen of it.
    pub(super) async fn relay(&self, at: At, path: &str, body: &Value) -> (Bytes, Value) {
        let request = RelayRequest {
            caller: caller(),
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )]),
            body: RelayBody::Bytes(body.to_string().into()),
            model: None,
            cache: Cacheable::default(),
            presented_key: "".into(),
        };
        let (tell, told) = mpsc::channel();
        let sink = Box::new(move |_: &_, end| tell.send(end).unwrap());
        let answer = self.gateway.relay(&self.plan(at), &request, 0, sink).await;
        let mut bytes = Vec::new();
        match answer.body {
            AnswerBody::Whole(body) => bytes.extend_from_slice(&body),
            AnswerBody::Stream(mut body) => {
                while let Some(Ok(piece)) = body.next().await {
                    bytes.extend_from_slice(&piece);
                }
            }
        }
        let end = told.recv_timeout(Duration::from_secs(5)).unwrap();
        let seen = json!({
            "status": answer.status.as_u16(),
            "model": end.served_model,
            "usage": end.usage,
            "cut": end.cut,
        });
        (bytes.into(), seen)
    }
}

/// A recorded answer.
pub(super) fn reply(status: u16, is_stream: bool, bytes: &'static [u8]) -> Reply {
    let kind = if is_stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    Reply::exact(status, &[("content-type", kind)], bytes)
}

fn caller() -> Caller {
    Caller {
        workspace: WorkspaceId::trusted("ws_test"),
        key: None,
        metadata: Arc::default(),
    }
}
