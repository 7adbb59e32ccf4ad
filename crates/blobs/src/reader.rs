//! Reading an object: its bytes are hashed on the way, and the last of them are held back until the
//! hash is known to be right.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    ops::Range,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream, stream::BoxStream};
use tokio::task::spawn_blocking;

use crate::{Error, error::lost};

/// What is read from the disk at a time, in bytes.
const LOCAL_BATCH: u64 = 256 * 1024;

/// What is wanted of an object, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// BLAKE3 of the whole, as 64 hex digits.
    pub hash: String,
    /// Size of the whole.
    pub bytes: u64,
    /// Which bytes; `None`: all. Only of all can it be said whether they are right.
    pub range: Option<Range<u64>>,
}

impl Part {
    fn range(&self) -> Range<u64> {
        self.range.clone().unwrap_or(0..self.bytes)
    }
}

/// The bytes of an object, as they come.
pub struct Reader(BoxStream<'static, Result<Bytes, Error>>);

impl Reader {
    pub(crate) fn of_file(
        mut file: File,
        key: String,
        found: u64,
        part: Part,
    ) -> Result<Self, Error> {
        expect_size(&key, found, &part)?;
        let range = part.range();
        file.seek(SeekFrom::Start(range.start))?;
        let pieces = stream::try_unfold((file, range), |(file, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let read = spawn_blocking(move || {
                let most = LOCAL_BATCH.min(range.end - range.start);
                let mut piece = Vec::with_capacity(usize::try_from(most).unwrap_or(0));
                let read = (&file).take(most).read_to_end(&mut piece)? as u64;
                Ok::<_, Error>((piece, file, range.start + read..range.end, read))
            });
            let (piece, file, rest, read) = read.await.map_err(lost)??;
            Ok((read > 0).then(|| (Bytes::from(piece), (file, rest))))
        });
        Ok(Self(checked(pieces.boxed(), key, part)))
    }

    pub(crate) fn of_stream(
        pieces: BoxStream<'static, Result<Bytes, Error>>,
        key: String,
        found: u64,
        part: Part,
    ) -> Result<Self, Error> {
        expect_size(&key, found, &part)?;
        Ok(Self(checked(pieces, key, part)))
    }

    /// The bytes as a stream. Errors: [`Error::Damaged`], [`Error::Io`], [`Error::Bucket`]; then the
    /// last bytes were not given out.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, Error>> {
        self.0
    }

    /// All of them at once, for objects that are known to be small.
    pub async fn collect(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.0.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

fn expect_size(key: &str, found: u64, part: &Part) -> Result<(), Error> {
    if found == part.bytes {
        return Ok(());
    }
    Err(damaged(key, "it has another size than was written"))
}

fn damaged(key: &str, what: &'static str) -> Error {
    Error::Damaged {
        key: key.to_owned(),
        what,
    }
}

/// What is left to give out.
struct Checking {
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    /// Read, hashed, and not given out yet.
    held: Option<Bytes>,
    hasher: Option<blake3::Hasher>,
    left: u64,
    key: String,
    hash: String,
}

/// The same pieces; before the last one goes out, all are known to be what was written.
fn checked(
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    key: String,
    part: Part,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let range = part.range();
    let checking = Checking {
        pieces,
        held: None,
        hasher: part.range.is_none().then(blake3::Hasher::new),
        left: range.end.saturating_sub(range.start),
        key,
        hash: part.hash,
    };
    stream::try_unfold(checking, Checking::next).boxed()
}

impl Checking {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            let piece = match self.pieces.next().await {
                Some(piece) => piece?,
                None => return self.end(),
            };
            let Some(left) = self.left.checked_sub(piece.len() as u64) else {
                return Err(damaged(&self.key, "it has more bytes than were written"));
            };
            self.left = left;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&piece);
            }
            if let Some(held) = self.held.replace(piece) {
                return Ok(Some((held, self)));
            }
        }
    }

    fn end(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        if self.left > 0 {
            return Err(damaged(&self.key, "it has fewer bytes than were written"));
        }
        if let Some(hasher) = self.hasher.take()
            && *hasher.finalize().to_hex() != *self.hash
        {
            return Err(damaged(
                &self.key,
                "its bytes are not those that were written",
            ));
        }
        let held = self.held.take();
        self.pieces = stream::empty().boxed();
        Ok(held.map(|held| (held, self)))
    }
}
