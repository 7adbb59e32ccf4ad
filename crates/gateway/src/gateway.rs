//! The way out, as the rest of the program sees it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    time::Duration,
};

use loomgate_domain::{
    Clock, IdGen, id,
    limit::{OpenRun, Owed},
};
use loomgate_wire::chat::ChatRequest;

use crate::{
    AttemptPolicy, Error, Plan,
    breaker::Breakers,
    cache::Cache,
    egress::{Exceptions, SystemResolver},
    http_client::{ClientSettings, HttpClient},
    ledger::Ledger,
    meter::Meter,
    price::PriceTable,
    quirks::Quirks,
    reading::Facts,
    relay::{Answer, EndSink, RelayAttempt, RelayRequest, refuse_malformed},
    turn::{ModelCall, Turn, TurnAttempt},
    walk::Walker,
};

/// What a gateway is made of.
#[derive(Debug)]
pub struct Settings {
    /// When model calls of runs are tried again, and how long pauses are.
    pub policy: AttemptPolicy,
    /// Time to connect, for all targets.
    pub connect_timeout: Duration,
    /// Addresses inside the operator's network that callers may name all the same.
    pub exceptions: Exceptions,
    /// Where this process itself listens: calls to itself would go round for ever.
    pub own_addresses: Vec<SocketAddr>,
    /// The most bytes of cached answers.
    pub cache_bytes: u64,
    /// What tokens cost.
    pub prices: PriceTable,
    /// Whether limits hold for several processes together: then somebody has to answer
    /// the questions of each [`crate::meter::Round`].
    pub shares_limits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: AttemptPolicy::default(),
            connect_timeout: Duration::from_secs(10),
            exceptions: Exceptions::default(),
            own_addresses: Vec::new(),
            cache_bytes: 64 * 1024 * 1024,
            prices: PriceTable::built_in(),
            shares_limits: false,
        }
    }
}

/// Calls models and relays calls. One for the whole process: it holds the pools of connections,
/// the cache, the circuit breakers and what everybody has used.
pub struct Gateway {
    services: Services,
}

/// What attempts work with.
pub(crate) struct Services {
    pub(crate) http: HttpClient,
    pub(crate) exceptions: Exceptions,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) cache: Cache,
    pub(crate) breakers: Breakers,
    pub(crate) quirks: Quirks,
    pub(crate) policy: AttemptPolicy,
    pub(crate) ids: Arc<dyn IdGen>,
}

impl Gateway {
    /// A gateway without connections yet. `ids` makes ids where a provider gives none, draws
    /// targets and spreads retries. Fails when the system's TLS set-up is unusable.
    pub fn new(
        settings: Settings,
        ids: Arc<dyn IdGen>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let http = HttpClient::new(ClientSettings {
            connect_timeout: settings.connect_timeout,
            exceptions: settings.exceptions.clone(),
            own_addresses: settings.own_addresses,
            resolver: Arc::new(SystemResolver::default()),
        })?;
        Ok(Self {
            services: Services {
                http,
                exceptions: settings.exceptions,
                ledger: Arc::new(Ledger {
                    meter: if settings.shares_limits {
                        Meter::shared()
                    } else {
                        Meter::new()
                    },
                    prices: settings.prices,
                    clock,
                    open_runs: parking_lot::Mutex::default(),
                }),
                cache: Cache::new(settings.cache_bytes),
                breakers: Breakers::new(),
                quirks: Quirks::default(),
                policy: settings.policy,
                ids,
            },
        })
    }

    /// Relays a call. There is always an answer: a provider's, or the gateway's own. `capture` is
    /// how many bytes of it `sink` is to be given; `sink` is told once the answer has ended.
    pub async fn relay(
        &self,
        plan: &Plan,
        request: &RelayRequest,
        capture: usize,
        sink: EndSink,
    ) -> Answer {
        let attempt = match RelayAttempt::new(&self.services, request, capture) {
            Ok(attempt) => attempt,
            Err(malformed) => return refuse_malformed(&malformed, sink),
        };
        let walker = self.walker();
        // Held by itself, so that callers need not carry it about.
        let got = Box::pin(walker.walk(plan, &attempt)).await;
        attempt.hand_out(got, walker.attempts.load(Ordering::Relaxed), sink)
    }

    /// One model turn of a run. Returns with the first event at hand; until then, faults that may
    /// pass are tried again, here or elsewhere, as plan and policy say. After that nothing is: an
    /// error in the stream is its end, with [`crate::Phase::MidStream`]. `sink` is told once the
    /// turn has ended, well or not.
    pub async fn chat(
        &self,
        plan: &Plan,
        call: &ModelCall,
        request: &ChatRequest,
        sink: EndSink,
    ) -> Result<Turn, Error> {
        let attempt = TurnAttempt::new(&self.services, call, request);
        let walker = self.walker();
        let outcome = walker.walk(plan, &attempt).await;
        attempt.hand_out(outcome, walker.attempts.load(Ordering::Relaxed), sink)
    }

    /// Counts what keys use. The server feeds it from the database.
    pub fn meter(&self) -> &Meter {
        &self.services.ledger.meter
    }

    /// Hands out what was counted and has to be written, in one transaction. What could not be
    /// written is to be given back to [`Gateway::restore`].
    pub fn owed(&self) -> Owed {
        self.services.ledger.owed()
    }

    /// Takes back what could not be written, for the next time.
    pub fn restore(&self, owed: Owed) {
        self.services.ledger.restore(owed);
    }

    /// Brings the runs at providers that another process has seen open.
    pub fn load_open_runs(&self, runs: Vec<OpenRun>) {
        self.services.ledger.open_runs.lock().load(runs);
    }

    fn walker(&self) -> Walker<'_> {
        Walker {
            ids: &*self.services.ids,
            clock: &*self.services.ledger.clock,
            breakers: &self.services.breakers,
            attempts: AtomicU32::new(0),
        }
    }
}

impl Services {
    /// What an answer has to say when its provider does not.
    /// The answer has OpenAI's fields and no others.
    pub(crate) fn facts(&self, model: &str, include_usage: bool) -> Facts {
        Facts {
            id: format!("chatcmpl-{}", id::random_text(&*self.ids, 24)),
            created: self.ledger.clock.now().0,
            model: model.to_owned(),
            include_usage,
            lenient: false,
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &self.services.policy)
            .finish_non_exhaustive()
    }
}
