//! What the crate promises: the texts, the limits at their edges, what clients in the field rely
//! on, the objects and frames, the API document.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: what is unexpected has to fail them"
)]

mod accepted;
mod any_value;
mod files;
mod frames;
mod limits;
mod objects;
mod openapi;
mod query;
mod records;
mod texts;
mod vector_stores;

use loomgate_domain::Limits;
use loomgate_wire::{Problem, Request, parse};
use serde_json::Value;

/// Reads a body under the default limits.
fn read<T: Request>(body: &Value) -> Result<T, Problem> {
    parse(body.to_string().as_bytes(), &Limits::default())
}

/// What is wrong with a body.
fn problem<T: Request>(body: &Value) -> Problem {
    match read::<T>(body) {
        Ok(_) => panic!("accepted: {body}"),
        Err(problem) => problem,
    }
}
