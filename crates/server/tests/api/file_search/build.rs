//! Documents, made byte by byte, and without a library that packs: only the reader of documents has one.

pub(super) mod archive;
#[path = "../../../../extract/tests/extract/build/office.rs"]
pub(super) mod office;
pub(super) mod pdf;
