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
pub mod id;
pub mod key;
pub mod limits;
pub mod message;
pub mod metadata;
pub mod page;
pub mod patch;
pub mod run;
pub mod thread;
pub mod tool;
pub mod usage;

pub use assistant::Assistant;
pub use clock::{Clock, Timestamp};
pub use id::{
    ApiKeyId, AssistantId, CallId, Id, IdGen, IdKind, MessageId, RunId, StepId, ThreadId,
    WorkspaceId,
};
pub use limits::Limits;
pub use message::Message;
pub use metadata::Metadata;
pub use page::{Order, Page, PageRequest};
pub use patch::Patch;
pub use run::{Run, RunStep};
pub use thread::Thread;
pub use usage::Usage;
