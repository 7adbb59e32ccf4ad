//! The gateway over real connections: what callers get, and what providers receive.

mod affinity;
mod authorization;
mod breaker;
mod cache;
mod canary;
mod conditions;
mod egress;
mod errors;
mod guardrails;
mod headers;
mod limits;
mod logs;
mod params;
mod relay;
mod retries;
mod run_limits;
mod runs;
pub(crate) mod stage;
mod strategies;
mod streams;
mod strictness;
mod timeouts;
mod uploads;
mod usage;
