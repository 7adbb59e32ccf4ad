//! What applies to the calls of a target.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Overrides;
use crate::guardrail::Hook;

/// What applies to the calls of a target; an empty one changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What is tried again.
    pub retry: Option<RetryRule>,
    /// What is answered without a call.
    pub cache: Option<CacheRule>,
    /// From the start of an attempt until the response's headers.
    pub request_timeout: Option<Duration>,
    /// Fields that replace those of the body; a level's own win over inherited ones, key by key.
    pub override_params: Map<String, Value>,
    /// Fields for a body that lacks them.
    pub default_params: Map<String, Value>,
    /// Fields that are taken out of the body.
    pub drop_params: Vec<String>,
    /// Another base address than the provider's own; [`super::is_host`] holds.
    pub custom_host: Option<String>,
    /// Headers of the request that go out as they came, in lower case.
    pub forward_headers: Vec<String>,
    /// Whether fields of answers that OpenAI does not have are kept out.
    pub strict_open_ai_compliance: Option<bool>,
    /// Guardrails for the request.
    pub before: Vec<Hook>,
    /// Guardrails for the answer.
    pub after: Vec<Hook>,
    /// When the target is left alone for a while.
    pub breaker: Option<BreakerRule>,
    /// Whether assistants calls are relayed (`assistants: "upstream"`) or served here (`"native"`).
    pub assistants_upstream: Option<bool>,
    /// Bodies go out as they came.
    pub passthrough: bool,
}

impl Rules {
    /// Whether answers that are converted may have fields that OpenAI does not have.
    pub(crate) fn is_lenient(&self) -> bool {
        self.strict_open_ai_compliance == Some(false)
    }

    /// What headers say goes before everything.
    pub(super) fn apply(&mut self, overrides: &Overrides) {
        if let Some(host) = &overrides.custom_host {
            self.custom_host = Some(host.clone());
        }
        if let Some(timeout) = overrides.request_timeout {
            self.request_timeout = Some(timeout);
        }
        if let Some(headers) = &overrides.forward_headers {
            self.forward_headers = headers
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect();
        }
        if let Some(strict) = overrides.strict_open_ai_compliance {
            self.strict_open_ai_compliance = Some(strict);
        }
    }
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryRule {
    /// Attempts after the first; at most 5.
    pub attempts: u32,
    /// The statuses that are tried again.
    pub on_status_codes: Vec<u16>,
    /// Whether a pause that the provider asks for with a 429 is kept.
    pub use_retry_after_header: bool,
}

/// What is answered without a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheRule {
    /// What counts as the same call.
    pub mode: CacheMode,
    /// How old an answer may be: 1 second to 90 days.
    pub max_age: Duration,
    /// Answers of one namespace are not given in another.
    pub namespace: Option<String>,
}

/// What counts as the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// An equal request.
    Simple,
}

pub use crate::breaker::BreakerRule;
