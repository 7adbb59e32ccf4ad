//! Sends a relayed call to one target.

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    answer::{Answer, AnswerBody},
    attempt::{Got, RelayAttempt, Response, ended, repeatable},
    headers, own,
    request::RelayBody,
};
use crate::{
    Account, Target,
    account::{self, Outgoing, Payload, Unsendable},
    endpoint::Endpoint,
    error,
    http_client::{SendError, Trust},
    ledger::Bill,
    params,
    plan::Way,
    quirks::refuses_stream_options,
    reading::Facts,
    retries::Verdict,
    walk::Tries,
};

impl RelayAttempt<'_> {
    /// One attempt, up to the response's headers.
    pub(super) async fn send(&self, way: Way<'_>, account: &Account) -> (Got, Verdict) {
        let prepared = self
            .payload(way, account)
            .and_then(|(payload, asked_for_usage)| {
                let custom = way
                    .custom_host(&self.services.exceptions)
                    .map_err(|refused| {
                        Box::new(own::invalid(refused.code(), &refused.to_string()))
                    })?;
                Ok((payload, asked_for_usage, custom))
            });
        let (payload, asked_for_usage, custom) = match prepared {
            Ok(prepared) => prepared,
            Err(answer) => return ended(self.told(way, *answer)),
        };
        let outgoing = self.outgoing(way, payload);
        let bill = self.bill(way.target, outgoing.model.clone());
        let facts = |body: &Value, model: &str| {
            let wants_usage = body["stream_options"]["include_usage"] == true;
            Facts {
                lenient: way.leaf.rules.is_lenient(),
                ..self.services.facts(model, wants_usage)
            }
        };
        let request = account::request(account, custom.as_ref(), outgoing, facts);
        let (request, reading) = match request {
            Ok(request) => request,
            Err(Unsendable::Unsupported { message, param }) => {
                let kind = "invalid_request_error";
                let code = (Some("unsupported_parameter"), param.as_deref());
                return ended(self.told(way, own::failure(400, kind, code, &message)));
            }
            Err(Unsendable::Misconfigured(error)) => {
                tracing::error!(target_name = %way.target.name, %error, "a target makes no sense");
                let answer = own::exception(Some("misconfigured"), &error.message);
                return ended(self.told(way, answer));
            }
        };
        let trust = custom.map_or(way.target.trust, |_| Trust::Guarded);
        let rule = way.leaf.rules.request_timeout;
        let patience = rule.unwrap_or(way.target.timeouts.first_byte);
        let sent = self.services.http.send(trust, request);
        let sent = match (&self.request.body, rule) {
            // The provider can not answer before it has the body, which takes as long as it takes.
            (RelayBody::Stream(upload), None) => upload.answered(patience, sent).await,
            _ => timeout(patience, sent).await.ok(),
        };
        match sent {
            Some(Ok(response)) => {
                let verdict = Verdict::of_answer(response.status(), response.headers());
                let response = Response {
                    head: response,
                    reading,
                    asked_for_usage,
                    bill,
                };
                (Got::Response(Box::new(response)), verdict)
            }
            Some(Err(error)) => self.unreachable(way, &error),
            None => repeatable(self.told(way, own::timed_out(patience.as_millis()))),
        }
    }

    /// The same call again, when it was refused for nothing but the token counts that the gateway
    /// asked for; the server is remembered.
    pub(super) async fn without_stream_options(
        &self,
        way: Way<'_>,
        account: &Account,
        got: Got,
        verdict: Verdict,
    ) -> (Got, Verdict) {
        let response = match got {
            Got::Response(response)
                if response.asked_for_usage && matches!(verdict.status, 400 | 422) =>
            {
                *response
            }
            got => return (got, verdict),
        };
        let (ready, verdict) = self.read(way, response, Tries::default()).await;
        let refused = match &ready.answer.body {
            AnswerBody::Whole(body) => {
                refuses_stream_options(verdict.status, &String::from_utf8_lossy(body))
            }
            AnswerBody::Stream(_) => false,
        };
        if !refused {
            return (Got::Ready(Box::new(ready)), verdict);
        }
        self.services
            .quirks
            .refused_stream_options(way.target, account);
        self.send(way, account).await
    }

    fn bill(&self, target: &Target, model: Option<String>) -> Bill {
        let mut bill = Bill::new(target, self.request.caller.key.as_ref(), model);
        bill.free = !self.known.endpoint.has_parameters();
        if let RelayBody::Bytes(bytes) = &self.request.body {
            bill.request_bytes = bytes.len() as u64;
        }
        bill
    }

    fn unreachable(&self, way: Way<'_>, error: &SendError) -> (Got, Verdict) {
        if let RelayBody::Stream(upload) = &self.request.body
            && let Some(fault) = upload.fault()
        {
            return ended(self.told(way, own::no_body(fault)));
        }
        let message = error::unreachable(error);
        let (status, code) = match error {
            SendError::Refused(_) => {
                return ended(self.told(way, own::invalid(Some("host_not_allowed"), &message)));
            }
            SendError::ConnectTimeout => (503, "connect_timeout"),
            _ => (502, "upstream_unreachable"),
        };
        let answer = own::failure(status, "server_error", (Some(code), None), &message);
        repeatable(self.told(way, answer))
    }

    /// The body for a leaf, and whether usage was asked for in it: the bytes as they came, unless
    /// something has to change.
    fn payload(&self, way: Way<'_>, account: &Account) -> Result<(Payload, bool), Box<Answer>> {
        let request = self.request;
        let bytes = match &request.body {
            RelayBody::Bytes(bytes) => bytes,
            RelayBody::Stream(upload) => {
                let body = upload.take().ok_or_else(|| {
                    let message = "The body of your request was streamed to a provider once, and \
                                   can not be sent again.";
                    let code = (Some("body_not_repeatable"), None);
                    Box::new(own::failure(502, "server_error", code, message))
                })?;
                return Ok((Payload::Stream(body), false));
            }
        };
        let endpoint = self.known.endpoint;
        let model = self.known.model.as_deref();
        let rules = &way.leaf.rules;
        let asks = self.may_ask_for_usage(way.target, account);
        let changes = endpoint.has_parameters()
            && request.is_json()
            && (request.model.is_some() || params::change_something(rules, way.target, model));
        let is_translated = !rules.passthrough && account::speaks_differently(account, endpoint);
        if changes || is_translated {
            let Value::Object(mut body) = self.json().clone() else {
                let message = "We could not parse the JSON body of your request.";
                return Err(Box::new(own::invalid(None, message)));
            };
            params::apply(&mut body, rules, way.target, request.model.as_deref());
            if asks {
                body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
            return Ok((Payload::Json(body.into()), asks));
        }
        match with_usage_asked_for(bytes).filter(|_| asks) {
            Some(body) => Ok((Payload::Bytes(body), true)),
            None => Ok((Payload::Bytes(bytes.clone()), false)),
        }
    }

    /// A streamed chat only tells its usage when it is asked to.
    fn may_ask_for_usage(&self, target: &Target, account: &Account) -> bool {
        self.known.endpoint == Endpoint::Chat
            && self.known.stream
            && !self.known.stream_options
            && self.services.quirks.takes_stream_options(target, account)
    }

    fn outgoing(&self, way: Way<'_>, payload: Payload) -> Outgoing {
        let request = self.request;
        let path = request.path.strip_prefix("/v1").unwrap_or(&request.path);
        let mut headers = headers::outgoing(
            &request.headers,
            &way.leaf.rules.forward_headers,
            &request.presented_key,
        );
        let model = match &payload {
            Payload::Json(body) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                body["model"].as_str().map(str::to_owned)
            }
            Payload::Bytes(_) | Payload::Stream(_) => self.known.model.clone(),
        };
        Outgoing {
            method: request.method.clone(),
            endpoint: self.known.endpoint,
            path: path.trim_start_matches('/').to_owned(),
            query: request.query.clone(),
            headers,
            named: way.leaf.rules.forward_headers.clone(),
            payload,
            model,
        }
    }
}

/// The same object with one field more, without reading what stands before its end.
fn with_usage_asked_for(body: &Bytes) -> Option<Bytes> {
    let end = body.iter().rposition(|byte| *byte == b'}')?;
    let before = body[..end].trim_ascii_end();
    let comma: &[u8] = if before == b"{" { b"" } else { b"," };
    let asked = b"\"stream_options\":{\"include_usage\":true}}";
    Some([before, comma, asked].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_asked_for_at_the_end_of_the_object() {
        let with = |body: &'static str| {
            let body = with_usage_asked_for(&Bytes::from_static(body.as_bytes())).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let asked = json!({"include_usage": true});
        assert_eq!(with("{}"), json!({"stream_options": asked}));
        assert_eq!(
            with("{\"a\": {\"b\": 1} \n}\n"),
            json!({"a": {"b": 1}, "stream_options": asked})
        );
    }
}
