//! Search by meaning: the chunks whose vectors are nearest to a question's.
//!
//! The codes of a store's vectors are scanned in memory ([`cache`] keeps them); the nearer half is ranked
//! again by the full vectors, which are read from the store: those of chunks that are searched. What is
//! far behind is worth no read, its codes tell its cosine to some thousandths. Whatever the memory holds,
//! another chunk is not found: whoever looks results up leaves out those that are not searched.

mod cache;
mod large;
mod load;

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc, time::Duration};

use futures::future::try_join_all;
use loomgate_domain::{
    VectorStoreId, WorkspaceId,
    vector_store::{Attributes, ChunkId},
};
use loomgate_search::vector::{Candidate, Index, Query, from_stored, merge, rescore};
use loomgate_store::{EmbeddedFile, Error, Store};
use tokio::sync::Semaphore;

use crate::{Embedder, Purpose};
use cache::Cache;
use large::Known;

/// How long a search waits for the vectors of its questions.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much of a question counts, in bytes: of a longer one only the beginning is embedded.
const QUESTION_BYTES: usize = 8_000;
/// One of so many candidates, the nearest, is ranked by its full vector. A search asks for four times as
/// many as it wants, so that those are twice as many: enough, measured (docs/search-quality.md).
const RESCORED: usize = 2;
/// So many are ranked by their full vectors in any case.
const FEW_CANDIDATES: usize = 20;
/// Up to so many blocks are scanned where the search is: a thread of its own would cost more.
const FEW_BLOCKS: usize = 4;

/// Which files a search is about, by their attributes.
pub(crate) type Accept = Arc<dyn Fn(&Attributes) -> bool + Send + Sync>;

/// What vectors are searched for.
pub(crate) struct Wanted<'a> {
    /// Where.
    pub(crate) stores: &'a [VectorStoreId],
    /// For what; a ranking each.
    pub(crate) queries: &'a [String],
    /// Which files count; without it, all.
    pub(crate) accept: Option<Accept>,
    /// The most chunks of a ranking.
    pub(crate) most: usize,
}

/// Finds chunks by their vectors.
pub(crate) struct Vectors {
    store: Store,
    embedder: Arc<dyn Embedder>,
    cache: Cache,
    known: Known,
    /// Large scans at the same time: one for each processor.
    scans: Arc<Semaphore>,
}

/// A store, ready to be scanned.
enum View {
    /// In memory, as of this version of the store.
    Index(Index, i64),
    /// Too large for it: these files are searched where they lie.
    Files(Vec<EmbeddedFile>),
}

/// The questions of a search, as far as they could be embedded.
struct Questions {
    embeddings: Vec<Option<Vec<f32>>>,
    ready: Vec<Option<Query>>,
    dimensions: usize,
}

