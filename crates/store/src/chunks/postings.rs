//! Search by words on SQLite: postings with their impact.
//!
//! A word of a chunk is one token of the index, made of the mark of its store, the word, and the level of its impact: that part of
//! BM25 which rests on the chunk alone (how often it has the word, and how long it is), quantised. So a search reads, level
//! by level, the chunks of its own stores that have its words, and knows their scores without a look at any of
//! them. FTS5's own ranking looks up each, which takes ten times as long. How rare a word is in these stores, the
//! other part of BM25, is known once its chunks are counted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write as _,
    ops::ControlFlow,
};

use loomgate_domain::vector_store::ChunkId;

use crate::{
    Error,
    tx::{Tx, sqlite_statements, values},
};

/// Levels of impact. More of them tell more apart, and each is a look into the index for each word.
const LEVELS: u8 = 4;
/// BM25: how soon more of the same word counts no more.
const K1: f64 = 1.2;
/// BM25: how much the length of a chunk counts.
const B: f64 = 0.75;
/// The usual length of a chunk in words, against which one is long or short.
const USUAL_LENGTH: f64 = 400.0;

sqlite_statements! {
    POSTINGS = "SELECT packed(rowid) FROM chunk_terms WHERE chunk_terms MATCH $1";
}

/// The tokens of a chunk, from its words with spaces between them.
pub(super) fn tokens<'w>(scope: i64, words: impl Iterator<Item = &'w str>) -> String {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut length = 0;
    for word in words {
        *counts.entry(word).or_default() += 1;
        length += 1;
    }
    let mut tokens = String::new();
    for (word, count) in counts {
        let space = if tokens.is_empty() { "" } else { " " };
        let level = level(count, length);
        // Writing to a String does not fail.
        let _ = write!(tokens, "{space}{scope}/{word}/{level}");
    }
    tokens
}

/// Chunks with any of the words in the stores of these marks, which have so many `chunks` in all. A word has a
/// place, by which it is told that a chunk has it.
pub(super) fn rank(
    tx: &mut dyn Tx,
    (scopes, chunks): (&[i64], i64),
    words: &[(u32, &str)],
) -> Result<Ranked, Error> {
    // What each word adds to each chunk that has it.
    let mut added: Vec<(i64, f64, u64)> = Vec::new();
    let mut postings = Vec::new();
    for (place, word) in words {
        postings.clear();
        for scope in scopes {
            for level in 0..LEVELS {
                let token = format!("\"{scope}/{word}/{level}\"");
                tx.visit(POSTINGS, values![&token], &mut |row| {
                    let (chunks, _) = row.bytes(0)?.as_chunks::<8>();
                    let chunks = chunks.iter().map(|chunk| i64::from_le_bytes(*chunk));
                    postings.extend(chunks.map(|chunk| (chunk, level)));
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        let rarity = rarity(chunks, postings.len());
        let bit = 1_u64.checked_shl(*place).unwrap_or(0);
        let postings = postings.iter();
        added.extend(postings.map(|(chunk, level)| (*chunk, rarity * impact_of(*level), bit)));
    }
    added.sort_by_key(|(chunk, ..)| *chunk);
    let of_chunks = added.chunk_by(|one, next| one.0 == next.0);
    let ranked = of_chunks.map(|parts| {
        let score: f64 = parts.iter().map(|(_, score, _)| score).sum();
        let held = parts.iter().fold(0, |held, (.., bit)| held | bit);
        (millionths(score), Reverse(parts[0].0), held)
    });
    Ok(Ranked(ranked.collect()))
}

/// Chunks that were found, best first, those of one score by their numbers.
pub(super) struct Ranked(BinaryHeap<(i64, Reverse<i64>, u64)>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RankedChunk {
    pub(super) id: ChunkId,
    /// In millionths.
    pub(super) score: i64,
    /// Bit `n`: it has the word of place `n`.
    pub(super) held: u64,
}

impl Iterator for Ranked {
    type Item = RankedChunk;

    fn next(&mut self) -> Option<Self::Item> {
        let (score, Reverse(chunk), held) = self.0.pop()?;
        let id = ChunkId(chunk);
        Some(RankedChunk { id, score, held })
    }
}

fn level(count: u32, length: u32) -> u8 {
    let count = f64::from(count);
    let length = 1.0 - B + B * f64::from(length) / USUAL_LENGTH;
    // Between 0 and 1.
    let impact = count / (count + K1 * length);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of levels"
    )]
    let level = (impact * f64::from(LEVELS)) as u8;
    level.min(LEVELS - 1)
}

/// The middle of a level, on BM25's scale.
fn impact_of(level: u8) -> f64 {
    (K1 + 1.0) * (f64::from(level) + 0.5) / f64::from(LEVELS)
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn rarity(chunks: i64, having: usize) -> f64 {
    let having = having as f64;
    // Chunks that are not searched yet are among those that have it.
    let others = (chunks as f64 - having).max(0.0);
    (1.0 + (others + 0.5) / (having + 0.5)).ln()
}

#[expect(clippy::cast_possible_truncation, reason = "scores are small numbers")]
fn millionths(score: f64) -> i64 {
    (score * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_token_and_counts_more_the_more_often_it_stands_there() {
        let text = format!("b a b {}", "c ".repeat(40));
        assert_eq!(tokens(7, text.split_whitespace()), "7/a/2 7/b/3 7/c/3");
        assert_eq!(tokens(7, "".split_whitespace()), "");
        assert_eq!(level(1, 400), 1);
        assert_eq!(level(1, 4_000), 0);
        assert_eq!(level(1_000_000, 1), LEVELS - 1);
    }

    #[test]
    fn rarer_words_weigh_more_and_none_weighs_nothing() {
        assert!(rarity(1_000, 1) > rarity(1_000, 500));
        assert!(rarity(1_000, 500) > rarity(1_000, 1_000));
        assert!(rarity(10, 1_000_000) > 0.0);
    }

    #[test]
    fn the_best_come_first() {
        let ranked = Ranked([(5, Reverse(2), 7), (9, Reverse(3), 0), (5, Reverse(1), 1)].into());
        let ids: Vec<_> = ranked.map(|it| (it.id.0, it.score, it.held)).collect();
        assert_eq!(ids, [(3, 9, 0), (1, 5, 1), (2, 5, 7)]);
    }
}
