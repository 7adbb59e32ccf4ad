//! A relayed call on its way through a plan: what happens at each leaf, step by step.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    answer::{Answer, AnswerBody, CacheStatus, End, EndSink, Ending, Report, Streaming},
    conclude::hook_results,
    headers, own,
    request::{Known, Malformed, RelayBody, RelayRequest},
};
use crate::{
    Provider, Timeouts,
    cache::{self, CacheKey, KeyParts},
    config::Leaf,
    endpoint::StreamEnd,
    gateway::Services,
    guardrail::{self, Hook, HookResult},
    http_client::Incoming,
    ledger::Bill,
    meter::Admitted,
    plan::Way,
    reading::{Reading, Wire},
    retries::{Retries, Verdict},
    spelling,
    walk::{Attempt, Tries},
};

/// A relayed call on its way through a plan.
pub(crate) struct RelayAttempt<'a> {
    pub(super) services: &'a Services,
    pub(super) request: &'a RelayRequest,
    pub(super) known: Known,
    pub(super) began: Instant,
    /// How much of the answer's body is kept for the log.
    pub(super) capture: usize,
    /// The body as JSON, read once, by whoever needs it first.
    json: OnceLock<Value>,
    visit: Mutex<Visit>,
}

/// What one visit of a leaf carries from step to step.
#[derive(Default)]
struct Visit {
    place: Option<Admitted>,
    cache: Option<(CacheKey, Duration)>,
    cache_status: Option<CacheStatus>,
    before: Vec<HookResult>,
}

/// What an attempt gives.
pub(crate) enum Got {
    /// A provider's response, its body not read.
    Response(Box<Response>),
    /// An answer.
    Ready(Box<Ready>),
}

/// A provider's response, its body not read.
pub(crate) struct Response {
    pub(super) head: http::Response<Incoming>,
    pub(super) reading: Reading,
    /// Usage was asked for that the caller did not want to see.
    pub(super) asked_for_usage: bool,
    pub(super) bill: Bill,
}

/// An answer that may be handed out, or be forgotten for another target's.
pub(crate) struct Ready {
    pub(super) answer: Answer,
    /// A body that streams through, in place of the answer's.
    pub(super) through: Option<Through>,
    /// What there is to tell at the end, where a provider answered.
    pub(super) ending: Option<Ending>,
}

/// A body that streams through.
pub(super) struct Through {
    pub(super) wire: Wire,
    pub(super) timeouts: Timeouts,
    pub(super) is_events: bool,
    pub(super) end: StreamEnd,
}

impl Ready {
    /// An answer that no provider gave.
    pub(super) fn of(answer: Answer) -> Self {
        Self {
            answer,
            through: None,
            ending: None,
        }
    }
}

impl Ready {
    pub(super) fn into_got((ready, verdict): (Self, Verdict)) -> (Got, Verdict) {
        (Got::Ready(Box::new(ready)), verdict)
    }
}

/// An answer after which there is nothing to try at this target.
pub(super) fn ended(answer: Answer) -> (Got, Verdict) {
    let (got, verdict) = repeatable(answer);
    let verdict = Verdict {
        repeatable: false,
        ..verdict
    };
    (got, verdict)
}

/// An answer that another attempt may better.
pub(super) fn repeatable(answer: Answer) -> (Got, Verdict) {
    let verdict = Verdict::of_status(answer.status.as_u16(), None);
    (Got::Ready(Box::new(Ready::of(answer))), verdict)
}

