//! The bytes of files in a backup: those of the data folder.
//!
//! Objects are never changed, so a copy needs no lock. They are gone through twice, before the database
//! and after it: what the copy of the database refers to was there at its moment, so it was seen before
//! that, or it came later and is there still; what is deleted stays for a minute.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// Copies what a folder has and the other one has not, and what is below it. Everything is on the
/// disk when this returns.
pub(super) fn copy(from: &Path, to: &Path, copied: &mut Copied) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    if !to.exists() {
        DirBuilder::new().mode(0o700).recursive(true).create(to)?;
    }
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, copied)?;
        } else if !target.exists() {
            let bytes = match fs::copy(entry.path(), &target) {
                // Deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            File::open(&target)?.sync_all()?;
            copied.objects += 1;
            copied.bytes += bytes;
        }
    }
    File::open(to)?.sync_all()
}
