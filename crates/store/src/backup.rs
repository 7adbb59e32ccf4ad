//! A copy of SQLite's databases, made while a server works on them.
//!
//! `VACUUM INTO` reads one consistent state and writes it to a new file; whoever writes meanwhile
//! is not held up, and is not in the copy. (SQLite's backup interface would begin again with each
//! commit of another process.)

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    Error,
    schema::{self, Schema},
    sqlite, store,
};

/// How often one looks how far the copy is.
const LOOK: Duration = Duration::from_millis(250);

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `store` or `logs`
    pub database: &'static str,
    /// What is written of it.
    pub bytes: u64,
    /// About what will be.
    pub of: u64,
}

/// A database that was copied, read back and found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The copy.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Copies the database of the records and the one of the logs beside it into a folder that has
/// neither, under their names. The copies are on the disk when this returns. Blocks the calling
/// thread.
///
/// Records come first, so that the logs may tell of requests whose records are not in the copy; never
/// the other way round.
///
/// Errors: [`Error::Missing`], [`Error::Corrupt`] (also for a copy that is not whole),
/// [`Error::Full`], [`Error::ReadOnly`], [`Error::Driver`]. What was written is left to the caller.
pub fn backup(
    database: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Saved>, Error> {
    let logs = database.with_file_name(store::LOGS_FILE);
    let sources = [(&schema::RECORDS, database), (&schema::LOGS, &*logs)];
    let mut saved = Vec::new();
    for (schema, from) in sources {
        let name = from.file_name().ok_or(Error::Missing(from.to_owned()))?;
        let to = folder.join(name);
        copy(schema, from, &to, progress)?;
        verify(schema, &to)?;
        saved.push(Saved {
            bytes: to.metadata()?.len(),
            file: to,
        });
    }
    File::open(folder)?.sync_all()?;
    Ok(saved)
}

fn copy(
    schema: &'static Schema,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    if !from.exists() {
        return Err(Error::Missing(from.to_owned()));
    }
    let connection = sqlite::source(from, schema)?;
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let used = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    let of = u64::try_from(used * number("PRAGMA page_size")?).unwrap_or_default();
    // Readable for its owner alone from the beginning; SQLite fills a file that is empty.
    sqlite::make_private(to)?;
    let target = to.to_string_lossy().into_owned();
    let (done, is_done) = mpsc::channel::<()>();
    let work = thread::Builder::new().name("backup".to_owned());
    let work = work.spawn(move || {
        let copied = connection.execute("VACUUM INTO $1", [target]);
        drop(done);
        copied
    })?;
    loop {
        let ended = is_done.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Disconnected);
        let bytes = to.metadata().map_or(0, |file| file.len());
        let database = schema.name;
        let of = if ended { bytes } else { of.max(bytes) };
        progress(Progress {
            database,
            bytes,
            of,
        });
        if ended {
            break;
        }
    }
    let copied = work.join();
    copied.map_err(|_| Error::Unavailable("the thread that copies ended in a panic"))??;
    // SQLite leaves it to the system when the copy reaches the disk.
    Ok(File::open(to)?.sync_all()?)
}

/// Reads all of a copy.
fn verify(schema: &'static Schema, file: &Path) -> Result<(), Error> {
    let connection = sqlite::source(file, schema)?;
    let problem = integrity(&connection)?;
    match problem {
        None => Ok(()),
        Some(problem) => Err(Error::corrupt(format!("{}: {problem}", file.display()))),
    }
}

/// What is wrong with a database.
fn integrity(connection: &Connection) -> Result<Option<String>, Error> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Some(found));
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let is_dangling = statement.exists([])?;
    Ok(is_dangling.then(|| "a row refers to one that is not there".to_owned()))
}
