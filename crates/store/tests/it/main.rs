//! Every method of the store, through its public face.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test sets up has to work"
)]

#[macro_use]
mod home;

mod attachments;
mod backup;
mod copy;
mod documents;
mod durability;
mod events;
mod exports;
mod files;
mod fixtures;
mod gateway;
mod graphs;
mod indexing;
mod keys;
mod lexical;
mod lists;
mod logs;
mod marks;
mod migration;
mod postgres;
mod queue;
mod receipts;
mod records;
mod renewal;
mod runs;
mod tenants;
mod uploads;
mod vector_stores;
mod vectors;
mod waiting;
mod writer;
