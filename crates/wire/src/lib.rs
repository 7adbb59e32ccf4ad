//! What clients send and get: requests, objects, stream events, errors and the OpenAPI document,
//! and ([`chat`]) what goes to and comes from a model.
//!
//! What it is: pure conversions between JSON and the records of `loomgate-domain`.
//!
//! What it is not: no HTTP, no IO. It does not know whether a thread exists or is locked; it only
//! knows what a body has to look like, and what an answer looks like.
//!
//! Start at [`shape`]: one table for each request and each object, from which both the checks and
//! the OpenAPI document come. [`request::parse`] reads a body; `object::*` are the answers;
//! [`event`] makes the frames of a stream.
//!
//! Invariant: a body is checked whole before any of it is read, in the order missing, unknown,
//! type, bounds, cross-field (contract section 1.5); the texts are those of section 2.4.
//! Invariant: every object carries every field of its shape and no other.
//! Invariant: no value that a client sends makes this crate panic.

pub mod chat;
pub mod error;
pub mod event;
pub mod object;
pub mod openapi;
pub mod problem;
pub mod request;
pub mod shape;

pub use error::ErrorBody;
pub use problem::Problem;
pub use request::{Request, parse};
