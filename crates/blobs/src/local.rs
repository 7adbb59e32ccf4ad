//! Objects in a folder: `objects/OWNER/XX/ID`, where `XX` are the last two characters of the id. What is
//! being written is in `unfinished/` until it is complete.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, IoSlice, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::task::spawn_blocking;

use crate::{
    Error, Key, Listed,
    error::lost,
    reader::{Part, Reader},
};

/// Where objects are until they are complete.
const UNFINISHED: &str = "unfinished";
/// Where the objects of all owners are.
const OBJECTS: &str = "objects";

/// A folder of objects.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<PathBuf>);

impl Folder {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        make(&path.join(UNFINISHED))?;
        make(&path.join(OBJECTS))?;
        Ok(Self(Arc::new(path)))
    }

    fn object(&self, key: &Key) -> PathBuf {
        let owner = self.0.join(OBJECTS).join(key.owner());
        owner.join(key.fan()).join(key.id())
    }

    pub(crate) async fn create(&self, key: &Key) -> Result<Unfinished, Error> {
        let place = self.object(key);
        let name = format!("{}.{}", key.owner(), key.id());
        let temporary = self.0.join(UNFINISHED).join(name);
        let path = temporary.clone();
        let file = spawn_blocking(move || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(path)
        });
        Ok(Unfinished {
            file: Some(Open(file.await.map_err(lost)??)),
            temporary,
            place,
        })
    }

    pub(crate) async fn read(&self, key: &Key, part: Part) -> Result<Reader, Error> {
        let (path, name) = (self.object(key), key.to_string());
        let opened = spawn_blocking(move || {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::Missing { key: name });
                }
                opened => opened?,
            };
            let bytes = file.metadata()?.len();
            Reader::of_file(file, name, bytes, part)
        });
        opened.await.map_err(lost)?
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Error> {
        let path = self.object(key);
        let removed = spawn_blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        });
        Ok(removed.await.map_err(lost)??)
    }

    /// Goes through one folder of an owner at a time.
    pub(crate) fn list(&self) -> impl Stream<Item = Result<Listed, Error>> + Send + 'static {
        let objects = self.0.join(OBJECTS);
        let open = stream::once(async move {
            let folders = spawn_blocking(move || {
                let mut folders = Vec::new();
                for owner in children(&objects)? {
                    folders.extend(children(&owner)?);
                }
                Ok::<_, io::Error>(folders)
            });
            Ok::<_, Error>(folders.await.map_err(lost)??)
        });
        let folders = futures::TryStreamExt::map_ok(open, |folders| {
            stream::iter(folders.into_iter().map(Ok::<_, Error>))
        });
        let folders = futures::TryStreamExt::try_flatten(folders);
        let listed = futures::TryStreamExt::and_then(folders, |folder| async move {
            let found = spawn_blocking(move || objects_in(&folder));
            let found = found.await.map_err(lost)??;
            Ok(stream::iter(found.into_iter().map(Ok::<_, Error>)))
        });
        futures::TryStreamExt::try_flatten(listed)
    }

    pub(crate) async fn sweep_unfinished(&self, before: i64) -> Result<usize, Error> {
        let unfinished = self.0.join(UNFINISHED);
        let swept = spawn_blocking(move || {
            let mut swept = 0;
            for path in children(&unfinished)? {
                // Completed meanwhile.
                let Ok(metadata) = fs::metadata(&path) else {
                    continue;
                };
                if written_at(&metadata)? < before {
                    fs::remove_file(&path)?;
                    swept += 1;
                }
            }
            Ok::<_, io::Error>(swept)
        });
        Ok(swept.await.map_err(lost)??)
    }
}

/// What a folder holds; nothing where it has just been removed.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn objects_in(folder: &Path) -> io::Result<Vec<Listed>> {
    let owner = folder.parent().and_then(Path::file_name);
    let owner = owner.and_then(|owner| owner.to_str()).unwrap_or_default();
    let mut found = Vec::new();
    for path in children(folder)? {
        let id = path.file_name().and_then(|id| id.to_str());
        let Some(key) = id.and_then(|id| Key::new(owner, id).ok()) else {
            continue;
        };
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let written_at = written_at(&metadata)?;
        found.push(Listed { key, written_at });
    }
    Ok(found)
}

/// In unix seconds.
fn written_at(metadata: &fs::Metadata) -> io::Result<i64> {
    let written = metadata.modified()?.duration_since(UNIX_EPOCH);
    let seconds = written.map_or(0, |age| age.as_secs());
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Makes a folder and those above it, for this user alone.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What a folder holds outlives a loss of power from now on.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An open file that is written to from its beginning.
#[derive(Debug)]
pub(crate) struct Open(File);

impl Open {
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.0.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An object in the making.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: Option<Open>,
    temporary: PathBuf,
    place: PathBuf,
}

impl Unfinished {
    /// The file, to be given back.
    pub(crate) fn file(&mut self) -> io::Result<Open> {
        let file = self.file.take();
        file.ok_or_else(|| io::Error::other("the file was given up"))
    }

    pub(crate) fn give_back(&mut self, file: Open) {
        self.file = Some(file);
    }

    /// Bytes first, then the name: whoever sees the name sees the bytes.
    pub(crate) async fn finish(mut self) -> Result<(), Error> {
        let Open(file) = self.file()?;
        let (temporary, place) = (self.temporary.clone(), self.place.clone());
        let finished = spawn_blocking(move || {
            file.sync_all()?;
            let folder = place.parent().unwrap_or(Path::new("."));
            let is_new = !folder.exists();
            make(folder)?;
            fs::rename(temporary, &place)?;
            sync(folder)?;
            if is_new {
                // The folder has a name of its own, and so may its owner's.
                for above in folder.ancestors().skip(1).take(2) {
                    sync(above)?;
                }
            }
            Ok::<_, io::Error>(())
        });
        Ok(finished.await.map_err(lost)??)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What was completed is not there any more; what can not be removed now is swept later.
        let _ = fs::remove_file(&self.temporary);
    }
}
