//! Relayed calls to the built-in model.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{Answer, AnswerBody, Capture, Ending, Report},
    attempt::{Got, Ready, RelayAttempt, Through, ended},
    observe::Observer,
    own,
};
use crate::{
    Gathered,
    echo::{self, completion},
    endpoint::{Endpoint, StreamEnd},
    ledger::Bill,
    params,
    plan::Way,
    reading::Wire,
    retries::Verdict,
};

impl RelayAttempt<'_> {
    /// What the built-in model answers: chat completions, and its own entry among the models.
    pub(super) async fn echo(&self, way: Way<'_>) -> (Got, Verdict) {
        match (self.known.endpoint, &self.request.method) {
            (Endpoint::Chat, _) => self.echo_chat(way).await,
            (Endpoint::Models, method) => ended(self.told(way, models(method, &self.request.path))),
            _ => {
                let (method, path) = (&self.request.method, &self.request.path);
                let message = format!(
                    "Invalid URL ({method} {path}): the built-in echo model only knows chat \
                     completions."
                );
                let kind = "invalid_request_error";
                ended(self.told(way, own::failure(404, kind, (None, None), &message)))
            }
        }
    }

    async fn echo_chat(&self, way: Way<'_>) -> (Got, Verdict) {
        let Value::Object(mut body) = self.json().clone() else {
            let message = "We could not parse the JSON body of your request.";
            return ended(self.told(way, own::invalid(None, message)));
        };
        params::apply(
            &mut body,
            &way.leaf.rules,
            way.target,
            self.request.model.as_deref(),
        );
        let (stream, options) = (self.known.stream, body.get("stream_options").cloned());
        let request = match completion::parse(body) {
            Ok(request) => request,
            Err(wrong) => {
                let code = (Some("invalid_value"), Some(wrong.param));
                let answer = own::failure(400, "invalid_request_error", code, &wrong.message);
                return ended(self.told(way, answer));
            }
        };
        let model = request.model.clone();
        let events = match echo::chat(&request, &*self.services.ids) {
            Ok(events) => events,
            Err(error) => {
                let status = error.status.unwrap_or(500);
                let answer = own::failure(status, "server_error", (None, None), &error.message);
                let (got, _) = ended(self.told(way, answer));
                return (got, Verdict::of_status(status, None));
            }
        };
        let wants_usage = options.is_some_and(|options| options["include_usage"] == true);
        let facts = self.services.facts(&model, wants_usage);
        let kind = if stream {
            "text/event-stream; charset=utf-8"
        } else {
            "application/json"
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let mut bill = Bill::new(way.target, self.request.caller.key.as_ref(), Some(model));
        bill.request_bytes = 0;
        let mut ending = Ending {
            report: self.report(way),
            workspace: self.request.caller.workspace.clone(),
            began: self.began,
            first_byte: None,
            run_is_open: false,
            observer: if stream {
                Observer::events(StreamEnd::Done, self.known.choices)
            } else {
                Observer::whole(Gathered::default())
            },
            bill,
            ledger: Arc::clone(&self.services.ledger),
            capture: Capture::new(self.capture, None),
            place: None,
            sink: None,
        };
        let answer = Answer {
            status: StatusCode::OK,
            headers,
            body: AnswerBody::Whole(Bytes::new()),
            report: ending.report.clone(),
        };
        let verdict = Verdict::of_status(200, None);
        if stream {
            let wire = Wire::of_frames(completion::frames(events, facts).boxed());
            let through = Through {
                wire,
                timeouts: way.target.timeouts,
                is_events: true,
                end: StreamEnd::Done,
            };
            let ready = Ready {
                answer,
                through: Some(through),
                ending: Some(ending),
            };
            return (Got::Ready(Box::new(ready)), verdict);
        }
        let body = completion::whole(events, facts).await;
        ending.report = Report::clone(&answer.report);
        Ready::into_got(self.look_at(way, (StatusCode::OK, answer.headers, body), ending, verdict))
    }
}

fn models(method: &Method, path: &str) -> Answer {
    let name = path.strip_prefix("/v1/models").unwrap_or_default();
    let name = name.trim_matches('/');
    let model = echo::model();
    match (method.as_str(), name) {
        ("GET", "") => whole(&json!({"object": "list", "data": [model]})),
        ("GET", "echo") => whole(&model),
        ("DELETE", name @ "echo") => {
            let message = format!("The model '{name}' can not be deleted: it is not yours.");
            own::failure(
                403,
                "invalid_request_error",
                (None, Some("model")),
                &message,
            )
        }
        ("GET" | "DELETE", name) => {
            let message = format!("The model '{name}' does not exist");
            let code = (Some("model_not_found"), Some("model"));
            own::failure(404, "invalid_request_error", code, &message)
        }
        _ => {
            let message = format!(
                "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different \
                 HTTP method?)"
            );
            let code = (Some("method_not_supported"), None);
            own::failure(405, "invalid_request_error", code, &message)
        }
    }
}

fn whole(body: &Value) -> Answer {
    let json = HeaderValue::from_static("application/json");
    Answer {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
        body: AnswerBody::Whole(body.to_string().into()),
        report: Report::new(),
    }
}
