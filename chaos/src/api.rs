//! The API as a client of it sees it: an answer, a refusal, or nobody knows.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    doors::Way,
    events::{Event, Reader},
};

/// The longest wait for an answer, and for the next piece of a stream. A server may be stopped for
/// a while; one that never answers is a loss that the checker sees.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Acknowledged.
    Done(Value),
    /// Refused: status and body.
    Refused(u16, Value),
    /// There was no answer, or only a part of one: it may have been done.
    Lost,
}

/// A stream, or why there is none.
pub(crate) enum Opened {
    Stream(Stream),
    Refused(u16, Value),
    Lost,
}

/// Calls to whoever serves at the moment.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    way: Way,
    key: String,
}

impl Api {
    pub(crate) fn new(way: Way, key: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // A request is sent once: the client decides whether to ask again.
            .retry_canceled_requests(false)
            .build(connector);
        Self {
            client,
            way,
            key: key.to_owned(),
        }
    }

    /// The same with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    /// Reads what has to be there; asks until there is an answer.
    pub(crate) async fn read(&self, path: &str) -> anyhow::Result<Value> {
        loop {
            match self.get(path).await {
                Answer::Done(value) => return Ok(value),
                Answer::Refused(status, body) => anyhow::bail!("GET {path}: {status} {body}"),
                Answer::Lost => self.pause().await,
            }
        }
    }

    /// The same of what is no JSON.
    pub(crate) async fn bytes(&self, path: &str) -> anyhow::Result<Bytes> {
        let full = format!("/v1{path}");
        loop {
            if let Some(response) = self.send(Method::GET, &full, None, &[]).await {
                let status = response.status().as_u16();
                match timeout(PATIENCE, response.into_body().collect()).await {
                    Ok(Ok(body)) if status == 200 => return Ok(body.to_bytes()),
                    Ok(Ok(_)) if !matches!(status, 502..=504) => {
                        anyhow::bail!("GET {path}: {status}")
                    }
                    _ => {}
                }
            }
            self.pause().await;
        }
    }

    /// Whether the server says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        let response = self.send(Method::GET, "/ready", None, &[]).await;
        response.is_some_and(|response| response.status() == 200)
    }

    /// The server's counters, as Prometheus reads them.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        let response = self.send(Method::GET, "/metrics", None, &[]).await;
        let response = response.context("GET /metrics: no answer")?;
        ensure!(
            response.status() == 200,
            "GET /metrics: {}",
            response.status()
        );
        let text = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Waits before a request whose predecessor was lost, which goes to another server.
    pub(crate) async fn pause(&self) {
        self.way.turn();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// Any call, with these headers besides.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.call_with(method, path, body, headers).await
    }

    /// The same with a body of another kind.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let path = format!("/v1{path}");
        let Some(response) = self.send(method, &path, body, headers).await else {
            return Answer::Lost;
        };
        let status = response.status();
        let Ok(Ok(body)) = timeout(PATIENCE, response.into_body().collect()).await else {
            return Answer::Lost;
        };
        let Ok(value) = serde_json::from_slice(&body.to_bytes()) else {
            return Answer::Refused(status.as_u16(), Value::from("no JSON"));
        };
        match status.as_u16() {
            200..=299 => Answer::Done(value),
            // On its way down, or up: what came of it is not said.
            502..=504 => Answer::Lost,
            status => Answer::Refused(status, value),
        }
    }

    /// Opens a stream: by asking for one, or an earlier one behind an event of it, at another server.
    pub(crate) async fn open(
        &self,
        path: &str,
        body: Option<&Value>,
        after: Option<&str>,
    ) -> Opened {
        let method = if body.is_some() {
            Method::POST
        } else {
            self.way.turn();
            Method::GET
        };
        let after = after.map(|after| ("last-event-id", after));
        let headers: Vec<_> = after.into_iter().collect();
        let path = format!("/v1{path}");
        let body = body.map(|body| ("application/json", body.to_string()));
        let Some(response) = self.send(method, &path, body, &headers).await else {
            return Opened::Lost;
        };
        let status = response.status().as_u16();
        if status == 200 {
            return Opened::Stream(Stream {
                body: response.into_body(),
                reader: Reader::default(),
            });
        }
        let Ok(body) = response.into_body().collect().await else {
            return Opened::Lost;
        };
        match status {
            502..=504 => Opened::Lost,
            _ => Opened::Refused(
                status,
                serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
            ),
        }
    }

    /// None: there was no answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        headers: &[(&'static str, &str)],
    ) -> Option<Response<Incoming>> {
        let address = self.way.find().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|(kind, body)| {
            request = std::mem::take(&mut request).header(header::CONTENT_TYPE, kind);
            body
        });
        let request = request.body(Full::from(body.unwrap_or_default())).ok()?;
        timeout(PATIENCE, self.client.request(request))
            .await
            .ok()?
            .ok()
    }
}

/// A stream that is being read.
pub(crate) struct Stream {
    body: Incoming,
    reader: Reader,
}

/// What a stream gives.
pub(crate) enum Next {
    Event(Event),
    /// Its proper end.
    End,
    /// It broke off.
    Broken,
}

impl Stream {
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if let Some(event) = self.reader.next() {
                return Next::Event(event);
            }
            match timeout(PATIENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.reader.push(&data);
                    }
                }
                Ok(None) => return Next::End,
                Ok(Some(Err(_))) | Err(_) => return Next::Broken,
            }
        }
    }
}
