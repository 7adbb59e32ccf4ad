//! Retrieval: the chunks of vector stores that answer questions best. One way for the tool and for
//! `POST /vector_stores/{id}/search`.
//!
//! Each question is asked of the words index and, where there is an embedder, of the vectors. The
//! rankings are fused, all with the same weight; a result's score says how much it has to do with a
//! question (`loomgate_search::fuse`).

use std::{collections::HashMap, sync::Arc};

use loomgate_domain::{
    VectorStoreId, WorkspaceId,
    run::SearchResult,
    vector_store::{Attributes, Chunk, ChunkId},
};
use loomgate_search::{
    filter::Filter,
    fuse::{Evidence, Ranking, RankingOptions, fuse},
    lexical,
};
use serde_json::Value;

use crate::{
    Engine,
    engine::Shared,
    vectors::{Accept, Wanted},
};

/// Chunks that each ranking brings for each that is wanted: what one way finds late, another may put
/// first.
const CANDIDATES: u32 = 4;
/// The most chunks of a ranking.
const MOST_CANDIDATES: u32 = 200;

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
    let mut chunks: HashMap<u64, Chunk> = HashMap::new();
    let mut rankings = Vec::new();
    for query in &search.queries {
        let words = lexical::terms(query);
        let filter = search.filter.clone();
        let accept = move |attributes: &_| passes(filter.as_ref(), attributes);
        let index = shared.store.chunks();
        let hits = index.lexical(workspace, &search.stores, (words.clone(), most), accept);
        let mut found = Vec::new();
        for hit in hits.await? {
            let coverage = lexical::coverage(&words, &hit.chunk.text);
            let key = key(hit.chunk.id);
            chunks.insert(key, hit.chunk);
            found.push(Evidence {
                key,
                evidence: coverage * lexical::LEXICAL_EVIDENCE,
            });
        }
        rankings.push(Ranking { weight: 1.0, found });
    }
    for nearest in by_meaning(shared, workspace, &search, most).await? {
        let mut found = Vec::with_capacity(nearest.len());
        for (chunk, cosine) in nearest {
            let key = key(chunk.id);
            // Its attributes may have changed since the files were chosen.
            if passes(search.filter.as_ref(), &chunk.attributes) {
                chunks.insert(key, chunk);
                found.push(Evidence {
                    key,
                    evidence: cosine,
                });
            }
        }
        rankings.push(Ranking { weight: 1.0, found });
    }
    let ranked = search.ranking.cut(fuse(&rankings), search.most as usize);
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

/// For each question the nearest chunks with their cosines; nothing without an embedder.
async fn by_meaning(
    shared: &Shared,
    workspace: &WorkspaceId,
    search: &Search,
    most: u32,
) -> Result<Vec<Vec<(Chunk, f32)>>, loomgate_store::Error> {
    let Some(vectors) = &shared.vectors else {
        return Ok(Vec::new());
    };
    let filter = search.filter.clone();
    let wanted = Wanted {
        stores: &search.stores,
        queries: &search.queries,
        accept: filter
            .map(|filter| -> Accept { Arc::new(move |it: &Attributes| passes(Some(&filter), it)) }),
        most: most as usize,
    };
    vectors.nearest(workspace, &wanted).await
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
