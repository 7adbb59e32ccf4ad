//! The run engine: commands from clients, the worker that carries runs out, and the event bus.
//!
//! What it is: everything that may change a run's status. Commands (create, submit, cancel) are
//! one transaction each; the executor is a journal: load context, call the model, commit. What a
//! transition means is decided by the pure machine in `loomgate_domain::run::machine`; this crate
//! applies it to records, commits it, and then tells the streams.
//!
//! What it is not: it knows no SQL, no HTTP and no provider. Models come in through
//! [`ChatModel`], [`Embedder`] and [`Reranker`].
//!
//! Start at [`Engine`], then read `executor`.
//!
//! Invariant: nothing is told to a stream before the commit that makes it true, text deltas apart.
//! Invariant: a stream that is opened at any event tells what the first one told after it.
//! Invariant: every commit of the executor is guarded by the lease's fence and the run's version;
//! a guard that fails means that the run is somebody else's now, and the executor stops.
//! Invariant: a client that goes away never changes a run.
//! Invariant: what happens follows from the model, the store, the clock and the ids alone: selects are
//! biased, and nothing depends on the order of a hash map. So `tests/simulation` can replay a seed.

mod bus;
mod citation;
mod command;
mod commands;
mod context;
mod draft;
mod embedder;
mod engine;
mod entry;
mod error;
mod executor;
mod failure;
mod indexing;
mod log;
mod making;
mod model;
mod places;
mod recorder;
mod reranker;
mod retrieval;
mod search;
mod sources;
mod subscription;
mod taking;
mod tokens;
mod turn;
mod vectors;
mod worker;

pub use commands::{Created, RunRequest, RunWay, ThreadTarget};
pub use embedder::{EmbedError, Embedder, Purpose};
pub use engine::{Engine, Settings};
pub use error::{Action, Error};
pub use indexing::{Documents, Indexer, IndexingSettings, Unreadable};
pub use making::{Making, NewThread, posted, waiting};
pub use model::{ChatModel, ChatStream, ModelError, ModelErrorKind, ModelTurn, Receipt};
pub use reranker::Reranker;
pub use retrieval::{Search, Weights};
pub use subscription::Subscription;
