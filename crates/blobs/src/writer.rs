//! Writing an object: pieces are gathered, then hashed and written away from the async threads.

use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::{Error, bucket, error::lost, local};

/// What is written to the disk at a time, in bytes.
const LOCAL_BATCH: usize = 1024 * 1024;

/// An object in the making. Dropped before its end, it leaves at most something unfinished behind,
/// which is no object.
#[derive(Debug)]
pub struct Writer {
    kind: Kind,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    /// None: a call of this writer failed, or was given up.
    hasher: Option<blake3::Hasher>,
    bytes: u64,
}

#[derive(Debug)]
enum Kind {
    Local(local::Unfinished),
    Bucket(bucket::Unfinished),
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// BLAKE3, as 64 hex digits.
    pub hash: String,
    /// Its size.
    pub bytes: u64,
}

impl Writer {
    pub(crate) fn local(unfinished: local::Unfinished) -> Self {
        Self::of(Kind::Local(unfinished))
    }

    pub(crate) fn bucket(unfinished: bucket::Unfinished) -> Self {
        Self::of(Kind::Bucket(unfinished))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            waiting: Vec::new(),
            waiting_bytes: 0,
            hasher: Some(blake3::Hasher::new()),
            bytes: 0,
        }
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes. Errors: [`Error::Full`], [`Error::ReadOnly`], [`Error::Io`],
    /// [`Error::Bucket`]; then it is of no more use.
    pub async fn push(&mut self, mut piece: Bytes) -> Result<(), Error> {
        self.bytes += piece.len() as u64;
        let batch = match &self.kind {
            Kind::Local(_) => LOCAL_BATCH,
            Kind::Bucket(_) => bucket::PART_BYTES,
        };
        // Buckets take parts of one size.
        while self.waiting_bytes + piece.len() >= batch {
            let fitting = piece.split_to(batch - self.waiting_bytes);
            self.waiting.push(fitting);
            self.flush(false).await?;
        }
        if !piece.is_empty() {
            self.waiting_bytes += piece.len();
            self.waiting.push(piece);
        }
        Ok(())
    }

    /// The object is complete: from now on it is there. Errors as above.
    pub async fn finish(mut self) -> Result<Written, Error> {
        self.flush(true).await?;
        match self.kind {
            Kind::Local(unfinished) => unfinished.finish().await?,
            Kind::Bucket(unfinished) => unfinished.finish().await?,
        }
        let hasher = self.hasher.unwrap_or_default();
        Ok(Written {
            hash: hasher.finalize().to_hex().to_string(),
            bytes: self.bytes,
        })
    }

    /// Leaves nothing behind, where that is possible.
    pub async fn abort(self) {
        match self.kind {
            Kind::Local(unfinished) => drop(unfinished),
            Kind::Bucket(unfinished) => unfinished.abort().await,
        }
    }

    async fn flush(&mut self, is_last: bool) -> Result<(), Error> {
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let Some(mut hasher) = self.hasher.take() else {
            return Err(std::io::Error::other("the writer failed before").into());
        };
        match &mut self.kind {
            Kind::Local(unfinished) => {
                let mut file = unfinished.file()?;
                let done = spawn_blocking(move || {
                    file.write(&pieces)?;
                    hash(&mut hasher, &pieces);
                    Ok::<_, Error>((file, hasher))
                });
                let (file, hasher) = done.await.map_err(lost)??;
                unfinished.give_back(file);
                self.hasher = Some(hasher);
            }
            Kind::Bucket(unfinished) => {
                let kept = pieces.clone();
                let done = spawn_blocking(move || {
                    hash(&mut hasher, &kept);
                    hasher
                });
                unfinished.write(pieces, is_last).await?;
                self.hasher = Some(done.await.map_err(lost)?);
            }
        }
        Ok(())
    }
}

fn hash(hasher: &mut blake3::Hasher, pieces: &[Bytes]) {
    for piece in pieces {
        hasher.update(piece);
    }
}
