//! What clients send: one file for each resource, with the shape, the struct, and the way from
//! one to the other.

use loomgate_domain::{Limits, Patch};
use serde_json::{Map, Value};

use crate::{Problem, shape::Shape};

pub mod assistant;
pub mod message;
pub mod query;
pub mod resources;
pub mod run;
pub mod thread;
pub mod tool;
pub mod turn;

pub use assistant::{CreateAssistant, ModifyAssistant};
pub use message::{CreateMessage, ModifyMessage, NewMessage};
pub use query::{ListQuery, include_query, list_query};
pub use run::{CreateRun, CreateThreadAndRun, ModifyRun, RunOptions, SubmitToolOutputs};
pub use thread::{CreateThread, ModifyThread};

/// A body that an operation takes.
pub trait Request: Sized {
    /// What it has to look like.
    fn shape() -> &'static Shape;

    /// Checks the whole value, then reads it.
    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem>;
}

/// Reads a body. No body at all counts as `{}`: `POST /threads` and cancel come without one.
pub fn parse<T: Request>(body: &[u8], limits: &Limits) -> Result<T, Problem> {
    let value = if body.trim_ascii().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body).map_err(|_| Problem::unparsable())?
    };
    T::from_value(value, limits)
}

/// A patch of another type.
fn convert<T, U>(patch: Patch<T>, how: impl FnOnce(T) -> U) -> Patch<U> {
    match patch {
        Patch::Absent => Patch::Absent,
        Patch::Null => Patch::Null,
        Patch::Set(value) => Patch::Set(how(value)),
    }
}
