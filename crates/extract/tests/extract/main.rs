//! Texts of documents that are built here, hostile ones, mutated ones, and the child process.

#![expect(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "documents are built for tests here, small ones"
)]

mod build;
mod child;
mod fuzz;
mod growth;
mod hostile;
mod office;
mod pdf;
mod text;

use loomgate_extract::{Code, Format, Limits, Refusal, Text, extract};

fn read(format: Format, bytes: &[u8]) -> Result<Text, Refusal> {
    extract(format, bytes, &Limits::default())
}

/// The text of a document that must have one.
fn text(format: Format, bytes: impl AsRef<[u8]>) -> String {
    read(format, bytes.as_ref()).unwrap().text
}

/// The refusal of a document that must have none; its message must say `says`.
#[track_caller]
fn refused(format: Format, bytes: impl AsRef<[u8]>, code: Code, says: &str) {
    refused_within(&Limits::default(), format, bytes, code, says);
}

#[track_caller]
fn refused_within(
    limits: &Limits,
    format: Format,
    bytes: impl AsRef<[u8]>,
    code: Code,
    says: &str,
) {
    let refusal = extract(format, bytes.as_ref(), limits).unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.message.contains(says), "{refusal}");
}
