//! Model turns of runs: a turn in the one form, sent to whatever the plan leads to, its events read.

mod rules;
mod said;
mod send;
mod told;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use loomgate_domain::{Usage, limit::Charge};
use loomgate_wire::chat::ChatRequest;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use self::{said::Said, told::Told};
use crate::{
    ChatStream, MaxTokensField, Provider,
    config::Leaf,
    echo,
    error::{Error, Who},
    gateway::Services,
    guardrail::HookResult,
    ledger::{Bill, Ledger},
    meter::Admitted,
    openai::request,
    plan::Way,
    relay::{CacheStatus, Caller, End, EndSink, Report, hook_results},
    retries::{self, Retries, Verdict},
    walk::{Attempt, Tries},
};

/// Which run asks, and on whose behalf.
#[derive(Debug, Clone)]
pub struct ModelCall {
    /// Who made the run.
    pub caller: Caller,
    /// `/v1/threads/{id}/runs`: what conditions on the path look at.
    pub path: String,
    /// How many bytes of what is asked and said the sink is given; 0: none.
    pub capture: usize,
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
    result: Result<Begun, Error>,
}

/// A turn whose first event is at hand.
struct Begun {
    events: ChatStream,
    bill: Bill,
    said: Said,
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
        let asked = (self.call.capture > 0).then(|| said::shown(&self.params(), None));
        match result {
            Ok(Begun { events, bill, said }) => {
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
                    asked,
                    said,
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
                    asked,
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
                && (error.retryable || !retries::is_transient(status)),
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
        let key = match &way.target.provider {
            Provider::Http(account) => account.api_key.clone(),
            Provider::Echo => None,
        };
        let outcome = Outcome {
            report: self.report(way, 200),
            result: Ok(Begun {
                events,
                bill,
                said: Said::new(self.call.capture, key),
            }),
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
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            stream_options: false,
        };
        let body = request::body(self.request, &self.request.model, dialect);
        serde_json::to_value(&body).unwrap_or_default()
    }
}
