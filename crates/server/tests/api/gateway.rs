//! The gateway over real connections: what callers get, and what providers receive.

mod affinity;
mod authorization;
mod breaker;
mod cache;
mod conditions;
mod errors;
mod guardrails;
mod headers;
mod params;
mod relay;
mod retries;
pub(crate) mod stage;
mod strategies;
mod streams;
mod timeouts;
