//! Turns a provider's response into an answer: reads it where somebody has to see all of it, and
//! lets it stream through where not.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    answer::{Answer, AnswerBody, Capture, Ending, INCOMPLETE, Report},
    attempt::{Ready, RelayAttempt, Response, Through},
    headers,
    observe::{Damage, Observer},
    own,
};
use crate::{
    Gathered, Provider, Target,
    cache::Cached,
    endpoint::{Endpoint, StreamEnd},
    error::{Error, bytes_without_key},
    guardrail::{self, Hook, HookResult, Subject},
    ledger::Bill,
    plan::Way,
    reading,
    retries::Verdict,
    sse::Splitter,
    walk::Tries,
};

/// Answers up to this size are read before they are passed on: a cut can then still be answered
/// properly, and one write does.
const SMALL_BYTES: u64 = 64 * 1024;

impl RelayAttempt<'_> {
    /// The answer that a response makes.
    pub(super) async fn read(
        &self,
        way: Way<'_>,
        response: Response,
        tries: Tries,
    ) -> (Ready, Verdict) {
        let Response {
            head,
            reading,
            asked_for_usage,
            mut bill,
        } = response;
        let (parts, mut body) = head.into_parts();
        let (status, mut headers) = (parts.status, parts.headers);
        let verdict = Verdict::of_answer(status, &headers);
        let is_stream = is_events(&headers, self.asks_for_events()) && status.is_success();
        let end = self.stream_end(is_stream);
        let is_changed = !reading.is_as_is() || asked_for_usage && is_stream;
        let is_read = !reading.is_as_is() && !is_stream
            || !way.leaf.rules.after.is_empty() && self.known.endpoint.guarded().is_some()
            || self.is_cached()
            // What was made has to be read, to be found again; and half of an answer is told as such.
            || self.known.endpoint == Endpoint::Assistants
                && self.request.method == http::Method::POST
                && !is_stream
            || !status.is_success()
            || is_small(&headers) && !is_stream;
        headers::incoming(&mut headers, is_changed);
        if is_stream {
            // One that is cut gets an event more.
            headers.remove(header::CONTENT_LENGTH);
            if !reading.is_as_is() {
                let events = HeaderValue::from_static("text/event-stream");
                headers.insert(header::CONTENT_TYPE, events);
            }
        }
        bill.free |= !status.is_success();
        let observer = self.observer(
            status,
            (is_stream, end, asked_for_usage),
            Gathered::of(&body),
        );
        let mut ending = self.ending(way, tries, observer, bill);
        if !is_read {
            let ready = Ready {
                answer: Answer {
                    status,
                    headers,
                    body: AnswerBody::Whole(Bytes::new()),
                    report: ending.report.clone(),
                },
                through: Some(Through {
                    wire: reading.stream(body),
                    timeouts: way.target.timeouts,
                    is_events: is_stream,
                    end,
                }),
                ending: Some(ending),
            };
            return (ready, verdict);
        }
        let idle = way.target.timeouts.idle;
        let whole = if is_stream {
            // Guardrails have to see all of an answer before its first word goes out.
            let all = reading.stream(body).collect(way.target.timeouts).await;
            all.and_then(|all| {
                let is_whole = end == StreamEnd::Untold || has_ended(&all, end, self.known.choices);
                is_whole.then_some(all).ok_or(Error::nonsense(INCOMPLETE))
            })
        } else {
            let whole = reading::whole(&mut body, reading::WHOLE_BYTES, idle).await;
            whole.and_then(|whole| reading.whole(status.as_u16(), whole))
        };
        match whole {
            Ok(mut bytes) => {
                if !status.is_success() {
                    let before = bytes.len();
                    bytes = without_key(bytes, way.target);
                    if bytes.len() != before {
                        headers.remove(header::CONTENT_LENGTH);
                    }
                }
                if is_changed && !is_stream {
                    let json = HeaderValue::from_static("application/json");
                    headers.insert(header::CONTENT_TYPE, json);
                }
                self.look_at(way, (status, headers, bytes), ending, verdict)
            }
            Err(Error { message, .. }) => {
                let code = (Some("upstream_cut"), None);
                let answer = own::failure(502, "server_error", code, &message);
                ending.report.error = Some(message);
                ending.bill.free = true;
                let ready = Ready::of(Answer {
                    report: ending.report.clone(),
                    ..answer
                });
                (ready, Verdict::of_status(502, None))
            }
        }
    }

    /// What there is to tell at the end of a provider's answer.
    fn ending(&self, way: Way<'_>, tries: Tries, observer: Observer, bill: Bill) -> Ending {
        Ending {
            report: Report {
                retries: tries.retries,
                upstream: tries.upstream,
                ..self.report(way)
            },
            workspace: self.request.caller.workspace.clone(),
            began: self.began,
            first_byte: None,
            run_is_open: false,
            observer,
            bill,
            ledger: Arc::clone(&self.services.ledger),
            capture: Capture::new(self.capture, key_of(way.target)),
            place: None,
            sink: None,
        }
    }

    /// An answer that is all there: guardrails look at it, and the cache keeps it.
    pub(super) fn look_at(
        &self,
        way: Way<'_>,
        (mut status, mut headers, mut bytes): (StatusCode, HeaderMap, Bytes),
        mut ending: Ending,
        mut verdict: Verdict,
    ) -> (Ready, Verdict) {
        let (cache, before) = self.taken();
        let after = match self.known.endpoint.guarded() {
            Some(endpoint) if status.is_success() && !way.leaf.rules.after.is_empty() => {
                let (text, body) = said(is_events(&headers, self.asks_for_events()), &bytes);
                self.check(&way.leaf.rules.after, &text, &body, endpoint)
            }
            _ => Vec::new(),
        };
        // What the provider counted is counted, whatever becomes of the answer.
        ending.pass(bytes.clone());
        if after.iter().any(|result| result.deny && !result.verdict) {
            let answer = own::denied(&before, &after);
            ending.report.guardrails = hook_results(&before, &after);
            ending.report.error.clone_from(&answer.report.error);
            let ready = Ready {
                answer: Answer {
                    report: ending.report.clone(),
                    ..answer
                },
                through: None,
                ending: Some(ending),
            };
            return (ready, Verdict::of_status(446, None));
        }
        if !before.is_empty() || !after.is_empty() {
            ending.report.guardrails = hook_results(&before, &after);
            bytes = with_hook_results(&bytes, &before, &after);
            headers.remove(header::CONTENT_LENGTH);
            let failed = |results: &[HookResult]| results.iter().any(|result| !result.verdict);
            if status.is_success() && (failed(&before) || failed(&after)) {
                status = StatusCode::from_u16(246).unwrap_or(status);
                verdict.status = 246;
            }
        }
        if let Some((key, ttl)) = cache.filter(|_| status == StatusCode::OK) {
            let cached = Cached {
                status: status.as_u16(),
                headers: headers.clone(),
                body: bytes.clone(),
            };
            let now_ms = self.services.ledger.clock.now_ms();
            self.services.cache.put(key, cached, ttl, now_ms);
        }
        let ready = Ready {
            answer: Answer {
                status,
                headers,
                body: AnswerBody::Whole(bytes),
                report: ending.report.clone(),
            },
            through: None,
            ending: Some(ending),
        };
        (ready, verdict)
    }

    /// What guardrails say of a text.
    pub(super) fn check(
        &self,
        hooks: &[Hook],
        text: &str,
        body: &Value,
        endpoint: &str,
    ) -> Vec<HookResult> {
        let subject = Subject {
            text,
            body,
            model: self.known.model.as_deref(),
            metadata: &self.request.caller.metadata,
            endpoint,
        };
        let now_ms = self.services.ledger.clock.now_ms();
        hooks
            .iter()
            .map(|hook| hook.run(&subject, now_ms))
            .collect()
    }

    /// Whether the answer is a run whose usage may have become known. Modify Run changes none.
    fn shows_a_run(&self) -> bool {
        let mut parts = self.request.path.trim_matches('/').split('/').skip(2);
        let is_post = self.request.method == http::Method::POST;
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("runs"), None, ..) => is_post,
            (Some(_thread), Some("runs"), None, _) => is_post,
            (Some(_thread), Some("runs"), Some(_run), None) => !is_post,
            (Some(_thread), Some("runs"), Some(_run), Some(action)) => {
                is_post && matches!(action, "cancel" | "submit_tool_outputs")
            }
            _ => false,
        }
    }

    /// Whether nothing but events can be the answer; audio is streamed, too.
    fn asks_for_events(&self) -> bool {
        self.known.stream && self.known.endpoint.takes_json()
    }

    fn stream_end(&self, is_stream: bool) -> StreamEnd {
        if is_stream {
            self.known.endpoint.stream_end(&self.request.path)
        } else {
            StreamEnd::Untold
        }
    }

    fn observer(
        &self,
        status: StatusCode,
        (is_stream, end, asked_for_usage): (bool, StreamEnd, bool),
        gathered: Gathered,
    ) -> Observer {
        let (endpoint, choices) = (self.known.endpoint, self.known.choices);
        match (status.is_success(), is_stream) {
            (true, true) if asked_for_usage => Observer::filtered(choices),
            (true, true) => Observer::events(end, choices),
            (true, false) if endpoint.has_parameters() || self.shows_a_run() => {
                Observer::whole(gathered)
            }
            _ => Observer::blind(),
        }
    }
}

