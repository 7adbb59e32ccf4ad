//! Retrieval: the chunks of vector stores that answer questions best. One way for the tool and for
//! `POST /vector_stores/{id}/search`.
//!
//! Each question is asked of the words index and, where there is an embedder, of the vectors. The
//! rankings are fused by reciprocal rank; where there is a reranker, it judges the first of what comes out. A
//! result's score says how much it has to do with a question (`loomgate_search::fuse`).

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::try_join_all;
use loomgate_domain::{
    VectorStoreId, WorkspaceId,
    run::SearchResult,
    vector_store::{Attributes, Chunk, ChunkId},
};
use loomgate_search::{
    filter::Filter,
    fuse::{Evidence, Fused, Ranker, Ranking, RankingOptions, fuse, rerank},
    lexical,
};
use serde_json::Value;

use crate::{
    Engine, Reranker,
    engine::Shared,
    vectors::{Accept, Wanted},
};

/// Chunks that each ranking brings for each that is wanted: what one way finds late, another may put
/// first.
const CANDIDATES: u32 = 4;
/// The most chunks of a ranking.
const MOST_CANDIDATES: u32 = 200;

/// The most chunks that are judged for a question: each costs a model's reading.
const JUDGED: usize = 50;
/// How long a search waits for that.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much the two ways to find count against each other. Not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// What chunks mean.
    pub embedding: f64,
    /// The words in them.
    pub text: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            embedding: 1.0,
            text: 1.0,
        }
    }
}

/// What is looked for, and where.
#[derive(Debug, Clone)]
pub struct Search {
    /// Where. Stores that are not there have nothing.
    pub stores: Vec<VectorStoreId>,
    /// Questions, or key words; results that fit any of them are wanted.
    pub queries: Vec<String>,
    /// Which files count, by their attributes.
    pub filter: Option<Filter>,
    /// How results are ranked and cut.
    pub ranking: RankingOptions,
    /// What counts how much.
    pub weights: Weights,
    /// The most results.
    pub most: u32,
}

impl Engine {
    /// Finds chunks, best first, each once.
    pub async fn search(
        &self,
        workspace: &WorkspaceId,
        search: Search,
    ) -> Result<Vec<SearchResult>, loomgate_store::Error> {
        self::search(&self.shared, workspace, search).await
    }
}

/// The same, for runs.
pub(crate) async fn search(
    shared: &Shared,
    workspace: &WorkspaceId,
    search: Search,
) -> Result<Vec<SearchResult>, loomgate_store::Error> {
    let most = search.most.saturating_mul(CANDIDATES).min(MOST_CANDIDATES);
    let words = search.queries.iter();
    let words =
        try_join_all(words.map(|query| by_words(shared, workspace, (&search, query), most)));
    let meaning = by_meaning(shared, workspace, &search, most);
    // The question is on its way to who embeds it before the words take a processor.
    let (meaning, words) = tokio::try_join!(meaning, words)?;
    let Weights { embedding, text } = search.weights;
    let words = words.into_iter().map(|found| (text, found));
    let meaning = meaning.into_iter().map(|found| (embedding, found));
    let rankings = words.chain(meaning);
    let rankings = rankings.map(|(weight, found)| Ranking { weight, found });
    let ranked = fuse(&rankings.collect::<Vec<_>>());
    let wanted = search.most as usize;
    let (ranked, mut chunks) = match (search.ranking.ranker, &shared.settings.reranker) {
        (Ranker::Auto, Some(reranker)) => {
            let most = JUDGED.min(most as usize).max(wanted);
            let (ranked, chunks) = first(shared, workspace, &search, (ranked, most)).await?;
            let questions = &search.queries;
            let ranked = judged(&**reranker, workspace, questions, (ranked, &chunks)).await;
            (search.ranking.cut(ranked, wanted), chunks)
        }
        (Ranker::Auto | Ranker::None, _) => {
            let ranked = search.ranking.cut(ranked, usize::MAX);
            first(shared, workspace, &search, (ranked, wanted)).await?
        }
    };
    let results = ranked.into_iter().filter_map(|fused| {
        let chunk = chunks.remove(&fused.key)?;
        Some(SearchResult {
            file_id: chunk.file_id,
            file_name: chunk.filename,
            score: rounded(fused.score),
            attributes: chunk.attributes,
            text: chunk.text,
        })
    });
    Ok(results.collect())
}

