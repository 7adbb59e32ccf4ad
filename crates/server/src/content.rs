//! The bytes of files, between the store, which knows what there should be, and the place where they
//! are. `docs/decisions/0014-files.md` tells why a crash at any point leaves nothing behind.

use std::{ops::Range, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use loomgate_blobs::{Blobs, Error, Key, Part, Writer};
use loomgate_domain::{BlobId, Clock, IdGen, Timestamp, WorkspaceId, file::Blob, id::new_id};
use loomgate_store::Store;

use crate::error::ApiError;

/// What is being written says so this often, in seconds, lest it is taken for left behind.
const TOUCH_S: i64 = 600;

/// Reads and writes bytes of files.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) blobs: Blobs,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGen>,
}

impl Content {
    /// Begins to take bytes in: the row first, then the object.
    pub(crate) async fn begin(&self, workspace: &WorkspaceId) -> Result<Incoming, ApiError> {
        let blob: BlobId = new_id(&*self.ids);
        let now = self.clock.now();
        self.store.blobs().begin(workspace, &blob, now).await?;
        let key = Key::new(workspace.as_str(), blob.as_str())?;
        Ok(Incoming {
            writer: self.blobs.writer(&key).await?,
            content: self.clone(),
            workspace: workspace.clone(),
            blob,
            touched: now,
        })
    }

    /// The bytes of blobs one after the other, or a range of them. What is wrong with them is found
    /// before their last bytes are given out, written down, and logged.
    pub(crate) fn read(
        &self,
        workspace: &WorkspaceId,
        blobs: Vec<Blob>,
        range: Option<&Range<u64>>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let mut start = 0;
        let mut wanted = Vec::new();
        for blob in blobs {
            let end = start + blob.bytes;
            let inside = match range {
                None => Some(None),
                Some(range) => {
                    let (low, high) = (range.start.max(start), range.end.min(end));
                    let is_whole = (low, high) == (start, end);
                    (low < high).then(|| (!is_whole).then(|| low - start..high - start))
                }
            };
            if let Some(range) = inside {
                wanted.push((blob, range));
            }
            start = end;
        }
        let (content, workspace) = (self.clone(), workspace.clone());
        stream::iter(wanted)
            .then(move |(blob, range)| content.clone().open(workspace.clone(), blob, range))
            .try_flatten()
    }

    async fn open(
        self,
        workspace: WorkspaceId,
        blob: Blob,
        range: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static, Error> {
        let Blob { id, hash, bytes } = blob;
        let key = Key::new(workspace.as_str(), id.as_str())?;
        let part = Part { hash, bytes, range };
        let opened = match self.blobs.read(&key, part).await {
            Ok(reader) => Ok(reader),
            Err(error) => Err(self.noted(&workspace, &id, error).await),
        };
        let pieces = opened?.into_stream();
        Ok(pieces.then(move |piece| {
            let (content, workspace, id) = (self.clone(), workspace.clone(), id.clone());
            async move {
                match piece {
                    Ok(piece) => Ok(piece),
                    Err(error) => Err(content.noted(&workspace, &id, error).await),
                }
            }
        }))
    }

    /// Damage is remembered, so that no new file is made of such bytes.
    async fn noted(&self, workspace: &WorkspaceId, blob: &BlobId, error: Error) -> Error {
        if matches!(error, Error::Damaged { .. } | Error::Missing { .. }) {
            tracing::error!(%workspace, %blob, %error, "the bytes of a file can not be given out");
            let blobs = self.store.blobs();
            if let Err(error) = blobs.set_damaged(workspace, blob).await {
                tracing::error!(%error, "could not write down that an object is damaged");
            }
        }
        error
    }

    /// All bytes of blobs that are small together.
    pub(crate) async fn collect(
        &self,
        workspace: &WorkspaceId,
        blobs: Vec<Blob>,
    ) -> Result<Vec<u8>, Error> {
        let mut pieces = pin!(self.read(workspace, blobs, None));
        let mut all = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

/// Bytes that are coming in. Dropped, it leaves a row that the sweeper finds within the hour.
pub(crate) struct Incoming {
    content: Content,
    workspace: WorkspaceId,
    blob: BlobId,
    writer: Writer,
    touched: Timestamp,
}

impl Incoming {
    /// How many came so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// The next of them.
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), ApiError> {
        let now = self.content.clock.now();
        if now.0 >= self.touched.0 + TOUCH_S {
            self.touched = now;
            let blobs = self.content.store.blobs();
            if !blobs.touch(&self.workspace, &self.blob, now).await? {
                return Err(loomgate_store::Error::Swept.into());
            }
        }
        Ok(self.writer.push(piece).await?)
    }

    /// All came: the object is there, and is to be referred to within the hour.
    pub(crate) async fn finish(self) -> Result<Blob, ApiError> {
        let written = self.writer.finish().await?;
        metrics::counter!("loomgate_file_bytes_written_total").increment(written.bytes);
        Ok(Blob {
            id: self.blob,
            hash: written.hash,
            bytes: written.bytes,
        })
    }

    /// Nothing comes of it.
    pub(crate) async fn abandon(self) {
        self.writer.abort().await;
        self.content.abandon(&self.workspace, &self.blob).await;
    }
}

impl Content {
    /// Nothing comes of what was written. What can not be said now, the sweeper finds out.
    pub(crate) async fn abandon(&self, workspace: &WorkspaceId, blob: &BlobId) {
        let now = self.clock.now();
        if let Err(error) = self.store.blobs().abandon(workspace, blob, now).await {
            tracing::warn!(%error, "what was written in vain is left to the sweeper");
        }
    }
}
