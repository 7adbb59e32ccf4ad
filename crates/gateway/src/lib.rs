//! The way out: relayed calls and model calls of runs, sent to whatever a virtual key, a config or
//! the caller's own credential names.
//!
//! What it is: routing configs and the plans made of them, the one attempt loop that walks through
//! a plan, the conversions to and from each provider's JSON, limits, prices, the cache, guardrails,
//! circuit breakers, and a pooled client behind the egress guard.
//!
//! What it is not: it knows no SQL, no axum and no API keys. Who calls, and which accounts there
//! are, is told by the server.
//!
//! Start at [`Gateway::relay`] and [`Gateway::chat`], then `walk` (the attempt loop), `relay` and
//! `turn` (the two things that are attempted); [`config`] for what a config may say, `vendor` for
//! the conversions, `echo` for the built-in model (`docs/echo.md`).
//!
//! Invariant: a provider's key is in no error, log line or `Debug` output.
//! Invariant: nothing of a run's caller but the [`ChatRequest`] reaches a provider; of a relayed
//! call's headers only what `relay/headers.rs` lets through.
//! Invariant: a stored credential only goes to its own address.
//! Invariant: an address that a caller named is only called when it is public, at the very address
//! that was checked.
//! Invariant: once a byte or an event was handed out, the call is never repeated.
//! Invariant: redirects are not followed.
//! Invariant: dropping an answer or a [`ChatStream`] drops the provider's request.

mod account;
#[cfg(test)]
mod arbitrary;
pub mod breaker;
pub mod cache;
pub mod condition;
pub mod config;
mod echo;
pub mod egress;
mod endpoint;
mod error;
mod gateway;
mod gathered;
pub mod guardrail;
pub mod http_client;
mod ledger;
mod lenient;
pub mod meter;
mod open_runs;
mod openai;
mod params;
mod pattern;
mod plan;
pub mod preset;
pub mod price;
mod quirks;
mod reading;
pub mod relay;
mod retries;
mod retry_after;
mod spelling;
mod sse;
mod stream;
mod target;
mod turn;
mod usage;
mod vendor;
mod walk;

pub use endpoint::Endpoint;
pub use error::{Error, Phase, Who};
pub use gateway::{Gateway, Settings};
pub use gathered::Gathered;
pub use plan::{Disagreement, Plan};
pub use retries::AttemptPolicy;
pub use stream::ChatStream;
pub use target::{Account, Api, MaxTokensField, Provider, Target, Timeouts};
pub use turn::{ModelCall, Receipt, Turn};

#[doc(no_inline)]
pub use loomgate_wire::chat::{ChatEvent, ChatRequest};
