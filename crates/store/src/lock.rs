//! One process a data folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use crate::Error;

/// The lock file's name.
pub(crate) const LOCK_FILE: &str = "loomgate.lock";

/// Holds the folder until it is dropped; the operating system lets go of it when a process dies.
/// A process that is just being started still has a copy of every open file, so that closing this
/// one would not be enough.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the folder, or says who has it.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                Err(Error::Locked {
                    lock: path,
                    pid: read.ok().and_then(|_| text.trim().parse().ok()),
                })
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the data folder stays locked until this process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_although_somebody_inherited_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        FolderLock::acquire(folder.path()).unwrap();
        drop(inherited);
    }
}
