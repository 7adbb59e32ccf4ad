//! What clients send: one file for each resource, with the shape, the struct, and the way from
//! one to the other.

use loomgate_domain::{Limits, Patch};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Problem, shape::Shape};

pub mod assistant;
mod chunking;
pub mod file;
pub mod message;
pub mod query;
pub mod resources;
pub mod run;
pub mod search;
pub mod thread;
pub mod tool;
pub mod turn;
pub mod vector_store;

pub use assistant::{CreateAssistant, ModifyAssistant};
pub use file::{CompleteUpload, CreateFile, CreateUpload, FileForm};
pub use message::{CreateMessage, ModifyMessage, NewMessage};
pub use query::{ListQuery, StreamPlace, file_list_query, include_query, list_query, stream_place};
pub use run::{CreateRun, CreateThreadAndRun, ModifyRun, RunOptions, SubmitToolOutputs};
pub use search::{Ranker, SearchVectorStore};
pub use thread::{CreateThread, ModifyThread};
pub use vector_store::{
    CreateFileBatch, CreateVectorStore, CreateVectorStoreFile, ModifyVectorStore,
    ModifyVectorStoreFile,
};

/// A body that an operation takes.
pub trait Request: Sized {
    /// What it has to look like.
    fn shape() -> &'static Shape;

    /// Checks the whole value, then reads it.
    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem>;

    /// Reads a body that is as it should be in one pass, for requests that come often and whose
    /// struct alone tells whether they are. `None` sends the body the long way, which knows the
    /// texts.
    fn quick(_body: &[u8]) -> Option<Self> {
        None
    }
}

/// Reads a body. No body at all counts as `{}`: `POST /threads` and cancel come without one.
pub fn parse<T: Request>(body: &[u8], limits: &Limits) -> Result<T, Problem> {
    if let Some(request) = T::quick(body) {
        return Ok(request);
    }
    let value = if body.trim_ascii().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body).map_err(|_| Problem::unparsable())?
    };
    T::from_value(value, limits)
}

/// Largest body that is tried the quick way. Nothing stops a struct from reading very many pairs
/// before it counts them; the walk over a shape can take any number.
const QUICK_BYTES: usize = 8 * 1024;

/// Reads a body in one pass, where that works out.
fn quick<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    // A struct would take a list of its fields, too.
    let object = body.trim_ascii_start().starts_with(b"{");
    if !object || body.len() > QUICK_BYTES {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// A patch of another type.
fn convert<T, U>(patch: Patch<T>, how: impl FnOnce(T) -> U) -> Patch<U> {
    match patch {
        Patch::Absent => Patch::Absent,
        Patch::Null => Patch::Null,
        Patch::Set(value) => Patch::Set(how(value)),
    }
}
