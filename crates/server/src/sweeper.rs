//! Removes what has expired, and the bytes that nobody refers to (`docs/decisions/0014-files.md`).

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use loomgate_blobs::{Error, Key};
use loomgate_domain::{BlobId, Id, WorkspaceId};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How often it looks.
const EVERY: Duration = Duration::from_mins(1);
/// How many rows it takes in one transaction.
const BATCH: u32 = 100;
/// How many objects it removes at the same time.
const AT_ONCE: usize = 8;
/// How often it looks for objects that have no row, in seconds: that takes a list of all of them.
const LIST_S: u32 = 24 * 3600;
/// How old such an object has to be, in seconds: a clock may be wrong.
const STRAY_S: i64 = 24 * 3600;
/// How often it looks for what was not finished, and how long that has to be untouched, in seconds.
const UNFINISHED_S: u32 = 3600;

/// What a sweep failed of.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] loomgate_store::Error),
    /// The place of the bytes.
    #[error(transparent)]
    Blobs(#[from] Error),
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Files and uploads whose time was over.
    pub expired: usize,
    /// Objects with their rows.
    pub blobs: usize,
    /// Objects that had no row.
    pub strays: usize,
    /// What was not finished.
    pub unfinished: usize,
}

/// Sweeps until the process stops.
pub(crate) async fn run(app: &App, stop: CancellationToken) {
    let work = async {
        loop {
            match sweep(app).await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(swept) => tracing::debug!(?swept, "swept files"),
                Err(error) => tracing::error!(%error, "sweeping files failed"),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Sweeps once, for all processes: what one of them works on, no other gets.
pub async fn sweep(app: &App) -> Result<Swept, SweepError> {
    let mut swept = Swept::default();
    let store = &app.store;
    loop {
        let now = app.clock.now();
        let files = store.files().sweep(now, BATCH).await?;
        let uploads = store.uploads().sweep(now, BATCH).await?;
        swept.expired += files + uploads;
        if files + uploads == 0 {
            break;
        }
    }
    loop {
        let due = store.blobs().take_due(app.clock.now(), BATCH).await?;
        let count = due.len();
        let gone = remove(app, due).await;
        let removed = gone.len();
        swept.blobs += removed;
        if removed > 0 {
            store.blobs().removed(gone).await?;
        }
        if count < BATCH as usize || removed == 0 {
            break;
        }
    }
    let leases = store.leases();
    let now = app.clock.now();
    if leases.take("unfinished objects", now, UNFINISHED_S).await? {
        let before = now.0 - i64::from(UNFINISHED_S);
        swept.unfinished = app.content.blobs.sweep_unfinished(before).await?;
    }
    if leases.take("objects without row", now, LIST_S).await? {
        swept.strays = remove_strays(app).await?;
    }
    let objects = u64::try_from(swept.blobs + swept.strays).unwrap_or(u64::MAX);
    metrics::counter!("loomgate_swept_objects_total").increment(objects);
    Ok(swept)
}

/// Removes objects, and says which ones are gone. Those that are not get another try.
async fn remove(app: &App, objects: Vec<(WorkspaceId, BlobId)>) -> Vec<(WorkspaceId, BlobId)> {
    let gone = stream::iter(objects).map(async |(workspace, blob)| {
        let removed = match Key::new(workspace.as_str(), blob.as_str()) {
            Ok(key) => app.content.blobs.delete(&key).await,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => Some((workspace, blob)),
            Err(error) => {
                tracing::warn!(%workspace, %blob, %error, "an object could not be removed yet");
                None
            }
        }
    });
    let gone = gone.buffer_unordered(AT_ONCE);
    gone.filter_map(futures::future::ready).collect().await
}

/// Removes objects that no row knows. There are none but after a database was restored that is older
/// than they are, or where a bucket took longer than we waited.
async fn remove_strays(app: &App) -> Result<usize, SweepError> {
    let before = app.clock.now().0 - STRAY_S;
    let old = app.content.blobs.list().try_filter_map(|listed| {
        let is_old = listed.written_at < before;
        let pair = (
            Id::trusted(listed.key.owner()),
            Id::trusted(listed.key.id()),
        );
        futures::future::ready(Ok(is_old.then_some(pair)))
    });
    let mut batches = pin!(old.try_chunks(BATCH as usize));
    let mut strays = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.1)?;
        let unknown = app.store.blobs().without_row(batch).await?;
        strays += remove(app, unknown).await.len();
    }
    Ok(strays)
}
