//! From the store to an index in memory, and how that is kept current.
//!
//! Each search asks for the store's version, which moves with whatever is searched, in whatever process
//! that was changed. Where it is another one, the files in the index are compared with those that are
//! searched, and only what differs is read.

use std::collections::BTreeMap;

use loomgate_domain::{VectorStoreId, WorkspaceId};
use loomgate_search::vector::{BLOCK_ROWS, Code, Index, row_bytes};
use loomgate_store::{EmbeddedFile, Error, StoredCode};

use super::{Vectors, View, cache::Held};

/// Codes that are read at a time.
const PAGE: u32 = 512;

impl Vectors {
    /// A store that has this version now. `None`: there is nothing to scan.
    pub(super) async fn view(
        &self,
        ws: &WorkspaceId,
        (store, version): (&VectorStoreId, Option<i64>),
        dimensions: usize,
    ) -> Result<Option<View>, Error> {
        let key = (ws.clone(), store.clone());
        let chunks = self.store.chunks();
        let Some(version) = version else {
            self.cache.forget(&key);
            return Ok(None);
        };
        let shared = self.cache.open(&key);
        // Of those that search the same store, one brings it up to date.
        let mut held = shared.lock().await;
        if held.version.is_none_or(|held| held < version) {
            let identity = self.embedder.identity();
            let Some(embedded) = chunks.embedded(ws, store, identity).await? else {
                self.cache.forget(&key);
                return Ok(None);
            };
            let expected = expected_bytes(&embedded.files, dimensions);
            if !self.cache.takes(expected) {
                self.cache.forget(&key);
                return Ok(Some(View::Files(embedded.files)));
            }
            self.cache.weigh(&key, expected);
            held.version = None;
            self.bring_up_to_date(ws, &mut held, &embedded.files, dimensions)
                .await?;
            held.version = Some(embedded.version);
            self.cache.weigh(&key, held.bytes());
        }
        // One of another width: its model answers otherwise than it did.
        let index = held.index.as_ref();
        let index = index.filter(|index| index.dimensions() == dimensions);
        let version = held.version.unwrap_or(version);
        Ok(index.cloned().map(|index| View::Index(index, version)))
    }

    /// Reads what differs. May be dropped at any time: what stands in the index half is remembered.
    async fn bring_up_to_date(
        &self,
        ws: &WorkspaceId,
        held: &mut Held,
        files: &[EmbeddedFile],
        dimensions: usize,
    ) -> Result<(), Error> {
        let now: BTreeMap<i64, i64> = files
            .iter()
            .map(|file| (file.entry, file.generation))
            .collect();
        let stale: Vec<i64> = held
            .files
            .iter()
            .filter(|(entry, generation)| now.get(entry) != Some(generation))
            .map(|(entry, _)| *entry)
            .chain(held.half)
            .collect();
        let is_other_width = |index: &Index| index.dimensions() != dimensions;
        if 2 * stale.len() > held.files.len() || held.index.as_ref().is_some_and(is_other_width) {
            *held = Held::default();
        }
        let mut index = match held.index.take() {
            Some(index) => index,
            None => match Index::new(dimensions) {
                Ok(index) => index,
                Err(error) => {
                    tracing::error!(%error, "embeddings of this width are not scanned");
                    return Ok(());
                }
            },
        };
        for entry in stale {
            index.remove(entry.cast_unsigned());
            held.files.remove(&entry);
        }
        held.half = None;
        held.index = Some(index);
        for file in files {
            if !held.files.contains_key(&file.entry) {
                held.half = Some(file.entry);
                self.load(ws, held, file).await?;
                held.files.insert(file.entry, file.generation);
                held.half = None;
            }
        }
        Ok(())
    }

    /// Reads the codes of a file.
    async fn load(
        &self,
        ws: &WorkspaceId,
        held: &mut Held,
        file: &EmbeddedFile,
    ) -> Result<(), Error> {
        let mut from = 0;
        loop {
            let page = self.page(ws, file, from).await?;
            if let Some(index) = &mut held.index {
                append(index, file, &page);
            }
            match next(&page) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    pub(super) async fn page(
        &self,
        ws: &WorkspaceId,
        file: &EmbeddedFile,
        from: u32,
    ) -> Result<Vec<StoredCode>, Error> {
        let place = (file.entry, file.generation);
        self.store.chunks().codes(ws, place, from, PAGE).await
    }
}

/// Where the next page begins; `None`: this was the last.
pub(super) fn next(page: &[StoredCode]) -> Option<u32> {
    let last = page.last().filter(|_| page.len() == PAGE as usize)?;
    last.position.checked_add(1)
}

/// Appends a page of a file. What is of another width, or no code, is left out.
pub(super) fn append(index: &mut Index, file: &EmbeddedFile, page: &[StoredCode]) {
    let codes: Vec<(u64, Code)> = page
        .iter()
        .filter_map(|stored| {
            let code = Code::from_bytes(&stored.code)?;
            let fits = code.dimensions() == index.dimensions();
            fits.then(|| (stored.chunk.0.cast_unsigned(), code))
        })
        .collect();
    if codes.len() < page.len() {
        let left_out = page.len() - codes.len();
        tracing::warn!(
            left_out,
            "vectors of another width than the embedding model makes now: put their file into its \
             store once more",
        );
    }
    let rows = codes.iter().map(|(key, code)| (*key, code));
    if let Err(error) = index.append(file.entry.cast_unsigned(), rows) {
        tracing::error!(%error, "vectors could not be taken into memory");
    }
}

/// About what an index of these files takes.
fn expected_bytes(files: &[EmbeddedFile], dimensions: usize) -> usize {
    let rows: u64 = files.iter().map(|file| file.chunks).sum();
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let rows = rows.saturating_add(BLOCK_ROWS.min(rows));
    rows.saturating_mul(row_bytes(dimensions))
}
