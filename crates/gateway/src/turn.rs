//! Model turns of runs: a turn in the one form, sent to whatever the plan leads to, its events read.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use loomgate_domain::{Usage, limit::Charge};
use loomgate_wire::chat::{ChatEvent, ChatMessage, ChatRequest, UserContent, UserPart};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{
    Account, Api, ChatStream, Provider,
    account::{self, Outgoing, Payload, Unsendable},
    config::Leaf,
    echo,
    endpoint::Endpoint,
    error::{self, Error, Who},
    gateway::Services,
    guardrail::{Hook, HookResult, Subject},
    http_client::{SendError, Trust},
    ledger::{Bill, Ledger},
    meter::{Admitted, Refusal},
    openai::{Body, Decoder, failure, request},
    params,
    plan::Way,
    quirks::refuses_stream_options,
    reading::{self, WHOLE_BYTES},
    relay::{CacheStatus, Caller, End, EndSink, Report, hook_results},
    retries::{Retries, Verdict},
    retry_after,
    walk::{Attempt, Tries},
};

/// The most bytes of an error body that are read.
const ERROR_BYTES: usize = 64 * 1024;

/// Which run asks, and on whose behalf.
#[derive(Debug, Clone)]
pub struct ModelCall {
    /// Who made the run.
    pub caller: Caller,
    /// `/v1/threads/{id}/runs`: what conditions on the path look at.
    pub path: String,
}

/// A turn that has begun.
#[derive(Debug)]
pub struct Turn {
    /// Its events.
    pub events: ChatStream,
    /// What it costs, and whom.
    pub receipt: Receipt,
}

/// What a turn costs. The run's own commit writes it, so that it is counted exactly once.
#[derive(Clone)]
pub struct Receipt {
    ledger: Arc<Ledger>,
    bill: Bill,
}

impl Receipt {
    /// The rows to write along with the turn.
    pub fn charges(&self, usage: &Usage) -> Vec<Charge> {
        self.ledger.charges(&self.bill, usage, None)
    }

    /// They were written.
    pub fn settled(&self, usage: &Usage) {
        self.ledger.settled(&self.bill, usage, None);
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}

/// A turn on its way through a plan.
pub(crate) struct TurnAttempt<'a> {
    services: &'a Services,
    call: &'a ModelCall,
    request: &'a ChatRequest,
    began: Instant,
    visit: Mutex<Visit>,
}

#[derive(Default)]
struct Visit {
    place: Option<Admitted>,
    before: Vec<HookResult>,
}

/// What an attempt gives.
pub(crate) struct Outcome {
    report: Report,
    result: Result<(ChatStream, Bill), Error>,
}

impl<'a> TurnAttempt<'a> {
    pub(crate) fn new(
        services: &'a Services,
        call: &'a ModelCall,
        request: &'a ChatRequest,
    ) -> Self {
        Self {
            services,
            call,
            request,
            began: Instant::now(),
            visit: Mutex::default(),
        }
    }

    /// Hands the turn out, and sees to it that its end is told.
    pub(crate) fn hand_out(
        self,
        outcome: Outcome,
        attempts: u32,
        sink: EndSink,
    ) -> Result<Turn, Error> {
        let Outcome { mut report, result } = outcome;
        report.attempts = attempts;
        match result {
            Ok((events, bill)) => {
                let receipt = Receipt {
                    ledger: Arc::clone(&self.services.ledger),
                    bill: bill.clone(),
                };
                let told = Told {
                    events,
                    began: self.began,
                    first_event: None,
                    usage: None,
                    error: None,
                    is_over: false,
                    ledger: Arc::clone(&self.services.ledger),
                    bill,
                    report,
                    _place: self.visit.into_inner().place,
                    sink: Some(sink),
                };
                Ok(Turn {
                    events: ChatStream::new(told).at_attempt(attempts.max(1)),
                    receipt,
                })
            }
            Err(error) => {
                let error = Error {
                    attempts: attempts.max(1),
                    ..error
                };
                report.error = Some(error.message.clone());
                let end = End {
                    total: self.began.elapsed(),
                    ..End::default()
                };
                sink(&report, end);
                Err(error)
            }
        }
    }

    fn report(&self, way: Way<'_>, status: u16) -> Report {
        Report {
            status,
            option_index: Arc::clone(&way.leaf.path),
            provider: Some(Arc::clone(&way.target.brand)),
            virtual_key: way.target.virtual_key().cloned(),
            identity: Some(Arc::clone(&way.target.identity)),
            cache: CacheStatus::Disabled,
            model: Some(self.request.model.clone()),
            guardrails: hook_results(&self.visit.lock().before, &[]),
            ..Report::new()
        }
    }

