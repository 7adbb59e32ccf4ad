//! The gateway over real connections: what callers get, and what providers receive.

mod breaker;
mod cache;
mod conditions;
mod errors;
mod guardrails;
mod params;
mod retries;
mod stage;
mod strategies;
mod timeouts;
