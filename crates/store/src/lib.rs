//! Everything that Loomgate keeps, and the only crate that knows SQL.
//!
//! What it is: one async method per thing that happens to the records of `loomgate-domain`, each
//! one transaction. [`Store`] hands out a view per kind of record; the engine behind is SQLite.
//!
//! What it is not: it makes no ids, reads no clock, and decides nothing about a run. Decisions
//! come in as closures ([`Runs::claim`], [`Runs::command`]) that run inside the transaction; they
//! have to be quick, and must not call the store.
//!
//! Start at [`store::Store::open`], then [`runs`]; the thread that writes is in `writer.rs`.
//!
//! Invariant: an answered write is on the disk.
//! Invariant: a job that fails or panics changes nothing, and nothing of its neighbours.
//! Invariant: no method shows or changes a row of another workspace.
//! Invariant: at most one active run a thread.
//! Invariant: a commit under an old fence or version writes nothing.
//! Invariant: a list reads at most `limit + 1` rows.

pub mod assistants;
pub mod error;
pub mod keys;
mod lock;
pub mod messages;
mod migrate;
mod page;
mod queue;
mod reader;
pub mod runs;
mod sqlite;
pub mod steps;
pub mod store;
pub mod threads;
mod tx;
pub mod workspaces;
mod writer;

#[cfg(test)]
mod plans;

pub use assistants::Assistants;
pub use error::Error;
pub use keys::Keys;
pub use messages::Messages;
pub use runs::{
    Claim, ClaimRequest, ClaimedRow, Commanded, Committed, ContextLimits, Guard, Lease, NewRun,
    NewRunThread, RunChange, RunContext, RunSnapshot, Runs,
};
pub use steps::Steps;
pub use store::{Database, Options, Stats, Store};
pub use threads::{Deleted, Threads};
pub use workspaces::Workspaces;
