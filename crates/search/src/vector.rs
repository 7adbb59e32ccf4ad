//! Embeddings of one vector store, quantised, in memory, scanned: no graph to build, nothing to tune, and a filter
//! costs nothing.
//!
//! A search has three steps. [`Index::scan`] takes a first look at the signs of every row (`vector/signs.rs`), reads the codes of the
//! best thirty-second, and names candidates, more than are wanted; [`rescore`] ranks those by the exact cosine, from
//! the full vectors that the caller fetches. Few rows, or narrow ones, have no first look. Measured with
//! `examples/search_bench.rs` on one thread: a whole query over 100,000 rows takes 0.4 times what reading all codes
//! takes, 0.08 times a scan of the full vectors, at 384 and at 1536 dimensions. What is found hardly differs from what an
//! exact search finds: of 5,700 chunks of documentation by all-MiniLM-L6-v2, recall@10 is 0.991 with 10 candidates, 1.000 with 20.
//!
//! Rows stand in blocks of [`BLOCK_ROWS`], one behind the other, so that a scan is a few long reads. The rows of
//! a group (a file) are neighbours: a filter is asked once for each run of them, and a removal takes the run out.
//!
//! Invariant: an index that was cloned never changes; blocks are shared between clones until one writes.

mod block;
mod code;
mod kernel;
mod signs;
mod stored;
mod top;

use std::{ops::Range, sync::Arc};

use thiserror::Error;

pub use self::{
    block::BLOCK_ROWS,
    code::Code,
    kernel::cosine,
    stored::{from_stored, to_stored},
    top::Hit,
};
use self::{
    block::{Block, Run},
    signs::{Estimates, Tables},
    top::Top,
};

/// The widest embedding that is taken: sums of products of codes stay within 32 bits.
pub const MAX_DIMENSIONS: usize = 8192;

/// A vector that can not be kept or compared.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum VectorError {
    /// It has another width than the index, or none that is possible.
    #[error("the vector has {found} dimensions, {expected} are needed")]
    Dimensions {
        /// What the index holds.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// It has no direction: all zero, or a number that is not finite.
    #[error("the vector has no direction: it is all zeros, or holds numbers that are not finite")]
    NoDirection,
}

/// A candidate: a row that may be among the nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The group that the row was appended with.
    pub group: u64,
    /// The key that the row was appended with.
    pub key: u64,
    /// Its cosine to the query as far as the codes tell.
    pub score: f32,
}

/// The quantised embeddings of a vector store. A clone costs one pointer for each [`BLOCK_ROWS`] rows, and is what a
/// reader keeps while the writer goes on.
#[derive(Clone, Debug)]
pub struct Index {
    dimensions: usize,
    blocks: Vec<Arc<Block>>,
}

