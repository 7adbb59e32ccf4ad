//! What tests need to run Loomgate for real: a model server that is scripted, a model of embeddings, and a
//! PostgreSQL.
//!
//! What it is not: part of the product. Only `[dev-dependencies]` name this crate, and it names
//! neither the gateway nor anything above it.
//!
//! Start at [`upstream::FakeUpstream`] and [`postgres::Database`].
//!
//! Invariant: nothing here waits for a time to pass; tests wait for what happened.
//! Invariant: servers listen on 127.0.0.1, on ports that the system chose.

pub mod embeddings;
pub mod postgres;
pub mod upstream;