impl<'a> RelayAttempt<'a> {
    /// Begins. Error: the body is no JSON although it has to be.
    pub(crate) fn new(
        services: &'a Services,
        request: &'a RelayRequest,
        capture: usize,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            services,
            request,
            known: request.know()?,
            began: Instant::now(),
            capture,
            json: OnceLock::new(),
            visit: Mutex::default(),
        })
    }

    /// Hands an answer out, and sees to it that its end is told.
    pub(crate) fn hand_out(self, got: Got, attempts: u32, sink: EndSink) -> Answer {
        let ready = match got {
            Got::Ready(ready) => *ready,
            // `conclude` turns every response into an answer.
            Got::Response(_) => Ready::of(own::exception(None, "Something went wrong")),
        };
        let Ready {
            mut answer,
            through,
            ending,
        } = ready;
        answer.report.attempts = attempts;
        answer.report.status = answer.status.as_u16();
        let place = self.visit.into_inner().place;
        match (through, ending) {
            (Some(through), Some(mut ending)) => {
                ending.report = answer.report.clone();
                ending.place = place;
                ending.sink = Some(sink);
                answer.body = Streaming {
                    wire: through.wire,
                    timeouts: through.timeouts,
                    is_events: through.is_events,
                    end: through.end,
                    ending,
                }
                .into_body();
            }
            (_, Some(mut ending)) => {
                ending.report = answer.report.clone();
                ending.sink = Some(sink);
                ending.finish(None);
            }
            (_, None) => {
                let body = match &answer.body {
                    AnswerBody::Whole(bytes) => Some(bytes.slice(..bytes.len().min(self.capture))),
                    AnswerBody::Stream(_) => None,
                };
                let end = End {
                    total: self.began.elapsed(),
                    body: body.filter(|body| !body.is_empty()),
                    ..End::default()
                };
                sink(&answer.report, end);
            }
        }
        answer
    }

    /// The body as JSON; null where there is none.
    pub(super) fn json(&self) -> &Value {
        self.json
            .get_or_init(|| self.request.json().unwrap_or_default())
    }

    pub(super) fn report(&self, way: Way<'_>) -> Report {
        let visit = self.visit.lock();
        Report {
            option_index: Arc::clone(&way.leaf.path),
            provider: Some(Arc::clone(&way.target.brand)),
            virtual_key: way.target.virtual_key().cloned(),
            identity: Some(Arc::clone(&way.target.identity)),
            cache: visit.cache_status.unwrap_or(CacheStatus::Disabled),
            model: self.known.model.clone(),
            guardrails: hook_results(&visit.before, &[]),
            ..Report::new()
        }
    }

    /// An answer of the gateway's own, with the leaf that it came from.
    pub(super) fn told(&self, way: Way<'_>, answer: Answer) -> Answer {
        Answer {
            report: Report {
                error: answer.report.error,
                is_exception: answer.report.is_exception,
                ..self.report(way)
            },
            ..answer
        }
    }

    pub(super) fn is_cached(&self) -> bool {
        self.visit.lock().cache.is_some()
    }

    /// Where to keep the answer, and what guardrails said of the request.
    pub(super) fn taken(&self) -> (Option<(CacheKey, Duration)>, Vec<HookResult>) {
        let mut visit = self.visit.lock();
        (visit.cache.take(), visit.before.clone())
    }

    fn cache_key(&self, way: Way<'_>) -> Option<(CacheKey, Duration)> {
        let rule = way.leaf.rules.cache.as_ref()?;
        let request = self.request;
        let is_cacheable =
            cache::is_cacheable(request.method.as_str(), &request.path, self.known.stream);
        let RelayBody::Bytes(body) = &request.body else {
            return None;
        };
        if request.cache.disabled || !is_cacheable {
            return None;
        }
        let kind = request.headers.get(http::header::CONTENT_TYPE);
        let namespace = request.cache.namespace.as_deref();
        let parts = KeyParts {
            workspace: request.caller.workspace.as_str(),
            namespace: namespace.or(rule.namespace.as_deref()),
            method: request.method.as_str(),
            path: &request.path,
            provider: &way.target.brand,
            destination: &way.target.identity,
            model: self.known.model.as_deref(),
            content_type: kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default(),
            rules: &self.what_decides(way),
            metadata: &request.caller.metadata,
            body,
        };
        Some((CacheKey::new(&parts), rule.max_age))
    }

    /// What leaves open how the provider reads the body, where rules of the leaf depend on it.
    fn ambiguity(&self, way: Way<'_>) -> Option<Malformed> {
        let rules = &way.leaf.rules;
        let guards = !rules.before.is_empty() && self.known.endpoint.guarded().is_some();
        let changes = self.known.endpoint.has_parameters() && self.request.is_json();
        let replaced = rules.override_params.keys().chain(&rules.drop_params);
        let names: Vec<_> = replaced.filter(|_| changes).map(String::as_str).collect();
        let RelayBody::Bytes(body) = &self.request.body else {
            return None;
        };
        if !guards && names.is_empty() {
            return None;
        }
        spelling::ambiguity(body, &names).map(Malformed)
    }

    /// What decides on an answer besides the call itself: who shares a virtual key need not share a
    /// config, an address or what is forwarded.
    fn what_decides(&self, way: Way<'_>) -> String {
        let rules = &way.leaf.rules;
        let decides = |name: &str| {
            name.starts_with("openai-")
                || name.starts_with("anthropic-")
                || headers::is_renamed(name)
                || rules.forward_headers.iter().any(|wanted| wanted == name)
        };
        let headers = self.request.headers.iter();
        let headers: Vec<_> = headers
            .filter(|(name, _)| decides(name.as_str()))
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let params = (
            &rules.override_params,
            &rules.default_params,
            &rules.drop_params,
            &way.target.model_aliases,
        );
        let address = (
            &way.target.provider,
            &rules.custom_host,
            &self.request.query,
        );
        let of = |hooks: &[Hook]| hooks.iter().map(|hook| hook.hash).collect::<Vec<_>>();
        let hooks = (of(&rules.before), of(&rules.after));
        // A namespace does not hide the pairs that a guardrail asks for.
        let mut all = rules.before.iter().chain(&rules.after);
        let metadata = all
            .any(Hook::looks_at_metadata)
            .then_some(&self.request.caller.metadata);
        let form = (rules.passthrough, rules.is_lenient());
        format!("{headers:?}{params:?}{address:?}{hooks:?}{metadata:?}{form:?}")
    }

    /// Looks into the cache; an answer that is there is free.
    fn cached(&self, way: Way<'_>) -> Option<Answer> {
        let (key, ttl) = self.cache_key(way)?;
        let now_ms = self.services.ledger.clock.now_ms();
        let refresh = self.request.cache.force_refresh;
        let found = (!refresh)
            .then(|| self.services.cache.get(&key, now_ms))
            .flatten();
        let status = match (&found, refresh) {
            (Some(_), _) => CacheStatus::Hit,
            (None, true) => CacheStatus::Refresh,
            (None, false) => CacheStatus::Miss,
        };
        {
            let mut visit = self.visit.lock();
            visit.cache_status = Some(status);
            visit.cache = Some((key, ttl));
        }
        let found = found?;
        Some(Answer {
            status: http::StatusCode::from_u16(found.status).unwrap_or_default(),
            headers: found.headers.clone(),
            body: AnswerBody::Whole(found.body.clone()),
            report: self.report(way),
        })
    }
}

