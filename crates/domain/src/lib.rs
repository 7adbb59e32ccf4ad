//! The vocabulary of Loomgate: ids, records, limits, and the run state machine.
//!
//! What it is: plain data and pure functions that every other crate shares. The records here are
//! the *stored* form; what a client sees is made from them in `loomgate-wire`.
//!
//! What it is not: there is no IO, no async, no clock and no randomness in this crate. Time and
//! ids come in through [`Clock`] and [`IdGen`].
//!
//! Start at [`run::machine`], the heart of the product.
//!
//! Invariant: a run state is only ever left through [`run::machine::step`].
//! Invariant: an id in a record carries the prefix of its kind.
//! Invariant: a [`Metadata`] holds at most 16 pairs, keys of 64 and values of 512 characters.

pub mod assistant;
pub mod clock;
pub mod config;
pub mod export;
pub mod feedback;
pub mod file;
pub mod id;
pub mod key;
pub mod limit;
pub mod limits;
pub mod log;
pub mod message;
pub mod metadata;
pub mod page;
pub mod patch;
pub mod receipt;
pub mod run;
pub mod scope;
pub mod thread;
pub mod tool;
pub mod upload;
pub mod usage;
pub mod vector_store;
pub mod virtual_key;
pub mod when_locked;

pub use assistant::Assistant;
pub use clock::{Clock, Timestamp};
pub use file::File;
pub use id::{
    ApiKeyId, AssistantId, BlobId, CallId, ConfigVersionId, ExportId, FeedbackId, FileBatchId,
    FileId, Id, IdGen, IdKind, LogId, MessageId, PartId, RunId, StepId, ThreadId, UploadId,
    VectorStoreId, WorkspaceId,
};
pub use limits::Limits;
pub use message::Message;
pub use metadata::Metadata;
pub use page::{Order, Page, PageRequest};
pub use patch::Patch;
pub use receipt::{KeyedRequest, Receipt};
pub use run::{Run, RunStep};
pub use scope::{Scope, Scopes};
pub use thread::Thread;
pub use upload::{Upload, UploadPart};
pub use usage::Usage;
pub use vector_store::VectorStore;
pub use when_locked::{Patience, WhenLocked};
