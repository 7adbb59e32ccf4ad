//! The limit of a search by vectors: a scan of all codes of as many rows, in this process.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use loomgate_search::vector::{Code, Index, Query, rescore};

use super::embeddings::vector;

/// Chunks that a search wants, and candidates that are rescored for each, as the server does.
const WANTED: usize = 10;
const CANDIDATES: usize = 4;

pub(super) struct Scan {
    index: Index,
    full: Vec<Vec<f32>>,
}

impl Scan {
    /// Of so many rows.
    pub(super) fn new(rows: u32) -> anyhow::Result<Self> {
        let mut full = Vec::with_capacity(rows as usize);
        let mut index = Index::new(super::embeddings::DIMENSIONS)?;
        for row in 0..u64::from(rows) {
            let vector = vector(&format!("row {row}"));
            index.append(row / 50, [(row, &Code::new(&vector)?)])?;
            full.push(vector);
        }
        Ok(Self { index, full })
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
