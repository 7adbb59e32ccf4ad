//! Documents, made here byte by byte.

pub(crate) mod archive;
pub(crate) mod office;
pub(crate) mod pdf;
