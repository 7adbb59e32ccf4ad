//! Some rows of an index, one behind the other in memory.

use std::ops::Range;

use super::{Candidate, Query, kernel, signs::Signs, top::Top};

/// Rows of a block. A writer whose block is shared with a reader copies one block, 400 KB at 384 dimensions.
pub const BLOCK_ROWS: usize = 1024;
/// Rows that are scored before the best of them are looked for.
const BATCH_ROWS: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Block {
    dimensions: usize,
    keys: Vec<u64>,
    scales: Vec<f32>,
    values: Vec<i8>,
    signs: Signs,
    /// The rows that count, in order. Rows of no run were removed.
    runs: Vec<Run>,
}

/// Neighbouring rows of one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) group: u64,
    start: u32,
    end: u32,
}

impl Run {
    pub(super) fn rows(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Block {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            keys: Vec::new(),
            scales: Vec::new(),
            values: Vec::new(),
            signs: Signs::default(),
            runs: Vec::new(),
        }
    }

    /// Rows, removed ones included.
    pub(super) fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Rows that count.
    pub(super) fn live(&self) -> usize {
        self.runs.iter().map(|run| run.rows().len()).sum()
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.keys.capacity() * size_of::<u64>()
            + self.scales.capacity() * size_of::<f32>()
            + self.values.capacity()
            + self.signs.bytes()
            + self.runs.capacity() * size_of::<Run>()
    }

    /// Key, scale and values of a row.
    pub(super) fn row(&self, row: usize) -> (u64, f32, &[i8]) {
        let values = &self.values[row * self.dimensions..(row + 1) * self.dimensions];
        (self.keys[row], self.scales[row], values)
    }

    /// Appends a row. There must be room.
    pub(super) fn push(&mut self, group: u64, key: u64, scale: f32, values: &[i8]) {
        #[expect(clippy::cast_possible_truncation, reason = "a block has few rows")]
        let row = self.keys.len() as u32;
        self.keys.push(key);
        self.scales.push(scale);
        self.values.extend_from_slice(values);
        self.signs.push(row as usize, values);
        match self.runs.last_mut() {
            Some(run) if run.group == group && run.end == row => run.end += 1,
            _ => self.runs.push(Run {
                group,
                start: row,
                end: row + 1,
            }),
        }
        if self.rows() == BLOCK_ROWS {
            self.keys.shrink_to_fit();
            self.scales.shrink_to_fit();
            self.values.shrink_to_fit();
            self.signs.shrink_to_fit();
            self.runs.shrink_to_fit();
        }
    }

    pub(super) fn remove(&mut self, group: u64) {
        self.runs.retain(|run| run.group != group);
    }

    pub(super) fn signs(&self) -> &Signs {
        &self.signs
    }

    /// Offers a run's rows to the best ones.
    pub(super) fn scan(&self, run: &Run, query: &Query, top: &mut Top) {
        let mut row = run.start as usize;
        while row < run.end as usize {
            let rows = row..(row + BATCH_ROWS).min(run.end as usize);
            row = rows.end;
            self.offer::<BATCH_ROWS>(run.group, rows, query, top);
        }
    }

    /// Offers some rows of a group.
    pub(super) fn scan_some(
        &self,
        group: u64,
        rows: impl Iterator<Item = usize>,
        query: &Query,
        top: &mut Top,
    ) {
        for row in rows {
            self.offer::<1>(group, row..row + 1, query, top);
        }
    }

    /// Offers at most `MOST` rows of a group.
    fn offer<const MOST: usize>(
        &self,
        group: u64,
        rows: Range<usize>,
        query: &Query,
        top: &mut Top,
    ) {
        let mut sums = [0; MOST];
        let sums = &mut sums[..rows.len()];
        let values = &self.values[rows.start * self.dimensions..rows.end * self.dimensions];
        kernel::sums_of_products(values, &query.codes, sums);
        for (row, &sum) in rows.zip(sums.iter()) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "24 bits are more than the codes tell"
            )]
            let score = sum as f32 * (self.scales[row] * query.scale);
            if top.takes(score) {
                top.offer(Candidate {
                    group,
                    key: self.keys[row],
                    score,
                });
            }
        }
    }
}