impl Index {
    /// An empty index of embeddings of `dimensions` numbers.
    pub fn new(dimensions: usize) -> Result<Self, VectorError> {
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(VectorError::Dimensions {
                expected: MAX_DIMENSIONS,
                found: dimensions,
            });
        }
        Ok(Self {
            dimensions,
            blocks: Vec::new(),
        })
    }

    /// How wide its embeddings are.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Rows that a scan sees.
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.live()).sum()
    }

    /// Blocks, for a caller who scans parts of the index on several threads.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Memory that the rows take, in bytes, removed ones that still take some included. Blocks that are shared
    /// with clones count here and there.
    pub fn bytes(&self) -> usize {
        self.blocks
            .iter()
            .map(|block| block.bytes() + size_of::<Arc<Block>>())
            .sum()
    }

    /// Appends rows of one group, in any number of calls. A key may stand in several rows (parts of a long chunk);
    /// a scan names it once. All rows are appended, or none.
    pub fn append<'code>(
        &mut self,
        group: u64,
        rows: impl IntoIterator<Item = (u64, &'code Code)> + Clone,
    ) -> Result<(), VectorError> {
        for (_, code) in rows.clone() {
            self.check(code.dimensions())?;
        }
        for (key, code) in rows {
            self.tail().push(group, key, code.scale(), code.values());
        }
        Ok(())
    }

    /// Removes a group's rows, and says how many they were. Memory is given back at the latest once a quarter of it
    /// is of removed rows.
    pub fn remove(&mut self, group: u64) -> usize {
        let before = self.rows();
        for block in &mut self.blocks {
            if block.runs().iter().any(|run| run.group == group) {
                Arc::make_mut(block).remove(group);
            }
        }
        self.blocks.retain(|block| block.live() > 0);
        let after = self.rows();
        let kept: usize = self.blocks.iter().map(|block| block.rows()).sum();
        if kept - after > kept / 4 {
            self.compact();
        }
        before - after
    }

    /// The `limit` best rows by quantised cosine among the groups that are `allowed`, best first, each key once.
    /// To rescore, ask for more than are wanted: four times as many is ample.
    pub fn scan(
        &self,
        query: &Query,
        limit: usize,
        allowed: impl Fn(u64) -> bool,
    ) -> Result<Vec<Candidate>, VectorError> {
        self.scan_blocks(0..self.blocks.len(), query, limit, allowed)
    }

    /// [`Index::scan`] of some blocks. [`merge`] makes one list of several.
    pub fn scan_blocks(
        &self,
        blocks: Range<usize>,
        query: &Query,
        limit: usize,
        allowed: impl Fn(u64) -> bool,
    ) -> Result<Vec<Candidate>, VectorError> {
        self.check(query.codes.len())?;
        let parts = self.parts(blocks, allowed);
        let rows = parts.iter().map(Part::rows).sum();
        let all = parts.iter().map(|part| part.block.rows()).sum();
        let Some(mut estimates) = Estimates::new(self.dimensions, (rows, all), limit) else {
            return Ok(read_all(&parts, query, limit));
        };
        let mut starts = Vec::with_capacity(parts.len());
        for part in &parts {
            let start = estimates.look(part.block.signs(), &query.tables);
            for run in &part.runs {
                estimates.count(start, run.rows());
            }
            starts.push(start);
        }
        let threshold = estimates.threshold();
        let mut top = Top::new(limit);
        for (part, start) in parts.iter().zip(starts) {
            for run in &part.runs {
                let passing = estimates.passing(start, run.rows(), threshold);
                part.block.scan_some(run.group, passing, query, &mut top);
            }
        }
        Ok(merge([top.into_sorted()], limit))
    }

    /// [`Index::scan`] that reads all codes, however many there are: what a scan is measured by.
    pub fn scan_all_codes(
        &self,
        query: &Query,
        limit: usize,
    ) -> Result<Vec<Candidate>, VectorError> {
        self.check(query.codes.len())?;
        let parts = self.parts(0..self.blocks.len(), |_| true);
        Ok(read_all(&parts, query, limit))
    }

    /// The runs of the groups that are allowed, by their blocks.
    fn parts(&self, blocks: Range<usize>, allowed: impl Fn(u64) -> bool) -> Vec<Part<'_>> {
        let mut last = None;
        let mut is_allowed = |run: &&Run| {
            // Long groups run through many blocks: one question is enough.
            let may = match last {
                Some((group, may)) if group == run.group => may,
                _ => allowed(run.group),
            };
            last = Some((run.group, may));
            may
        };
        let blocks = self.blocks.get(blocks).unwrap_or_default();
        let parts = blocks.iter().map(|block| Part {
            block,
            runs: block.runs().iter().filter(&mut is_allowed).collect(),
        });
        parts.filter(|part| !part.runs.is_empty()).collect()
    }

    fn check(&self, found: usize) -> Result<(), VectorError> {
        let expected = self.dimensions;
        if found == expected {
            Ok(())
        } else {
            Err(VectorError::Dimensions { expected, found })
        }
    }

    /// The block that takes the next row.
    fn tail(&mut self) -> &mut Block {
        if self
            .blocks
            .last()
            .is_none_or(|block| block.rows() == BLOCK_ROWS)
        {
            self.blocks.push(Arc::new(Block::new(self.dimensions)));
        }
        let last = self.blocks.len() - 1;
        Arc::make_mut(&mut self.blocks[last])
    }

    fn compact(&mut self) {
        let old = std::mem::take(&mut self.blocks);
        for block in old {
            for run in block.runs() {
                for row in run.rows() {
                    let (key, scale, values) = block.row(row);
                    self.tail().push(run.group, key, scale, values);
                }
            }
        }
    }
}