impl Vectors {
    /// Keeps up to `bytes` of codes in memory.
    pub(crate) fn new(store: Store, embedder: Arc<dyn Embedder>, bytes: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            embedder,
            cache: Cache::new(bytes),
            known: Known::default(),
            scans: Arc::new(Semaphore::new(processors)),
        }
    }

    /// The nearest chunks of each question with their cosines, best first. Where questions can not be
    /// embedded there are none, and the log says why: the words still find something.
    pub(crate) async fn nearest(
        &self,
        ws: &WorkspaceId,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Vec<(ChunkId, f32)>>, Error> {
        let versions = self.versions(ws, wanted.stores);
        let (questions, versions) = tokio::join!(self.questions(ws, wanted.queries), versions);
        let Some(questions) = questions else {
            return Ok(wanted.queries.iter().map(|_| Vec::new()).collect());
        };
        let (mut seen, mut is_all_seen) = (Vec::new(), true);
        let mut found: Vec<Vec<Vec<Candidate>>> = vec![Vec::new(); wanted.queries.len()];
        for (store, version) in versions? {
            let version = (store, version);
            let Some(view) = self.view(ws, version, questions.dimensions).await? else {
                continue;
            };
            let accepted = match &wanted.accept {
                None => None,
                Some(accept) => {
                    let accept = Arc::clone(accept);
                    let files = self.store.chunks();
                    Some(files.accepted(ws, store, move |it| accept(it)).await?)
                }
            };
            let scanned = match view {
                View::Index(index, version) => {
                    seen.push((store.clone(), version));
                    self.scan(index, &questions, wanted.most, accepted).await
                }
                View::Files(files) => {
                    is_all_seen = false;
                    let most = (wanted.most, accepted);
                    self.scan_large((ws, store), files, &questions, most)
                        .await?
                }
            };
            for (lists, list) in found.iter_mut().zip(scanned) {
                lists.push(list);
            }
        }
        let ranked = found.into_iter().zip(&questions.embeddings);
        let ranked = ranked.map(|(lists, embedding)| {
            let candidates = merge(lists, wanted.most);
            let seen = if is_all_seen {
                seen.clone()
            } else {
                Vec::new()
            };
            let embedding = embedding.as_deref().unwrap_or_default();
            self.ranked(ws, (candidates, seen), embedding)
        });
        try_join_all(ranked).await
    }

    /// The stores' versions now; `None`: there is no such store.
    async fn versions<'s>(
        &self,
        ws: &WorkspaceId,
        stores: &'s [VectorStoreId],
    ) -> Result<Vec<(&'s VectorStoreId, Option<i64>)>, Error> {
        let chunks = self.store.chunks();
        let mut versions = Vec::with_capacity(stores.len());
        for store in stores {
            versions.push((store, chunks.version(ws, store).await?));
        }
        Ok(versions)
    }

    /// `None`: none could be embedded.
    async fn questions(&self, ws: &WorkspaceId, queries: &[String]) -> Option<Questions> {
        let texts: Vec<&str> = queries
            .iter()
            .map(|query| beginning(query.trim()))
            .filter(|query| !query.is_empty())
            .collect();
        if texts.is_empty() {
            return None;
        }
        let made = self.embedder.embed(ws, &texts, Purpose::Search);
        let problem = match tokio::time::timeout(PATIENCE, made).await {
            Ok(Ok(made)) if made.len() == texts.len() => {
                let mut made = made.into_iter();
                let embeddings: Vec<Option<Vec<f32>>> = queries
                    .iter()
                    .map(|query| (!query.trim().is_empty()).then(|| made.next()).flatten())
                    .collect();
                let ready: Vec<Option<Query>> = embeddings
                    .iter()
                    .map(|embedding| Query::new(embedding.as_deref()?).ok())
                    .collect();
                let dimensions = embeddings.iter().flatten().map(Vec::len).next()?;
                return Some(Questions {
                    embeddings,
                    ready,
                    dimensions,
                });
            }
            Ok(Ok(made)) => format!("{} embeddings for {} texts", made.len(), texts.len()),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        tracing::warn!(
            embedding = self.embedder.identity(),
            error = problem,
            "a question could not be embedded: it is searched for by its words alone",
        );
        None
    }

    /// Scans an index for all questions; a large one in parts, on as many processors as are free.
    async fn scan(
        &self,
        index: Index,
        questions: &Questions,
        most: usize,
        accepted: Option<BTreeSet<i64>>,
    ) -> Vec<Vec<Candidate>> {
        let blocks = index.blocks();
        let scan = Scan {
            index,
            questions: questions.ready.clone(),
            most,
            accepted,
        };
        if blocks <= FEW_BLOCKS {
            return scan.of(0..blocks);
        }
        let mut permits = Vec::new();
        // Closed by nobody; without a permit it would only be one scan more.
        permits.extend(Arc::clone(&self.scans).acquire_owned().await);
        while permits.len() < blocks / FEW_BLOCKS
            && let Ok(permit) = Arc::clone(&self.scans).try_acquire_owned()
        {
            permits.push(permit);
        }
        let part = blocks.div_ceil(permits.len().max(1));
        let mut permits = permits.into_iter();
        let scan = Arc::new(scan);
        let parts = (0..blocks).step_by(part).map(|first| {
            let (scan, permit) = (Arc::clone(&scan), permits.next());
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                scan.of(first..blocks.min(first + part))
            })
        });
        let parts: Vec<_> = parts.collect();
        let mut found = vec![Vec::new(); questions.ready.len()];
        for part in parts {
            match part.await {
                Ok(lists) => {
                    for (found, list) in found.iter_mut().zip(lists) {
                        *found = merge([std::mem::take(found), list], most);
                    }
                }
                Err(error) => tracing::error!(%error, "a scan of vectors broke off"),
            }
        }
        found
    }

    /// The ranking that candidates come to, the nearest first.
    async fn ranked(
        &self,
        ws: &WorkspaceId,
        (mut candidates, seen): (Vec<Candidate>, Vec<(VectorStoreId, i64)>),
        embedding: &[f32],
    ) -> Result<Vec<(ChunkId, f32)>, Error> {
        let near = (candidates.len() / RESCORED).max(FEW_CANDIDATES);
        let behind = candidates.split_off(near.min(candidates.len()));
        let mut ranked = self.rescored(ws, (candidates, seen), embedding).await?;
        let behind = behind.into_iter();
        ranked.extend(behind.map(|it| (ChunkId(it.key.cast_signed()), it.score)));
        Ok(ranked)
    }

    /// Ranks candidates by their full vectors.
    async fn rescored(
        &self,
        ws: &WorkspaceId,
        (candidates, seen): (Vec<Candidate>, Vec<(VectorStoreId, i64)>),
        embedding: &[f32],
    ) -> Result<Vec<(ChunkId, f32)>, Error> {
        let ids: Vec<ChunkId> = candidates
            .iter()
            .map(|candidate| ChunkId(candidate.key.cast_signed()))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let chunks = self.store.chunks();
        let identity = self.embedder.identity();
        let stored = chunks.vectors(ws, ids, identity, seen).await?;
        let vectors = stored.iter().filter_map(|(chunk, stored)| {
            let vector = from_stored(stored)?;
            (vector.len() == embedding.len()).then_some((chunk.0.cast_unsigned(), vector))
        });
        let vectors: Vec<_> = vectors.collect();
        let all = vectors
            .iter()
            .map(|(key, vector)| (*key, vector.as_slice()));
        let hits = rescore(embedding, all, vectors.len()).unwrap_or_else(|error| {
            tracing::error!(%error, "vectors could not be compared");
            Vec::new()
        });
        let hits = hits.into_iter();
        Ok(hits
            .map(|hit| (ChunkId(hit.key.cast_signed()), hit.score))
            .collect())
    }
}

/// Of a question as much as counts.
fn beginning(question: &str) -> &str {
    &question[..question.floor_char_boundary(QUESTION_BYTES)]
}

/// A scan of an index that is as wide as the questions.
struct Scan {
    index: Index,
    questions: Vec<Option<Query>>,
    /// The most candidates of a question.
    most: usize,
    /// The files that count; without it, all.
    accepted: Option<BTreeSet<i64>>,
}

impl Scan {
    /// The nearest in some blocks, for each question.
    fn of(&self, blocks: Range<usize>) -> Vec<Vec<Candidate>> {
        let accepted = self.accepted.as_ref();
        let allowed =
            |group: u64| accepted.is_none_or(|files| files.contains(&group.cast_signed()));
        let questions = self.questions.iter();
        let lists = questions.map(|query| match query {
            Some(query) => {
                let found = self
                    .index
                    .scan_blocks(blocks.clone(), query, self.most, allowed);
                found.unwrap_or_else(|error| {
                    tracing::error!(%error, "vectors could not be scanned");
                    Vec::new()
                })
            }
            None => Vec::new(),
        });
        lists.collect()
    }
}

impl fmt::Debug for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vectors")
            .field("embedder", &self.embedder)
            .finish_non_exhaustive()
    }
}
