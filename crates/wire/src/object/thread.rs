//! Threads (contract section 6).

use loomgate_domain::{self as domain, Metadata, ThreadId, Timestamp, tool::ToolResources};
use serde::Serialize;

use super::{TIME, kind, list::Identified, tool::RESOURCES};
use crate::shape::{Field, STRING, Shape, object};

/// A thread, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Thread<'a> {
    pub id: &'a ThreadId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub metadata: &'a Metadata,
    pub tool_resources: &'a ToolResources,
}

impl<'a> From<&'a domain::Thread> for Thread<'a> {
    fn from(record: &'a domain::Thread) -> Self {
        Self {
            id: &record.id,
            object: "thread",
            created_at: record.created_at,
            metadata: &record.metadata,
            tool_resources: &record.tool_resources,
        }
    }
}

impl Identified for Thread<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The shape of a thread.
pub static SHAPE: Shape = object(
    "Thread",
    "A conversation.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["thread"]), "What this is."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required("metadata", &Shape::Metadata, "The client's own pairs."),
        Field::required(
            "tool_resources",
            &RESOURCES,
            "Files and stores that tools may use on this thread.",
        ),
    ],
);
