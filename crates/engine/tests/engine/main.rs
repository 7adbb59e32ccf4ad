//! The engine on a real store and a scripted model: what streams are told, what is stored, and
//! what survives. Nothing here sleeps: a test waits for events, or for a run to settle.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test says where"
)]

mod crash;
mod doubt;
mod ends;
mod faults;
mod full_disk;
mod handover;
mod harness;
mod library;
mod lines;
mod locked;
mod meaning;
mod pgvector;
mod reopen;
mod repeats;
mod replica;
mod searches;
mod streams;
mod survival;
mod taking;
