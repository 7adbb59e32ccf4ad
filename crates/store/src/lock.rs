//! One process a data folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    thread,
    time::Duration,
};

use crate::Error;

/// The lock file's name.
pub(crate) const LOCK_FILE: &str = "loomgate.lock";

/// How often a folder is tried that a dead process has, and the pause between two of them. What it had
/// just been starting, to read a document, has a copy of every open file until it is the other program.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

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
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    file.rewind()?;
                    writeln!(file, "{}", std::process::id())?;
                    return Ok(Self { file });
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&mut file);
                    tries += 1;
                    if tries > TRIES || pid.is_none_or(is_alive) {
                        return Err(Error::Locked { lock: path, pid });
                    }
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
}

/// The process that says in the file that it has the folder.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether a process may be running: where nobody can tell, it is.
fn is_alive(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
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

    /// As it is when a server is killed while it starts a reader of documents.
    #[test]
    fn what_a_dead_process_was_starting_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let pid = dead.id();
        dead.wait().unwrap();
        std::fs::write(&path, format!("{pid}\n")).unwrap();
        let inherited = File::open(&path).unwrap();
        inherited.lock().unwrap();
        let started = thread::spawn(move || {
            thread::sleep(3 * PAUSE);
            drop(inherited);
        });
        FolderLock::acquire(folder.path()).unwrap();
        started.join().unwrap();
    }

    #[test]
    fn a_living_process_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let _lock = FolderLock::acquire(folder.path()).unwrap();
        let refused = FolderLock::acquire(folder.path()).unwrap_err();
        let own = std::process::id();
        assert!(matches!(refused, Error::Locked { pid: Some(pid), .. } if pid == own));
    }
}
