//! Where the bytes of files are kept: a local folder, or an S3-compatible bucket.
//!
//! What it is: objects under keys that the caller chooses and never uses twice, written and read as
//! streams with a few MiB of memory each, hashed on the way in and checked on the way out.
//!
//! What it is not: it knows no files and no database. Which objects there should be, and who may see
//! them, is written down elsewhere; `docs/decisions/0014-files.md` says how both stay in step.
//!
//! Start at [`Blobs`]; `writer.rs` and `reader.rs` have one body for both kinds of place.
//!
//! Invariant: an object is there with all its bytes, or not at all.
//! Invariant: whoever read an object to its end has the bytes that were written, or an error.
//! Invariant: once [`Writer::finish`] has returned, the bytes outlive a loss of power.

mod bucket;
mod error;
mod key;
mod local;
mod reader;
mod writer;

use std::{io, path::PathBuf};

use futures::{StreamExt as _, stream::BoxStream};

pub use bucket::{Bucket, Credentials};
pub use error::Error;
pub use key::Key;
pub use reader::{Part, Reader};
pub use writer::{Writer, Written};

use crate::{bucket::Objects, local::Folder};

/// A place for objects.
#[derive(Debug, Clone)]
pub struct Blobs(Place);

#[derive(Debug, Clone)]
enum Place {
    Local(Folder),
    Bucket(Objects),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// When it was written, in unix seconds, by the clock of the place.
    pub written_at: i64,
}

impl Blobs {
    /// In a folder, which is made when missing.
    pub fn local(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Folder::open(folder.into()).map(|folder| Self(Place::Local(folder)))
    }

    /// In a bucket. Nothing is asked of it yet. Error: [`Error::Settings`].
    pub fn bucket(bucket: &Bucket) -> Result<Self, Error> {
        Objects::open(bucket).map(|objects| Self(Place::Bucket(objects)))
    }

    /// Begins to write an object.
    pub async fn writer(&self, key: &Key) -> Result<Writer, Error> {
        match &self.0 {
            Place::Local(folder) => Ok(Writer::local(folder.create(key).await?)),
            Place::Bucket(objects) => Ok(Writer::bucket(objects.create(key))),
        }
    }

    /// Reads an object, or a part of it. Errors: [`Error::Missing`], [`Error::Damaged`] where it has
    /// another size than it should.
    pub async fn read(&self, key: &Key, part: Part) -> Result<Reader, Error> {
        match &self.0 {
            Place::Local(folder) => folder.read(key, part).await,
            Place::Bucket(objects) => objects.read(key, part).await,
        }
    }

    /// Removes an object. One that is not there is as good as removed.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        match &self.0 {
            Place::Local(folder) => folder.delete(key).await,
            Place::Bucket(objects) => objects.delete(key).await,
        }
    }

    /// All objects, in no order. What is no object of ours is left out.
    pub fn list(&self) -> BoxStream<'static, Result<Listed, Error>> {
        match &self.0 {
            Place::Local(folder) => folder.list().boxed(),
            Place::Bucket(objects) => objects.list(),
        }
    }

    /// Removes what was being written and has not been touched since then, in unix seconds; returns
    /// how many. A bucket does that itself, by a rule for unfinished uploads.
    pub async fn sweep_unfinished(&self, before: i64) -> Result<usize, Error> {
        match &self.0 {
            Place::Local(folder) => folder.sweep_unfinished(before).await,
            Place::Bucket(_) => Ok(0),
        }
    }
}