impl Attempt for RelayAttempt<'_> {
    type Output = Got;

    async fn prepare(&self, way: Way<'_>) -> Option<(Got, Verdict)> {
        *self.visit.lock() = Visit::default();
        let clock = &self.services.ledger.clock;
        if way.target.expires_at.is_some_and(|end| end <= clock.now()) {
            let message = format!("The virtual key '{}' has expired.", way.target.name);
            return Some(ended(
                self.told(way, own::invalid(Some("expired_virtual_key"), &message)),
            ));
        }
        if let Some(malformed) = self.ambiguity(way) {
            let answer = own::invalid(None, &malformed.to_string());
            return Some(ended(self.told(way, answer)));
        }
        let before = &way.leaf.rules.before;
        if let Some(endpoint) = self.known.endpoint.guarded().filter(|_| !before.is_empty()) {
            let body = self.json();
            let results = self.check(before, &guardrail::request_text(body), body, endpoint);
            let is_denied = results.iter().any(|result| result.deny && !result.verdict);
            let answer = is_denied.then(|| own::denied(&results, &[]));
            self.visit.lock().before = results;
            if let Some(answer) = answer {
                return Some(ended(self.told(way, answer)));
            }
        }
        if let Some(answer) = self.cached(way) {
            return Some(ended(answer));
        }
        match self.services.ledger.admit(way.target) {
            Ok(place) => {
                self.visit.lock().place = place;
                None
            }
            Err(refusal) => Some(ended(self.told(way, own::refused(&refusal)))),
        }
    }

    async fn once(&self, way: Way<'_>) -> (Got, Verdict) {
        match &way.target.provider {
            Provider::Echo => self.echo(way).await,
            Provider::Http(account) => {
                let (got, verdict) = self.send(way, account).await;
                self.without_stream_options(way, account, got, verdict)
                    .await
            }
        }
    }

    async fn conclude(
        &self,
        way: Way<'_>,
        output: Got,
        verdict: Verdict,
        tries: Tries,
    ) -> (Got, Verdict) {
        match output {
            Got::Response(response) => {
                let (ready, verdict) = self.read(way, *response, tries).await;
                (Got::Ready(Box::new(ready)), verdict)
            }
            Got::Ready(mut ready) => {
                ready.answer.report.retries = tries.retries;
                ready.answer.report.upstream = tries.upstream;
                (Got::Ready(ready), verdict)
            }
        }
    }

    fn retries<'a>(&'a self, leaf: &'a Leaf) -> Retries<'a> {
        Retries::of_relay(&self.services.policy, leaf.rules.retry.as_ref())
    }

    fn lost(&self, message: String) -> Got {
        let mut answer = own::invalid(None, &message);
        answer.report.model.clone_from(&self.known.model);
        Got::Ready(Box::new(Ready::of(answer)))
    }

    fn is_spent(&self) -> bool {
        matches!(&self.request.body, RelayBody::Stream(upload) if upload.is_spent())
    }

    fn path(&self) -> &str {
        &self.request.path
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.request.caller.metadata
    }

    fn params(&self) -> Value {
        if self.request.is_json() {
            self.json().clone()
        } else {
            Value::Null
        }
    }
}