/// The first chunks of a ranking, `most` at the most, and what they are; only those that are searched now,
/// from files that count now: what was found a moment ago may have been deleted or changed since.
async fn first(
    shared: &Shared,
    workspace: &WorkspaceId,
    search: &Search,
    (ranked, most): (Vec<Fused>, usize),
) -> Result<(Vec<Fused>, HashMap<u64, Chunk>), loomgate_store::Error> {
    let mut first = Vec::with_capacity(most.min(ranked.len()));
    let mut chunks = HashMap::with_capacity(first.capacity());
    let mut rest = ranked.into_iter();
    let now = shared.clock.now();
    while first.len() < most {
        let some: Vec<Fused> = rest.by_ref().take(most - first.len()).collect();
        if some.is_empty() {
            break;
        }
        let ids = some.iter().map(|fused| ChunkId(fused.key.cast_signed()));
        let index = shared.store.chunks();
        let found = index.get(workspace, ids.collect(), now).await?.into_iter();
        let found = found.filter(|chunk| passes(search.filter.as_ref(), &chunk.attributes));
        chunks.extend(found.map(|chunk| (key(chunk.id), chunk)));
        first.extend(some.iter().filter(|fused| chunks.contains_key(&fused.key)));
    }
    Ok((first, chunks))
}

/// The chunks that have words of a question.
async fn by_words(
    shared: &Shared,
    workspace: &WorkspaceId,
    (search, query): (&Search, &str),
    most: u32,
) -> Result<Vec<Evidence>, loomgate_store::Error> {
    let words = lexical::terms(query);
    let filter = search.filter.clone();
    let accept = move |attributes: &_| passes(filter.as_ref(), attributes);
    let index = shared.store.chunks();
    let hits = index.lexical(workspace, &search.stores, (words.clone(), most), accept);
    let hits = hits.await?.into_iter().map(|hit| {
        let coverage = lexical::coverage(&words, hit.held);
        Evidence {
            key: key(hit.chunk),
            evidence: coverage * lexical::LEXICAL_EVIDENCE,
        }
    });
    Ok(hits.collect())
}

/// For each question the nearest chunks by their cosines; nothing without an embedder.
async fn by_meaning(
    shared: &Shared,
    workspace: &WorkspaceId,
    search: &Search,
    most: u32,
) -> Result<Vec<Vec<Evidence>>, loomgate_store::Error> {
    let Some(vectors) = &shared.vectors else {
        return Ok(Vec::new());
    };
    let filter = search.filter.as_ref();
    let accept = filter.cloned().map(|filter| -> Accept {
        Arc::new(move |attributes: &_| passes(Some(&filter), attributes))
    });
    let wanted = Wanted {
        stores: &search.stores,
        queries: &search.queries,
        accept,
        most: most as usize,
    };
    let nearest = vectors.nearest(workspace, &wanted).await?.into_iter();
    let nearest = nearest.map(|found| {
        let found = found.into_iter().map(|(chunk, cosine)| Evidence {
            key: key(chunk),
            evidence: cosine,
        });
        found.collect()
    });
    Ok(nearest.collect())
}

/// The ranking that a model makes of one, for all questions. Where it makes none, that one stands, and the
/// log says why.
async fn judged(
    reranker: &dyn Reranker,
    workspace: &WorkspaceId,
    queries: &[String],
    (ranked, chunks): (Vec<Fused>, &HashMap<u64, Chunk>),
) -> Vec<Fused> {
    let found = ranked.iter();
    let found = found.filter_map(|fused| Some((fused.key, &*chunks.get(&fused.key)?.text)));
    let (keys, passages): (Vec<u64>, Vec<&str>) = found.unzip();
    if passages.is_empty() {
        return ranked;
    }
    let questions = queries.iter().filter(|query| !query.trim().is_empty());
    let judgements = questions.map(|query| reranker.judge(workspace, query, &passages));
    let judgements = tokio::time::timeout(PATIENCE, try_join_all(judgements)).await;
    let judgements = judgements.unwrap_or_else(|_elapsed| {
        let seconds = PATIENCE.as_secs();
        Err(format!("no answer within {seconds} s"))
    });
    match judgements {
        Ok(all) if all.iter().all(|one| one.len() == passages.len()) => {
            // A passage is wanted that answers any of the questions.
            let most = |place: usize| all.iter().map(|one| one[place]).fold(0.0, f32::max);
            let each = keys.into_iter().enumerate();
            rerank(each.map(|(place, key)| Evidence {
                key,
                evidence: most(place),
            }))
        }
        Ok(_) => {
            tracing::warn!(
                "a reranking model did not judge all passages: the fused ranking stands"
            );
            ranked
        }
        Err(error) => {
            tracing::warn!(
                error,
                "passages could not be judged: the fused ranking stands"
            );
            ranked
        }
    }
}

/// With four digits: more say nothing.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4
}

/// Whether a file with these attributes is searched.
fn passes(filter: Option<&Filter>, attributes: &Attributes) -> bool {
    filter.is_none_or(|filter| match serde_json::to_value(attributes) {
        Ok(Value::Object(attributes)) => filter.matches(&attributes),
        _ => false,
    })
}

/// Numbers of chunks are positive.
fn key(id: ChunkId) -> u64 {
    id.0.unsigned_abs()
}
