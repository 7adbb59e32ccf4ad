//! What DELETE answers.

use loomgate_domain::{AssistantId, FileId, MessageId, ThreadId, VectorStoreId};
use serde::Serialize;

use super::kind;
use crate::shape::{Field, STRING, Shape, object};

/// `{"id","object","deleted":true}`
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Deleted<'a> {
    /// The id that was.
    pub id: &'a str,
    /// `assistant.deleted`, ...
    pub object: &'static str,
    /// Always true.
    pub deleted: bool,
}

impl<'a> Deleted<'a> {
    /// Of an assistant.
    pub fn assistant(id: &'a AssistantId) -> Self {
        Self::new(id.as_str(), "assistant.deleted")
    }

    /// Of a thread.
    pub fn thread(id: &'a ThreadId) -> Self {
        Self::new(id.as_str(), "thread.deleted")
    }

    /// Of a message.
    pub fn message(id: &'a MessageId) -> Self {
        Self::new(id.as_str(), "thread.message.deleted")
    }

    /// Of a vector store.
    pub fn vector_store(id: &'a VectorStoreId) -> Self {
        Self::new(id.as_str(), "vector_store.deleted")
    }

    /// Of a file in a vector store; the file itself stays.
    pub fn vector_store_file(id: &'a FileId) -> Self {
        Self::new(id.as_str(), "vector_store.file.deleted")
    }

    /// Of a file: the one whose `object` stays as it was.
    pub fn file(id: &'a FileId) -> Self {
        Self::new(id.as_str(), "file")
    }

    fn new(id: &'a str, object: &'static str) -> Self {
        Self {
            id,
            object,
            deleted: true,
        }
    }
}

/// The shape for an assistant.
pub static ASSISTANT: Shape = object(
    "AssistantDeleted",
    "An assistant is gone.",
    &fields(&kind(&["assistant.deleted"])),
);
/// The shape for a thread.
pub static THREAD: Shape = object(
    "ThreadDeleted",
    "A thread is gone.",
    &fields(&kind(&["thread.deleted"])),
);
/// The shape for a message.
pub static MESSAGE: Shape = object(
    "MessageDeleted",
    "A message is gone.",
    &fields(&kind(&["thread.message.deleted"])),
);
/// The shape for a vector store.
pub static VECTOR_STORE: Shape = object(
    "VectorStoreDeleted",
    "A vector store is gone.",
    &fields(&kind(&["vector_store.deleted"])),
);
/// The shape for a file in a vector store.
pub static VECTOR_STORE_FILE: Shape = object(
    "VectorStoreFileDeleted",
    "A file is out of a vector store.",
    &fields(&kind(&["vector_store.file.deleted"])),
);
/// The shape for a file.
pub static FILE: Shape = object("FileDeleted", "A file is gone.", &fields(&kind(&["file"])));

const fn fields(kind: &'static Shape) -> [Field; 3] {
    [
        Field::required("id", &STRING, "The id that was."),
        Field::required("object", kind, "What this is."),
        Field::required("deleted", &Shape::Boolean, "Always true."),
    ]
}
