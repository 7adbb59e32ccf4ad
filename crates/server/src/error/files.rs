//! Files and uploads (contract sections 2.2, 2.4 and 11).

use std::collections::BTreeSet;

use loomgate_blobs::Error;
use loomgate_domain::{
    FileId, file::Purpose, limits::CODE_INTERPRETER_FILES, upload::UploadStatus,
};
use loomgate_wire::{Problem, request::file};

use super::ApiError;

impl ApiError {
    /// 404: whatever the id looks like.
    pub fn no_such_file(id: &FileId) -> Self {
        Self::missing(format!("No such File object: {id}")).param("id")
    }

    /// 400: what it holds is not given out.
    pub fn not_downloadable(purpose: Purpose) -> Self {
        let purpose = purpose.as_str();
        Self::invalid(format!(
            "Not allowed to download files of purpose: {purpose}"
        ))
    }

    /// 400: a part that should be a file and has no name of one.
    pub fn nameless_file() -> Self {
        Self::bad_form("its part 'file' has no file name").param("file")
    }

    /// 400: a form that can not be read. `what` is said of it.
    pub fn bad_form(what: &str) -> Self {
        Self::invalid(format!(
            "We could not parse the form of your request: {what}. Send it as multipart/form-data."
        ))
    }

    /// 400: a form without one of its fields.
    pub fn missing_field(name: &str) -> Self {
        file::required(name).into()
    }

    /// 400: a field that the form does not have.
    pub fn unexpected_field(name: &str) -> Self {
        file::unexpected(name).into()
    }

    /// 400: a field that came twice.
    pub fn field_twice(name: &str) -> Self {
        file::twice(name).into()
    }

    /// 400: a thread whose code interpreter has as many files as it takes.
    pub fn too_many_files() -> Self {
        Self::from(Problem::new(
            format!(
                "Too many files: the code interpreter of a thread takes {CODE_INTERPRETER_FILES}."
            ),
            "attachments",
            Some("array_above_max_length"),
        ))
    }

    /// 400: what is no image is not shown to a model.
    pub fn not_an_image(extension: &str) -> Self {
        let got = if extension.is_empty() {
            "none"
        } else {
            extension
        };
        Self::invalid(format!(
            "Invalid message content: Expected file type to be a supported format: .jpeg, .jpg, \
             .png, .gif, .webp but got {got}."
        ))
    }

    /// 400: an image that no model would be shown.
    pub fn image_too_large(id: &FileId, most: u64) -> Self {
        Self::invalid(format!(
            "Invalid message content: the image '{id}' is too large: the limit is {most} bytes."
        ))
    }

    /// 400: files that can not be searched, by their extensions.
    pub fn not_searchable(extensions: &BTreeSet<String>) -> Self {
        let named = extensions.iter().map(|extension| match extension.as_str() {
            "" => "none",
            extension => extension,
        });
        let named: Vec<&str> = named.collect();
        let named = named.join(", ");
        Self::invalid(format!(
            "Files with extensions [{named}] are not supported for retrieval. docs/vector-stores.md \
             names those that are."
        ))
        .param("file_ids")
        .code("unsupported_file")
    }

    /// 400: an upload that takes nothing more.
    pub fn upload_closed(status: UploadStatus) -> Self {
        let status = status.as_str();
        Self::invalid(format!(
            "The upload is not pending: its status is '{status}'."
        ))
    }

    /// 400: parts that the upload does not have.
    pub fn no_such_parts(ids: &[String]) -> Self {
        let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
        let ids = ids.join(", ");
        Self::invalid(format!("Part IDs [{ids}] were not found in this upload."))
            .param("part_ids")
            .code("invalid_value")
    }

    /// 400: a part that would be in the file twice.
    pub fn duplicate_part(id: &str) -> Self {
        Self::invalid(format!(
            "Invalid 'part_ids': the part '{id}' is named twice."
        ))
        .param("part_ids")
        .code("invalid_value")
    }

    /// 400: no more parts of an upload are kept.
    pub fn parts_too_large(most: u64) -> Self {
        Self::invalid(format!(
            "The parts of this upload would have more than {most} bytes together. Complete it with the \
             parts that are there, or cancel it and begin again."
        ))
        .param("data")
        .code("invalid_value")
    }

    /// 400: the parts are not what was announced.
    pub fn upload_size(expected: u64, got: u64) -> Self {
        Self::invalid(format!(
            "The parts have {got} bytes together, but the upload was created for {expected} bytes."
        ))
        .param("part_ids")
        .code("invalid_value")
    }

    /// 400: the bytes are not those that the client means.
    pub fn wrong_md5(expected: &str, got: &str) -> Self {
        Self::invalid(format!(
            "The MD5 of the parts is '{got}', but '{expected}' was expected."
        ))
        .param("md5")
        .code("invalid_value")
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Full | Error::ReadOnly => Self::no_room(&error),
            Error::Bucket(_) => Self::unavailable(&error),
            Error::Missing { .. }
            | Error::Damaged { .. }
            | Error::NotAKey(_)
            | Error::Settings(_)
            | Error::Io(_) => Self::internal(&error),
        }
    }
}
