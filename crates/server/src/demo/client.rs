//! A plain HTTP client of the Assistants API: what any program without an SDK would do.

use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::Value;

use super::DemoError;
use super::sse::{SseEvent, SseSplitter};

/// How long nothing may come before a call counts as lost; a small machine loads its model slowly.
const SILENCE: Duration = Duration::from_mins(2);

/// One call: the parts that are shown as a curl command, and sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Below `/v1`, for example `/threads`.
    pub(super) path: String,
    pub(super) virtual_key: Option<String>,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            virtual_key: None,
            body: None,
        }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            virtual_key: None,
            body: Some(body),
        }
    }

    pub(super) fn through(mut self, virtual_key: Option<&str>) -> Self {
        self.virtual_key = virtual_key.map(str::to_owned);
        self
    }

    /// `POST /v1/threads`, as errors name it.
    pub(super) fn name(&self) -> String {
        format!("{} /v1{}", self.method, self.path)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) body: Value,
}

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    api_key: String,
}

impl Client {
    /// `base_url` with or without `/v1` at its end.
    pub(super) fn new(base_url: &str, api_key: String) -> Result<Self, DemoError> {
        // reqwest is built without a TLS provider of its own; an `Err` says that there is one already.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(SILENCE)
            .build()
            .map_err(|source| DemoError::Unreachable {
                call: "set-up of the HTTP client".to_owned(),
                source,
            })?;
        let base = base_url
            .trim_end_matches('/')
            .trim_end_matches("/v1")
            .to_owned();
        Ok(Self {
            http,
            base: format!("{base}/v1"),
            api_key,
        })
    }

    /// The base URL that an SDK takes, `/v1` at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Sends a call and reads its JSON answer; any status but 2xx is an error.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, DemoError> {
        let started = Instant::now();
        let response = self.respond(call).await?;
        let status = response.status().as_u16();
        let bytes = response
            .bytes()
            .await
            .map_err(|source| DemoError::Unreachable {
                call: call.name(),
                source,
            })?;
        let body = serde_json::from_slice(&bytes)
            .map_err(|_| unexpected(call, "JSON", &String::from_utf8_lossy(&bytes)))?;
        Ok(Answer {
            status,
            took: started.elapsed(),
            body,
        })
    }

    /// Sends a call whose answer is a stream of events.
    pub(super) async fn stream(&self, call: &Call) -> Result<EventStream, DemoError> {
        let started = Instant::now();
        let response = self.respond(call).await?;
        Ok(EventStream {
            call: call.name(),
            started,
            response,
            splitter: SseSplitter::default(),
            ready: Vec::new().into_iter(),
        })
    }

    async fn respond(&self, call: &Call) -> Result<Response, DemoError> {
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .bearer_auth(&self.api_key)
            .header("openai-beta", "assistants=v2");
        if let Some(name) = &call.virtual_key {
            request = request.header("x-portkey-virtual-key", name);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|source| DemoError::Unreachable {
                call: call.name(),
                source,
            })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|body| body["error"]["message"].as_str().map(str::to_owned))
            .unwrap_or(text);
        Err(DemoError::Refused {
            call: call.name(),
            status: status.as_u16(),
            message,
        })
    }
}

/// The events of one streamed run, in order.
#[derive(Debug)]
pub(super) struct EventStream {
    call: String,
    started: Instant,
    response: Response,
    splitter: SseSplitter,
    ready: std::vec::IntoIter<SseEvent>,
}

impl EventStream {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Since the call was sent.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The next event with its decoded data; `None` at the `done` event. A stream that ends
    /// without one, or says `error`, is an error.
    pub(super) async fn next(&mut self) -> Result<Option<(String, Value)>, DemoError> {
        let event = loop {
            if let Some(event) = self.ready.next() {
                break event;
            }
            let chunk = self
                .response
                .chunk()
                .await
                .map_err(|source| DemoError::Unreachable {
                    call: self.call.clone(),
                    source,
                })?;
            let Some(chunk) = chunk else {
                return Err(self.broken("the stream ended without a `done` event"));
            };
            self.ready = self.splitter.push(&chunk).into_iter();
        };
        if event.name == "done" {
            return Ok(None);
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|_| self.broken(&format!("`{}` came with `{}`", event.name, event.data)))?;
        if event.name == "error" {
            let message = data["error"]["message"]
                .as_str()
                .unwrap_or("no message")
                .to_owned();
            return Err(self.broken(&message));
        }
        Ok(Some((event.name, data)))
    }

    fn broken(&self, message: &str) -> DemoError {
        DemoError::Stream {
            call: self.call.clone(),
            message: message.to_owned(),
        }
    }
}

/// The string at a JSON pointer of an answer, or an error that shows the answer.
pub(super) fn text<'a>(call: &Call, body: &'a Value, pointer: &str) -> Result<&'a str, DemoError> {
    body.pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| unexpected(call, &format!("a string at {pointer}"), &body.to_string()))
}

pub(super) fn unexpected(call: &Call, expected: &str, got: &str) -> DemoError {
    let got = got.chars().take(400).collect();
    DemoError::Unexpected {
        call: call.name(),
        expected: expected.to_owned(),
        got,
    }
}
