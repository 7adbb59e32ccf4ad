//! Everything that Loomgate keeps, and the only crate that knows SQL.
//!
//! What it is: one async method per thing that happens to the records of `loomgate-domain`, each
//! one transaction. [`Store`] hands out a view per kind of record. Behind is SQLite, with one
//! database for the records and one for the logs, or PostgreSQL, with both in one: the same SQL and
//! the same closures (`tx.rs` is the seam).
//!
//! What it is not: it makes no ids, reads no clock, and decides nothing about a run. Decisions
//! come in as closures ([`Runs::claim`], [`Runs::command`]) that run inside the transaction, once more
//! when it had to be given up; they have to be quick, and must not call the store.
//!
//! Start at [`store::Store::open`], then [`runs`]; SQLite's thread that writes is in `writer.rs`,
//! those of PostgreSQL in `postgres/worker.rs`. A store without threads, for simulations, is in
//! `driven.rs`.
//!
//! Invariant: an answered write is on the disk, also when the next one finds no room there.
//! Invariant: a job that fails or panics changes nothing, and nothing of its neighbours.
//! Invariant: no method shows or changes a row of another workspace.
//! Invariant: at most one active run a thread.
//! Invariant: a commit under an old fence or version writes nothing, tells nothing, and charges
//! nobody.
//! Invariant: what is created under an idempotency key is created once, and its receipt stands exactly
//! where it does.
//! Invariant: what came sealed with a run is gone once the run has ended.
//! Invariant: what is written of a file is found all at once, by the commit that completes it.
//! Invariant: no object of bytes is without its row, and a row that nobody refers to is found
//! (`blobs.rs`).
//! Invariant: logs never make a record wait: they have threads and connections of their own.
//! Invariant: every commit is a boundary at which tests can abort the process (`failpoint.rs`); a
//! release build has none of that.
//! Invariant: a list reads at most `limit + 1` rows.

pub mod affinity;
pub mod assistants;
pub mod backup;
pub mod blobs;
pub mod chunks;
pub mod configs;
pub mod copy;
pub mod counters;
pub mod driven;
pub mod error;
pub mod events;
pub mod failpoint;
pub mod files;
pub mod keys;
pub mod leases;
mod lock;
pub mod logs;
pub mod marks;
pub mod messages;
mod page;
mod pool;
pub mod postgres;
mod queue;
mod reader;
pub mod receipts;
pub mod runs;
mod schema;
mod sqlite;
mod statistics;
pub mod steps;
pub mod store;
pub mod threads;
mod tx;
pub mod uploads;
pub mod vector_stores;
pub mod virtual_keys;
pub mod waiting;
pub mod work;
pub mod workspaces;
mod writer;

#[cfg(test)]
mod plans;

pub use affinity::Affinity;
pub use assistants::Assistants;
pub use blobs::Blobs;
pub use chunks::{
    Chunks, Complete, Digest, Embedded, EmbeddedFile, Filled, LexicalHit, Near, Neighbour,
    NewChunk, NewVector, StoredCode, StoredText,
};
pub use configs::Configs;
pub use counters::Counters;
pub use driven::{DrivenDatabase, Driver};
pub use error::Error;
pub use events::{EventRow, Events, Flush, Followed, Found, JournalState, Opening, StoredEvents};
pub use files::Files;
pub use keys::Keys;
pub use leases::Leases;
pub use logs::{
    FeedbackPoint, Figure, GraphPoint, GraphQuery, GroupBy, GroupQuery, GroupRow, Groups, Latency,
    LogFilter, Logs, Measure, Sums,
};
pub use marks::Marks;
pub use messages::Messages;
pub use postgres::{Postgres, PostgresUrl};
pub use receipts::{OwnReceipt, Receipts, SealedReceipt};
pub use runs::{
    Claim, ClaimRequest, ClaimedRow, Commanded, Committed, ContextLimits, Guard, Kept, Lease,
    NewRun, NewRunThread, RunChange, RunContext, RunSnapshot, Runs, Take,
};
pub use schema::Migrated;
pub use steps::Steps;
pub use store::{Database, Options, Sharing, Stats, Store};
pub use threads::{Deleted, ThreadStores, Threads};
pub use uploads::{Completed, Completion, Uploads};
pub use vector_stores::{
    Attaching, FileBatches, Indexed, Indexing, IndexingClaim, IndexingGuard, IndexingTask,
    IndexingTurns, NewVectorStore, NewVectorStoreFile, Outdated, PutFiles, Swept, VectorStoreFiles,
    VectorStores,
};
pub use virtual_keys::VirtualKeys;
pub use waiting::{IfLocked, WAITING_MAX};
pub use work::Wakeups;
pub use workspaces::Workspaces;
