//! What clients get: one file for each resource. The structs borrow the records and list every
//! field, in the order in which the original sent them; the shapes beside them describe the same
//! for the API document, and the tests hold the two together.

pub mod assistant;
pub mod deleted;
pub mod delta;
pub mod file;
pub mod list;
pub mod message;
pub mod model;
pub mod run;
pub mod step;
pub mod thread;
pub mod tool;
pub mod upload;
pub mod usage;
pub mod vector_store;

pub use assistant::Assistant;
pub use deleted::Deleted;
pub use file::File;
pub use list::{Identified, List};
pub use message::Message;
pub use model::{Model, ModelList};
pub use run::Run;
pub use step::RunStep;
pub use thread::Thread;
pub use upload::{Upload, UploadPart};
pub use usage::Usage;
pub use vector_store::{FileBatch, OnePage, SearchResult, TextPart, VectorStore, VectorStoreFile};

use crate::shape::{Shape, one_of};

/// A moment: whole seconds since 1970.
pub(crate) static TIME: Shape = Shape::Integer {
    min: Some(0),
    max: None,
};

/// A count.
pub(crate) static COUNT: Shape = Shape::Integer {
    min: Some(0),
    max: None,
};

/// The `object` field of one kind of object.
pub(crate) const fn kind(name: &'static [&'static str; 1]) -> Shape {
    one_of(name)
}
