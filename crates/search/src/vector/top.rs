//! The best of many.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::Candidate;

/// A chunk that was found, by its exact cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The key that the row was appended with.
    pub key: u64,
    /// Its cosine to the query, -1 to 1.
    pub score: f32,
}

/// The best `limit` candidates seen so far; of equals those with the lower keys.
pub(super) struct Top {
    limit: usize,
    heap: BinaryHeap<Worst>,
    /// The score of the worst once the list is full.
    threshold: f32,
}

/// Ordered so that the worst candidate comes out of the heap first.
struct Worst(Candidate);

impl Top {
    pub(super) fn new(limit: usize) -> Self {
        let threshold = if limit == 0 {
            f32::INFINITY
        } else {
            f32::NEG_INFINITY
        };
        Self {
            limit,
            heap: BinaryHeap::new(),
            threshold,
        }
    }

    /// Whether a candidate of this score may be among the best: asked for each row, so it is one comparison.
    #[inline]
    pub(super) fn takes(&self, score: f32) -> bool {
        score >= self.threshold
    }

    #[cold]
    pub(super) fn offer(&mut self, candidate: Candidate) {
        if self.limit == 0 {
            return;
        }
        self.heap.push(Worst(candidate));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
        if self.heap.len() == self.limit {
            self.threshold = self
                .heap
                .peek()
                .map_or(self.threshold, |worst| worst.0.score);
        }
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Candidate> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|worst| worst.0)
            .collect()
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .0
            .score
            .total_cmp(&self.0.score)
            .then(self.0.key.cmp(&other.0.key))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}
