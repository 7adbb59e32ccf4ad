//! What is kept of a creation under an `Idempotency-Key`: a repeat is answered from it.

use serde::{Deserialize, Serialize};

use crate::{RunId, ThreadId, Timestamp};

/// How long a receipt is good for, in seconds.
pub const RECEIPT_LIFETIME_S: u32 = 24 * 60 * 60;

/// A request that creates something at most once, whatever how often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The client's key: 1 to 255 visible characters of ASCII.
    pub key: String,
    /// Tells apart requests that have the key in common: a digest of path and body.
    pub fingerprint: String,
    /// The request's own id.
    pub request_id: String,
    /// When it came.
    pub at: Timestamp,
}

/// A creation that took place: kept by the transaction that makes it true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What was asked for.
    pub request: KeyedRequest,
    /// What the client was told.
    pub answer: Answer,
}

/// The answer to a creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An object as JSON, status 200.
    Body(String),
    /// The same of an object with a secret in it, sealed.
    Sealed(String),
    /// The events of a run, from its creation on.
    Stream {
        /// The run's thread.
        thread_id: ThreadId,
        /// The run.
        run_id: RunId,
    },
}

impl KeyedRequest {
    /// The same, answered.
    #[must_use]
    pub fn answered(self, answer: Answer) -> Receipt {
        Receipt {
            request: self,
            answer,
        }
    }
}
