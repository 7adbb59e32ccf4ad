//! The attempt loop.

use std::{fmt, sync::Arc};

use loomgate_domain::IdGen;
use loomgate_wire::chat::ChatRequest;
use tokio::time::Instant;

use crate::{
    AttemptPolicy, ChatStream, Error, Provider, Target, client, echo, error::Failure, openai,
};

/// A model that a provider offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Seconds since 1970; 0 where the provider does not tell.
    pub created: i64,
    /// Whose it is; empty where the provider does not tell.
    pub owned_by: String,
}

/// Calls models. One for the whole process: it holds the pool of connections.
pub struct Gateway {
    openai: openai::Client,
    policy: AttemptPolicy,
    ids: Arc<dyn IdGen>,
}

impl Gateway {
    /// A gateway without connections yet. `ids` makes ids of function calls where a provider gives
    /// none, and spreads retries. Fails when the system's TLS set-up is unusable.
    pub fn new(policy: AttemptPolicy, ids: Arc<dyn IdGen>) -> Result<Self, Error> {
        let http = client::build(policy.connect_timeout)?;
        Ok(Self {
            openai: openai::Client::new(http, Arc::clone(&ids)),
            policy,
            ids,
        })
    }

    /// One model turn. Returns with the first event at hand; until then, faults that may pass are
    /// tried again as the policy says. After that nothing is: an error in the stream is its end,
    /// with [`crate::Phase::MidStream`].
    pub async fn chat(&self, target: &Target, request: &ChatRequest) -> Result<ChatStream, Error> {
        let mut attempts = Attempts::new(self, target);
        loop {
            let result = match &target.provider {
                Provider::Echo => echo::chat(request, &*self.ids),
                Provider::OpenAi(provider) => {
                    Box::pin(self.openai.chat(target, provider, request)).await
                }
            };
            match result {
                Ok(stream) => return Ok(stream.at_attempt(attempts.made)),
                Err(failure) => attempts.pause_or_fail(failure).await?,
            }
        }
    }

    /// The models that a target offers, in the provider's order.
    pub async fn models(&self, target: &Target) -> Result<Vec<Model>, Error> {
        let mut attempts = Attempts::new(self, target);
        loop {
            let result = match &target.provider {
                Provider::Echo => Ok(vec![echo::model()]),
                Provider::OpenAi(provider) => Box::pin(self.openai.models(target, provider)).await,
            };
            match result {
                Ok(models) => return Ok(models),
                Err(failure) => attempts.pause_or_fail(failure).await?,
            }
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    gateway: &'a Gateway,
    target: &'a Target,
    since: Instant,
    /// Attempts made, the present one included.
    made: u32,
}

impl<'a> Attempts<'a> {
    fn new(gateway: &'a Gateway, target: &'a Target) -> Self {
        Self {
            gateway,
            target,
            since: Instant::now(),
            made: 1,
        }
    }

    /// Returns when the next attempt may begin; or the error, when there is to be none.
    async fn pause_or_fail(&mut self, failure: Failure) -> Result<(), Error> {
        let mut jitter = [0];
        self.gateway.ids.fill(&mut jitter);
        let [jitter] = jitter;
        let elapsed = self.since.elapsed();
        let policy = &self.gateway.policy;
        let Some(pause) = policy.pause(&failure, self.made, elapsed, jitter) else {
            return Err(Error {
                attempts: self.made,
                ..failure.error
            });
        };
        tracing::warn!(
            virtual_key = self.target.name,
            status = failure.error.status,
            attempt = self.made,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "model call failed, will be tried again: {:?}",
            failure.error.who,
        );
        tokio::time::sleep(pause).await;
        self.made += 1;
        Ok(())
    }
}
