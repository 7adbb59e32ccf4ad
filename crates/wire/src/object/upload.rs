//! Uploads in parts (contract section 11.3).

use loomgate_domain::{self as domain, PartId, Timestamp, UploadId, upload::UploadStatus};
use serde::Serialize;

use super::{COUNT, File, TIME, file, kind};
use crate::shape::{Field, STRING, Shape, object, one_of};

/// An upload, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Upload<'a> {
    pub id: &'a UploadId,
    pub object: &'static str,
    pub bytes: u64,
    pub created_at: Timestamp,
    pub filename: &'a str,
    pub purpose: &'static str,
    pub status: &'static str,
    pub expires_at: Timestamp,
    /// The original left it out until there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Option<File<'a>>>,
}

impl<'a> Upload<'a> {
    /// An upload with the file that it is, where it is one.
    pub fn new(record: &'a domain::Upload, made: Option<&'a domain::File>) -> Self {
        let is_file = record.status == UploadStatus::Completed;
        Self {
            id: &record.id,
            object: "upload",
            bytes: record.bytes,
            created_at: record.created_at,
            filename: &record.filename,
            purpose: record.purpose.as_str(),
            status: record.status.as_str(),
            expires_at: record.expires_at,
            file: is_file.then(|| made.map(File::from)),
        }
    }
}

/// A part of an upload, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct UploadPart<'a> {
    pub id: &'a PartId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub upload_id: &'a UploadId,
}

impl<'a> From<&'a domain::UploadPart> for UploadPart<'a> {
    fn from(record: &'a domain::UploadPart) -> Self {
        Self {
            id: &record.id,
            object: "upload.part",
            created_at: record.created_at,
            upload_id: &record.upload_id,
        }
    }
}

/// The shape of an upload.
pub static SHAPE: Shape = object(
    "Upload",
    "A file that comes in parts.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["upload"]), "What this is."),
        Field::required("bytes", &COUNT, "How many bytes there will be."),
        Field::required("created_at", &TIME, "When it was begun, in unix seconds."),
        Field::required("filename", &STRING, "The name of the file."),
        Field::required("purpose", &STRING, "What the file is for."),
        Field::required(
            "status",
            &one_of(&["pending", "completed", "cancelled", "expired"]),
            "How far it is.",
        ),
        Field::required("expires_at", &TIME, "From then on it takes nothing more."),
        Field::optional(
            "file",
            &file::SHAPE,
            "What it has become, once it is completed; null where that is gone again.",
        )
        .nullable(),
    ],
);

/// The shape of a part.
pub static PART: Shape = object(
    "UploadPart",
    "A part of an upload.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["upload.part"]), "What this is."),
        Field::required("created_at", &TIME, "When it came, in unix seconds."),
        Field::required("upload_id", &STRING, "The upload."),
    ],
);