/// The verdicts, as logs and answers show them; `None` where there were no guardrails.
pub(crate) fn hook_results(before: &[HookResult], after: &[HookResult]) -> Option<Value> {
    (!before.is_empty() || !after.is_empty())
        .then(|| json!({"before_request_hooks": before, "after_request_hooks": after}))
}

/// A JSON object with the verdicts in it; anything else as it is.
fn with_hook_results(bytes: &Bytes, before: &[HookResult], after: &[HookResult]) -> Bytes {
    let results = hook_results(before, after).unwrap_or_default();
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(mut body)) => {
            body.insert("hook_results".to_owned(), results);
            Value::Object(body).to_string().into()
        }
        _ => bytes.clone(),
    }
}

/// The words of an answer, and the answer itself; of a stream there are only the words.
fn said(is_events: bool, bytes: &Bytes) -> (String, Value) {
    if !is_events {
        let body = serde_json::from_slice(bytes).unwrap_or_default();
        return (guardrail::response_text(&body), body);
    }
    let mut events = Vec::new();
    // The answer was bounded when it was read.
    let _ = Splitter::default().push(bytes, &mut events);
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_slice::<Value>(&event.data).ok())
        .map(|chunk| guardrail::chunk_text(&chunk).concat())
        .collect();
    let body = Value::from(text.as_str());
    (text, body)
}

