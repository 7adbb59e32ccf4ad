//! A store that is too large for the memory. The database is asked for the nearest where it can tell
//! them (`store/src/chunks/embeddings.rs`); otherwise all codes are read from it, page by page.

use std::collections::{BTreeMap, BTreeSet};

use loomgate_domain::{VectorStoreId, WorkspaceId};
use loomgate_search::vector::{Candidate, Index, merge};
use loomgate_store::{Complete, EmbeddedFile, Error, Near};
use parking_lot::Mutex;

use super::{
    Questions, Scan, Vectors,
    load::{append, next},
};

/// The most stores of which it is known that the database has all their vectors.
const KNOWN: usize = 1024;

/// Of which stores the database had all vectors, and when.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<(WorkspaceId, VectorStoreId), Complete>>);

impl Vectors {
    /// The nearest of some of a store's files, for each question.
    pub(super) async fn scan_large(
        &self,
        (ws, store): (&WorkspaceId, &VectorStoreId),
        mut files: Vec<EmbeddedFile>,
        questions: &Questions,
        (most, accepted): (usize, Option<BTreeSet<i64>>),
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        if let Some(accepted) = accepted {
            files.retain(|file| accepted.contains(&file.entry));
        }
        match self.asked((ws, store), &files, questions, most).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                vector_store_id = %store,
                %error,
                "the database could not tell the nearest vectors: they are read page by page",
            ),
        }
        self.scan_pages(ws, &files, questions, most).await
    }

    /// The same of a database that can tell. `None`: it can not.
    async fn asked(
        &self,
        (ws, store): (&WorkspaceId, &VectorStoreId),
        files: &[EmbeddedFile],
        questions: &Questions,
        most: usize,
    ) -> Result<Option<Vec<Vec<Candidate>>>, Error> {
        if !self.store.uses_pgvector() {
            return Ok(None);
        }
        let key = (ws.clone(), store.clone());
        let known = self.known.0.lock().get(&key).copied();
        let near = Near {
            embedding: self.embedder.identity().to_owned(),
            entries: files.iter().map(|file| file.entry).collect(),
            questions: questions.embeddings.clone(),
            most: u32::try_from(most).unwrap_or(u32::MAX),
        };
        let chunks = self.store.chunks();
        let Some((complete, lists)) = chunks.nearest(ws, store, near, known).await? else {
            return Ok(None);
        };
        if known != Some(complete) {
            let mut known = self.known.0.lock();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(key, complete);
        }
        let lists = lists.into_iter().map(|list| {
            let list = list.into_iter().map(|neighbour| Candidate {
                group: neighbour.entry.cast_unsigned(),
                key: neighbour.chunk.0.cast_unsigned(),
                #[expect(clippy::cast_possible_truncation, reason = "between -1 and 1")]
                score: neighbour.cosine as f32,
            });
            list.collect()
        });
        Ok(Some(lists.collect()))
    }

    /// Reads all codes of files.
    async fn scan_pages(
        &self,
        ws: &WorkspaceId,
        files: &[EmbeddedFile],
        questions: &Questions,
        most: usize,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let mut best = vec![Vec::new(); questions.ready.len()];
        for file in files {
            let mut from = Some(0);
            while let Some(first) = from {
                let page = self.page(ws, file, first).await?;
                let Ok(mut index) = Index::new(questions.dimensions) else {
                    return Ok(best);
                };
                append(&mut index, file, &page);
                let blocks = 0..index.blocks();
                let scan = Scan {
                    index,
                    questions: questions.ready.clone(),
                    most,
                    accepted: None,
                };
                for (best, found) in best.iter_mut().zip(scan.of(blocks)) {
                    *best = merge([std::mem::take(best), found], most);
                }
                from = next(&page);
            }
        }
        Ok(best)
    }
}