/// What a scan sees of a block.
struct Part<'a> {
    block: &'a Block,
    runs: Vec<&'a Run>,
}

impl Part<'_> {
    fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.rows().len()).sum()
    }
}

fn read_all(parts: &[Part<'_>], query: &Query, limit: usize) -> Vec<Candidate> {
    let mut top = Top::new(limit);
    for part in parts {
        for run in &part.runs {
            part.block.scan(run, query, &mut top);
        }
    }
    merge([top.into_sorted()], limit)
}

/// Memory that a row of an index takes, in bytes: its values, their signs, its key and its scale.
pub fn row_bytes(dimensions: usize) -> usize {
    dimensions + dimensions.div_ceil(8) + size_of::<u64>() + size_of::<f32>()
}

/// A query's embedding, made ready for scans.
#[derive(Clone, Debug)]
pub struct Query {
    codes: Vec<i16>,
    tables: Tables,
    /// What a sum of products of codes is multiplied with, beside the row's own scale.
    scale: f32,
}

impl Query {
    /// The largest code. A query has finer codes than a row, as they cost nothing: a sum of
    /// [`MAX_DIMENSIONS`] products still fits into 32 bits.
    const LARGEST: i16 = 2047;

    /// Makes an embedding of any length ready.
    pub fn new(embedding: &[f32]) -> Result<Self, VectorError> {
        if embedding.len() > MAX_DIMENSIONS {
            return Err(VectorError::Dimensions {
                expected: MAX_DIMENSIONS,
                found: embedding.len(),
            });
        }
        let (factor, scale) = code::scales(embedding, f32::from(Self::LARGEST))?;
        #[expect(clippy::cast_possible_truncation, reason = "at most 2047, rounded")]
        let codes: Vec<i16> = embedding
            .iter()
            .map(|number| (number * factor).round() as i16)
            .collect();
        let tables = Tables::new(&codes, Self::LARGEST);
        Ok(Self {
            codes,
            tables,
            scale,
        })
    }
}

/// One list of candidates of several, the best `limit` of them, best first, each key once.
pub fn merge(lists: impl IntoIterator<Item = Vec<Candidate>>, limit: usize) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = lists.into_iter().flatten().collect();
    all.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(one.key.cmp(&other.key))
    });
    let mut seen = foldhash::HashSet::default();
    all.retain(|candidate| seen.insert(candidate.key));
    all.truncate(limit);
    all
}

/// The best `limit` of the candidates by their exact cosine to the query, best first; of the rows of one key the
/// nearest counts. `vectors` are the candidates' full embeddings, in any order and of any length.
pub fn rescore<'vector>(
    query: &[f32],
    vectors: impl IntoIterator<Item = (u64, &'vector [f32])>,
    limit: usize,
) -> Result<Vec<Hit>, VectorError> {
    let mut best: foldhash::HashMap<u64, f32> = foldhash::HashMap::default();
    for (key, vector) in vectors {
        let score = cosine(query, vector)?;
        best.entry(key)
            .and_modify(|known| *known = known.max(score))
            .or_insert(score);
    }
    let mut hits: Vec<Hit> = best
        .into_iter()
        .map(|(key, score)| Hit { key, score })
        .collect();
    hits.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then(one.key.cmp(&other.key))
    });
    hits.truncate(limit);
    Ok(hits)
}

#[cfg(test)]
mod tests;