/// What no log may hold.
fn key_of(target: &Target) -> Option<SecretString> {
    match &target.provider {
        Provider::Http(account) => account.api_key.clone(),
        Provider::Echo => None,
    }
}

/// A refusal without the credential that is kept here: some servers repeat it to the caller, whose
/// it is not.
fn without_key(bytes: Bytes, target: &Target) -> Bytes {
    let Provider::Http(account) = &target.provider else {
        return bytes;
    };
    let key = account.api_key.as_ref().filter(|_| target.is_stored);
    match bytes_without_key(&bytes, key) {
        Some(cleansed) => cleansed.into(),
        None => bytes,
    }
}

/// Whether a stream that is all there came to its end.
fn has_ended(bytes: &Bytes, end: StreamEnd, choices: usize) -> bool {
    let mut observer = Observer::events(end, choices);
    observer.take(bytes.clone());
    observer.end();
    let seen = observer.seen();
    seen.ended || seen.damage == Some(Damage::Lost)
}

/// Whether a body are events that can be read. Some servers leave out what it is, or call it a text;
/// whoever `asked` for events takes it for such. What is compressed is the caller's business.
fn is_events(headers: &HeaderMap, asked: bool) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING);
    let is_plain =
        encoding.is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is = |name: &[u8]| {
        let start = kind.and_then(|kind| kind.get(..name.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let may_be = || kind.is_none() || is(b"text/plain") || is(b"application/octet-stream");
    is_plain && (is(b"text/event-stream") || asked && may_be())
}

fn is_small(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length <= SMALL_BYTES)
}
