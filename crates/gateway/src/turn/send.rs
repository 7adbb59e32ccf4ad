//! One attempt at a server, up to the first event.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE, USER_AGENT},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{Outcome, TurnAttempt};
use crate::{
    Account, Api, ChatStream,
    account::{self, Outgoing, Payload, Unsendable},
    endpoint::Endpoint,
    error::{self, Error, Who},
    http_client::{SendError, Trust},
    openai::{Body, Decoder, failure, request},
    params,
    plan::Way,
    quirks::refuses_stream_options,
    reading::{self, WHOLE_BYTES},
    retries::Verdict,
    retry_after,
};

/// The most bytes of an error body that are read.
const ERROR_BYTES: usize = 64 * 1024;

impl TurnAttempt<'_> {
    /// One attempt at a server.
    pub(super) async fn send(&self, way: Way<'_>, account: &Account) -> (Outcome, Verdict) {
        let with_options = self
            .services
            .quirks
            .takes_stream_options(way.target, account);
        let result = match self.complete(way, account, with_options).await {
            Err((error, _))
                if with_options
                    && error
                        .status
                        .is_some_and(|status| refuses_stream_options(status, &error.message)) =>
            {
                let result = self.complete(way, account, false).await;
                if result.is_ok() {
                    self.services
                        .quirks
                        .refused_stream_options(way.target, account);
                }
                result
            }
            result => result,
        };
        match result {
            Ok(events) => self.begun(way, events),
            Err((error, wait)) => self.failed(way, error, wait),
        }
    }

    fn body(
        &self,
        way: Way<'_>,
        account: &Account,
        stream_options: bool,
    ) -> Result<Payload, Error> {
        let dialect = request::Dialect {
            max_tokens_field: account.max_tokens_field,
            stream_options,
        };
        let model = way.target.model(&self.request.model);
        let body = request::body(self.request, model, dialect);
        let rules = &way.leaf.rules;
        let signs = account.takes_signatures();
        if !account::speaks_differently(account, Endpoint::Chat)
            && !params::change_something(rules, way.target, None)
            && !signs
        {
            let bytes = serde_json::to_vec(&body).map_err(|error| unsendable(&error))?;
            return Ok(Payload::Bytes(bytes.into()));
        }
        let mut body = serde_json::to_value(&body).map_err(|error| unsendable(&error))?;
        if signs {
            request::sign(&mut body, &self.request.messages);
        }
        let Value::Object(mut body) = body else {
            return Err(unsendable(&"a request that is no object"));
        };
        params::apply(&mut body, rules, way.target, None);
        if account.api == Api::Google {
            // Gemini has no word for it; the run itself takes one call at a time.
            body.remove("parallel_tool_calls");
        }
        Ok(Payload::Json(body.into()))
    }

    async fn complete(
        &self,
        way: Way<'_>,
        account: &Account,
        stream_options: bool,
    ) -> Result<ChatStream, (Error, Option<Duration>)> {
        let plain = |error: Error| (error, None);
        let payload = self.body(way, account, stream_options).map_err(plain)?;
        let model = match &payload {
            Payload::Json(body) => body["model"].as_str().map(str::to_owned),
            _ => Some(way.target.model(&self.request.model).to_owned()),
        };
        let facts = |_: &Value, model: &str| self.services.facts(model, true);
        let outgoing = Outgoing {
            method: Method::POST,
            endpoint: Endpoint::Chat,
            path: "chat/completions".to_owned(),
            query: None,
            headers: own_headers(),
            named: Vec::new(),
            payload,
            model,
        };
        let custom = way
            .custom_host(&self.services.exceptions)
            .map_err(|refused| plain(Error::new(Who::Local, false, refused.to_string())))?;
        let (request, reading) = account::request(account, custom.as_ref(), outgoing, facts)
            .map_err(|unsendable| plain(of_unsendable(unsendable)))?;
        let rules = &way.leaf.rules;
        let patience = rules
            .request_timeout
            .unwrap_or(way.target.timeouts.first_byte);
        let trust = custom.map_or(way.target.trust, |_| Trust::Guarded);
        let response = timeout(patience, self.services.http.send(trust, request))
            .await
            .map_err(|_| {
                let message = format!("The provider did not answer within {patience:?}.");
                plain(Error::new(Who::Timeout, true, message))
            })?
            .map_err(|error| plain(of_send(&error)))?;
        let (parts, mut body) = response.into_parts();
        let key = account.api_key.as_ref();
        let idle = way.target.timeouts.idle;
        if !parts.status.is_success() {
            let status = parts.status.as_u16();
            // A body that cannot be read takes nothing from what the status says.
            let body = reading::whole(&mut body, ERROR_BYTES, idle).await;
            let body = reading.whole(status, body.unwrap_or_default());
            let error = failure::of_status(status, &body.unwrap_or_default(), key);
            return Err((error, retry_after::of(&parts.headers)));
        }
        let decoder = Decoder::new(Arc::clone(&self.services.ids), account.api_key.clone());
        match content_type(&parts.headers) {
            "application/json" if reading.is_as_is() => {
                let bytes = reading::whole(&mut body, WHOLE_BYTES, idle)
                    .await
                    .map_err(plain)?;
                let events = Body::in_one_piece(&bytes, decoder).map_err(plain)?;
                return Ok(ChatStream::new(stream::iter(events.into_iter().map(Ok))));
            }
            "text/html" => {
                let message = "The provider answered with a web page: is its base_url right?";
                return Err(plain(Error::new(Who::Upstream, false, message)));
            }
            _ => {}
        }
        let mut body = Body::new(reading.stream(body), decoder, way.target.timeouts);
        let first = body.next().await.transpose().map_err(plain)?;
        let rest = stream::unfold(body, |mut body| async move {
            body.next().await.map(|event| (event, body))
        });
        Ok(ChatStream::new(stream::iter(first.map(Ok)).chain(rest)))
    }
}

fn own_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
        (
            USER_AGENT,
            HeaderValue::from_static(concat!("loomgate/", env!("CARGO_PKG_VERSION"))),
        ),
    ])
}

/// The media type without its parameters; empty when there is none.
fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}

fn unsendable(reason: &dyn std::fmt::Display) -> Error {
    let message = format!("The request to the provider could not be made: {reason}.");
    Error::new(Who::Local, false, message)
}

fn of_unsendable(unsendable: Unsendable) -> Error {
    match unsendable {
        Unsendable::Unsupported { message, .. } => {
            let mut error = Error::status(400, message);
            error.retryable = false;
            error
        }
        Unsendable::Misconfigured(error) => error,
    }
}

fn of_send(error: &SendError) -> Error {
    let (who, retryable) = match error {
        SendError::Refused(_) => (Who::Local, false),
        SendError::ConnectTimeout => (Who::Timeout, true),
        _ => (Who::Network, true),
    };
    Error::new(who, retryable, error::unreachable(error))
}