    fn failed(&self, way: Way<'_>, error: Error, wait: Option<Duration>) -> (Outcome, Verdict) {
        let status = error.status.unwrap_or(match error.who {
            Who::Timeout => 408,
            Who::Upstream | Who::Network => 502,
            Who::Local => 400,
        });
        let verdict = Verdict {
            status,
            transient: error.retryable,
            // A status that usually passes, and an error that does not: the account is empty.
            repeatable: error.who != Who::Local
                && (error.retryable || !crate::retries::is_transient(status)),
            retry_after: wait,
        };
        let outcome = Outcome {
            report: self.report(way, status),
            result: Err(error),
        };
        (outcome, verdict)
    }

    fn begun(&self, way: Way<'_>, events: ChatStream) -> (Outcome, Verdict) {
        let model = way.target.model(&self.request.model).to_owned();
        let bill = Bill::new(way.target, self.call.caller.key.as_ref(), Some(model));
        let outcome = Outcome {
            report: self.report(way, 200),
            result: Ok((events, bill)),
        };
        (outcome, Verdict::of_status(200, None))
    }

    /// One attempt at a server.
    async fn send(&self, way: Way<'_>, account: &Account) -> (Outcome, Verdict) {
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
        if !account::speaks_differently(account, Endpoint::Chat)
            && !params::change_something(rules, way.target, None)
        {
            let bytes = serde_json::to_vec(&body).map_err(|error| unsendable(&error))?;
            return Ok(Payload::Bytes(bytes.into()));
        }
        let body = serde_json::to_value(&body).map_err(|error| unsendable(&error))?;
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

    /// Whether limits let the turn go on. A rate that frees up soon is waited for.
    async fn admit(&self, way: Way<'_>) -> Result<(), Refusal> {
        let ledger = &self.services.ledger;
        let since = Instant::now();
        loop {
            let now_ms = ledger.clock.now_ms();
            let key = self.call.caller.key.as_ref();
            let admitted = key
                .map_or(Ok(()), |key| ledger.meter.check(key, now_ms))
                .and_then(|()| ledger.admit(way.target));
            let refusal = match admitted {
                Ok(place) => {
                    self.visit.lock().place = place;
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let most = self.services.policy.max_retry_after;
            match refusal.retry_after {
                Some(wait) if since.elapsed() + wait <= most => tokio::time::sleep(wait).await,
                _ => return Err(refusal),
            }
        }
    }

    fn check_request(&self, way: Way<'_>) -> Option<Error> {
        let hooks = &way.leaf.rules.before;
        if hooks.is_empty() {
            return None;
        }
        let text = last_user_text(&self.request.messages);
        let body = self.params();
        let results = self.run_hooks(hooks, &text, &body);
        let denied = denial(&results);
        self.visit.lock().before = results;
        denied
    }

    fn run_hooks(&self, hooks: &[Hook], text: &str, body: &Value) -> Vec<HookResult> {
        let subject = Subject {
            text,
            body,
            model: Some(&self.request.model),
            metadata: &self.call.caller.metadata,
            endpoint: "chatComplete",
        };
        let now_ms = self.services.ledger.clock.now_ms();
        hooks
            .iter()
            .map(|hook| hook.run(&subject, now_ms))
            .collect()
    }

    /// Guardrails on an answer need all of it before a word goes out.
    async fn check_answer(&self, way: Way<'_>, outcome: Outcome) -> (Outcome, Verdict) {
        let Outcome { mut report, result } = outcome;
        let (events, bill) = match result {
            Ok(begun) => begun,
            Err(error) => return self.failed(way, error, None),
        };
        let (events, error) = collect(events).await;
        if let Some(error) = error {
            return self.failed(way, error, None);
        }
        let text: String = events.iter().filter_map(words).collect();
        let results = self.run_hooks(&way.leaf.rules.after, &text, &Value::from(text.as_str()));
        report.guardrails = hook_results(&self.visit.lock().before, &results);
        if let Some(error) = denial(&results) {
            // The provider has done its part, and is paid.
            let usage = events.iter().find_map(|event| match event {
                ChatEvent::Usage(usage) => Some(*usage),
                _ => None,
            });
            self.services.ledger.book(&bill, usage, None, 0);
            report.status = 446;
            let verdict = Verdict {
                repeatable: false,
                ..Verdict::of_status(446, None)
            };
            let outcome = Outcome {
                report,
                result: Err(error),
            };
            return (outcome, verdict);
        }
        let events = ChatStream::new(stream::iter(events.into_iter().map(Ok)));
        let outcome = Outcome {
            report,
            result: Ok((events, bill)),
        };
        (outcome, Verdict::of_status(200, None))
    }
}

impl Attempt for TurnAttempt<'_> {
    type Output = Outcome;

    async fn prepare(&self, way: Way<'_>) -> Option<(Outcome, Verdict)> {
        *self.visit.lock() = Visit::default();
        let now = self.services.ledger.clock.now();
        let error = if way.target.expires_at.is_some_and(|end| end <= now) {
            let message = format!("The virtual key '{}' has expired.", way.target.name);
            Some(Error::new(Who::Local, false, message))
        } else if let Some(denied) = self.check_request(way) {
            Some(denied)
        } else {
            self.admit(way).await.err().map(|refusal| {
                let mut error = Error::status(refusal.status(), refusal.message());
                error.retryable = false;
                error
            })
        };
        let (outcome, verdict) = self.failed(way, error?, None);
        let verdict = Verdict {
            repeatable: false,
            ..verdict
        };
        Some((outcome, verdict))
    }

    async fn once(&self, way: Way<'_>) -> (Outcome, Verdict) {
        match &way.target.provider {
            Provider::Echo => match echo::chat(self.request, &*self.services.ids) {
                Ok(events) => self.begun(way, events),
                Err(error) => self.failed(way, error, None),
            },
            Provider::Http(account) => self.send(way, account).await,
        }
    }

    async fn conclude(
        &self,
        way: Way<'_>,
        mut outcome: Outcome,
        verdict: Verdict,
        tries: Tries,
    ) -> (Outcome, Verdict) {
        outcome.report.retries = tries.retries;
        outcome.report.upstream = tries.upstream;
        if outcome.result.is_ok() && !way.leaf.rules.after.is_empty() {
            return self.check_answer(way, outcome).await;
        }
        (outcome, verdict)
    }

    fn retries<'a>(&'a self, leaf: &'a Leaf) -> Retries<'a> {
        Retries::of_run(&self.services.policy, leaf.rules.retry.as_ref())
    }

    fn lost(&self, message: String) -> Outcome {
        Outcome {
            report: Report {
                status: 400,
                model: Some(self.request.model.clone()),
                ..Report::new()
            },
            result: Err(Error::new(Who::Local, false, message)),
        }
    }

    fn path(&self) -> &str {
        &self.call.path
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.call.caller.metadata
    }

    fn params(&self) -> Value {
        let dialect = request::Dialect {
            max_tokens_field: crate::MaxTokensField::MaxCompletionTokens,
            stream_options: false,
        };
        let body = request::body(self.request, &self.request.model, dialect);
        serde_json::to_value(&body).unwrap_or_default()
    }
}

/// A turn's events, whose end is told; at the latest when it is dropped.
struct Told {
    events: ChatStream,
    began: Instant,
    first_event: Option<Duration>,
    usage: Option<Usage>,
    error: Option<String>,
    is_over: bool,
    ledger: Arc<Ledger>,
    bill: Bill,
    report: Report,
    /// The place in the virtual key's concurrency cap.
    _place: Option<Admitted>,
    sink: Option<EndSink>,
}

impl Told {
    fn tell(&mut self) {
        let Some(sink) = self.sink.take() else {
            return;
        };
        let cut = (!self.is_over).then(|| "The run was stopped.".to_owned());
        let usage = self.usage;
        let end = End {
            usage,
            cost: usage.and_then(|usage| self.ledger.cost(&self.bill, &usage, None)),
            served_model: self.bill.model.clone(),
            first_byte: self.first_event,
            total: self.began.elapsed(),
            cut: self.error.take().or(cut),
            body: None,
        };
        sink(&self.report, end);
    }
}

impl Stream for Told {
    type Item = Result<ChatEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.events.poll_next_unpin(context);
        if let Poll::Ready(event) = &polled {
            if self.first_event.is_none() {
                self.first_event = Some(self.began.elapsed());
            }
            match event {
                Some(Ok(ChatEvent::Usage(usage))) => self.usage = Some(*usage),
                Some(Ok(ChatEvent::Finished(_))) => self.is_over = true,
                Some(Ok(_)) => {}
                Some(Err(error)) => self.error = Some(error.message.clone()),
                None => self.tell(),
            }
        }
        polled
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell();
    }
}

fn own_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
        (
            http::header::USER_AGENT,
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

/// What a denial says, where there is one.
fn denial(results: &[HookResult]) -> Option<Error> {
    let denied = results
        .iter()
        .find(|result| result.deny && !result.verdict)?;
    let message = format!(
        "The guardrail checks defined in the config failed: '{}' denied it.",
        denied.id
    );
    Some(Error::status(446, message))
}

fn last_user_text(messages: &[ChatMessage]) -> String {
    let last = messages.iter().rev().find_map(|message| match message {
        ChatMessage::User { content } => Some(content),
        _ => None,
    });
    match last {
        Some(UserContent::Text(text)) => text.clone(),
        Some(UserContent::Parts(parts)) => {
            let texts = parts.iter().filter_map(|part| match part {
                UserPart::Text { text } => Some(text.as_str()),
                UserPart::ImageUrl { .. } => None,
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        None => String::new(),
    }
}

fn words(event: &ChatEvent) -> Option<&str> {
    match event {
        ChatEvent::Text(text) => Some(text),
        _ => None,
    }
}

async fn collect(mut events: ChatStream) -> (VecDeque<ChatEvent>, Option<Error>) {
    let mut all = VecDeque::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => all.push_back(event),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}
