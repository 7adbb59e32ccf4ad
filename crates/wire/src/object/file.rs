//! Files (contract section 11.1).

use loomgate_domain::{self as domain, FileId, Timestamp};
use serde::Serialize;

use super::{COUNT, TIME, kind, list::Identified};
use crate::shape::{Field, STRING, Shape, object, one_of};

/// A file, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct File<'a> {
    pub object: &'static str,
    pub id: &'a FileId,
    pub purpose: &'static str,
    pub filename: &'a str,
    pub bytes: u64,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub status: &'static str,
    pub status_details: Option<&'a str>,
}

impl<'a> From<&'a domain::File> for File<'a> {
    fn from(record: &'a domain::File) -> Self {
        Self {
            object: "file",
            id: &record.id,
            purpose: record.purpose.as_str(),
            filename: &record.filename,
            bytes: record.bytes,
            created_at: record.created_at,
            expires_at: record.expires_at,
            status: record.status.as_str(),
            status_details: None,
        }
    }
}

impl Identified for File<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

static PURPOSE: Shape = one_of(&[
    "fine-tune",
    "assistants",
    "batch",
    "user_data",
    "vision",
    "evals",
    "assistants_output",
    "batch_output",
    "fine-tune-results",
]);

/// The shape of a file.
pub static SHAPE: Shape = object(
    "File",
    "A stored file.",
    &[
        Field::required("object", &kind(&["file"]), "What this is."),
        Field::required("id", &STRING, "Its id."),
        Field::required("purpose", &PURPOSE, "What it is for."),
        Field::required("filename", &STRING, "Its name, as it was sent."),
        Field::required("bytes", &COUNT, "Its size."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required("expires_at", &TIME, "When it goes away.").nullable(),
        Field::required(
            "status",
            &one_of(&["uploaded", "processed", "error"]),
            "Whether it can be used: `processed` from the first.",
        ),
        Field::required("status_details", &STRING, "What is wrong with it.").nullable(),
    ],
);
