//! The limit of a search by vectors: a scan of all codes of the same rows, in this process; and what an exact
//! search finds among them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use loomgate_search::{
    ChunkingStrategy, chunks,
    vector::{Code, Index, Query, cosine, rescore},
};

use super::embeddings::{key, vector};

/// Chunks that a search wants, and candidates that are rescored for each, as the server does.
pub(super) const WANTED: usize = 10;
const CANDIDATES: usize = 4;

pub(super) struct Scan {
    index: Index,
    full: Vec<Vec<f32>>,
    /// What the rows' texts are known by.
    keys: Vec<u64>,
}

impl Scan {
    /// Of all chunks of these texts.
    pub(super) fn new(texts: &[String], strategy: ChunkingStrategy) -> anyhow::Result<Self> {
        let (mut full, mut keys) = (Vec::new(), Vec::new());
        let mut index = Index::new(super::embeddings::DIMENSIONS)?;
        for (file, text) in (0..).zip(texts) {
            for chunk in chunks(text, strategy, usize::MAX) {
                let chunk = chunk?;
                let vector = vector(chunk.text);
                index.append(file, [(full.len() as u64, &Code::new(&vector)?)])?;
                full.push(vector);
                keys.push(key(chunk.text));
            }
        }
        Ok(Self { index, full, keys })
    }

    /// What the nearest chunks' texts are known by, found by comparing all.
    pub(super) fn exact(&self, question: &str) -> anyhow::Result<Vec<u64>> {
        let query = vector(question);
        let rows = self.full.iter().zip(&self.keys);
        let rows = rows.map(|(row, key)| Ok((cosine(&query, row)?, *key)));
        let mut all: Vec<(f32, u64)> = rows.collect::<anyhow::Result<_>>()?;
        all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = all.into_iter().take(WANTED);
        Ok(nearest.map(|(_, key)| key).collect())
    }

    /// Bytes of the codes.
    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
    }

    /// How long one takes: the query made ready, all rows, candidates rescored.
    pub(super) fn time(&self, question: &str) -> anyhow::Result<Duration> {
        let query = vector(question);
        let began = Instant::now();
        let ready = Query::new(&query)?;
        let candidates = self.index.scan_all_codes(&ready, CANDIDATES * WANTED)?;
        let full = candidates.iter().filter_map(|found| {
            let row = self.full.get(usize::try_from(found.key).ok()?)?;
            Some((found.key, row.as_slice()))
        });
        black_box(rescore(&query, full, WANTED)?);
        Ok(began.elapsed())
    }
}
