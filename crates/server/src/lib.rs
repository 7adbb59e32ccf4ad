//! The HTTP server, its configuration, and the `loomgate` program.
//!
//! What it is: the outermost layer. It reads the configuration, puts the parts together, knows who
//! calls, turns HTTP into calls of the store and the engine, and their outcomes into answers.
//!
//! What it is not: no SQL, no provider's JSON, and no decision about a run.
//!
//! Start at [`start`] for how the parts come together, [`http::router`] for the routes, and
//! [`error`] for what callers are told.
//!
//! Invariant: a handler gets a workspace from [`auth::Caller`] and from nowhere else.
//! Invariant: only [`error`] knows status codes of failures; every error has the one form.
//! Invariant: an API key or a provider's key is in no log line, error, metric or `Debug` output.
//! Invariant: everything that a client can make grow has a limit: heads, bodies, connections,
//! requests at the same time, and the time that each of them takes.

mod account;
pub mod admission;
pub mod app;
pub mod auth;
mod beta;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
mod content;
pub mod data_dir;
pub mod demo;
pub mod documents;
mod embeddings;
pub mod error;
mod headers;
pub mod http;
pub mod ids;
mod images;
mod leftover;
mod limits;
pub mod logbook;
pub mod model;
mod own_calls;
mod recent;
mod record;
mod redact;
mod reranking;
mod rewriting;
mod routing;
mod saved_config;
pub mod serve;
pub mod start;
mod streams;
pub mod sweeper;
pub mod telemetry;

pub use app::App;
