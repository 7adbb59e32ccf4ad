//! One ranking of several: lexical and vector rankings, of one query or of many.
//!
//! **Order** is reciprocal rank fusion: a chunk gets `weight / (60 + rank)` from each ranking that names it, and the
//! sums decide. Of equals the one with the better single rank comes first, then the one with more evidence,
//! then the lower key.
//!
//! **Score** is not that sum. Sums of reciprocal ranks are near each other and say nothing about a query: the first
//! of a hundred useless chunks has the sum that the right answer has, and no threshold can tell them apart.
//! (Elasticsearch, Qdrant and Azure AI Search hand the sums out; Weaviate stretches each list over 0 to 1, which makes
//! the best of a useless list 1.) A threshold means something only where a score says the same about every query.
//! So each ranking brings *evidence*, 0 to 1, that does: the cosine of the embeddings, and the part of
//! the query's words that a chunk holds ([`crate::lexical::coverage`]), lowered by how little that shows
//! ([`LEXICAL_EVIDENCE`]). A chunk's evidence is the most that any ranking brings, and its score is the most evidence
//! of it and all chunks behind it. Scores therefore never rise along the list, and `score_threshold` cuts behind the last chunk
//! whose own evidence reaches it.

use std::cmp::Ordering;

use foldhash::HashMap;
use thiserror::Error;

/// The constant of reciprocal rank fusion, as in Cormack, Clarke and Buettcher 2009 and in every product since.
pub const RANK_CONSTANT: f64 = 60.0;

/// Chunks found for one query in one way, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// How much it counts, against the others. Not negative.
    pub weight: f64,
    /// What was found. A chunk that stands here twice counts once, at its first place.
    pub found: Vec<Evidence>,
}

/// A chunk in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Which chunk.
    pub key: u64,
    /// How much it has to do with the query, by a measure that means the same for every query: 0 to 1; less and more
    /// are taken for these, and what is no number for 0.
    pub evidence: f32,
}

/// A chunk of the fused ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fused {
    /// Which chunk.
    pub key: u64,
    /// 0 to 1, never more than that of the chunk before.
    pub score: f32,
}

/// How results are ranked and cut (`ranking_options`, `contract/behaviour.md` 11.8 and 5.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankingOptions {
    /// Whether a reranking model is asked, where one is configured.
    pub ranker: Ranker,
    /// Chunks of a lower score are left out, 0 to 1.
    pub score_threshold: f32,
}

/// Who has the last word on the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranker {
    /// The fused ranking stands.
    None,
    /// The best there is: `auto`, and the original's rankers by name.
    #[default]
    Auto,
}

/// `ranking_options` that are none.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RankingError {
    /// A ranker that is not known.
    #[error("unknown ranker '{0}': must be none, auto, default-2024-11-15 or default_2024_08_21")]
    Ranker(String),
    /// A threshold outside 0 to 1.
    #[error("score_threshold must be between 0 and 1")]
    Threshold,
}

impl RankingOptions {
    /// Checks what a request says.
    pub fn new(ranker: &str, score_threshold: f64) -> Result<Self, RankingError> {
        let ranker = match ranker {
            "none" => Ranker::None,
            "auto" | "default-2024-11-15" | "default_2024_08_21" => Ranker::Auto,
            other => return Err(RankingError::Ranker(other.to_owned())),
        };
        if !(0.0..=1.0).contains(&score_threshold) {
            return Err(RankingError::Threshold);
        }
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
        Ok(Self {
            ranker,
            score_threshold: score_threshold as f32,
        })
    }

    /// The results that are handed out: the first `limit` that reach the threshold.
    pub fn cut(&self, mut ranking: Vec<Fused>, limit: usize) -> Vec<Fused> {
        ranking.retain(|chunk| chunk.score >= self.score_threshold);
        ranking.truncate(limit);
        ranking
    }
}

impl Default for RankingOptions {
    fn default() -> Self {
        Self {
            ranker: Ranker::Auto,
            score_threshold: 0.0,
        }
    }
}

/// Fuses rankings, those of several queries too: each chunk once, best first.
pub fn fuse(rankings: &[Ranking]) -> Vec<Fused> {
    let mut standings: HashMap<u64, Standing> = HashMap::default();
    for (number, ranking) in rankings.iter().enumerate() {
        for (rank, found) in (1_u32..).zip(&ranking.found) {
            let standing = standings
                .entry(found.key)
                .or_insert_with(|| Standing::new(found.key));
            standing.add(number, ranking.weight, rank, found.evidence);
        }
    }
    let standings = standings.into_values().map(Standing::add_up);
    let mut standings: Vec<Standing> = standings.collect();
    standings.sort_by(Standing::compare);
    descending(
        standings
            .iter()
            .map(|standing| (standing.key, standing.evidence)),
    )
}

/// The ranking that a reranking model makes: `judged` has for each chunk that it was asked about, in the order they were
/// in, how relevant it finds it, 0 to 1. Chunks that it was not asked about are left out.
pub fn rerank(judged: impl IntoIterator<Item = Evidence>) -> Vec<Fused> {
    let judged = judged
        .into_iter()
        .map(|chunk| (chunk.key, bounded(chunk.evidence)));
    let mut judged: Vec<(u64, f32)> = judged.collect();
    judged.sort_by(|one, other| other.1.total_cmp(&one.1));
    descending(judged.into_iter())
}

/// What is known of a chunk.
struct Standing {
    key: u64,
    /// What each ranking gives it.
    shares: Vec<f64>,
    /// All of that, once it is known.
    sum: f64,
    best_rank: u32,
    evidence: f32,
    /// The ranking that named it last.
    named_by: Option<usize>,
}

impl Standing {
    fn new(key: u64) -> Self {
        Self {
            key,
            shares: Vec::new(),
            sum: 0.0,
            best_rank: u32::MAX,
            evidence: 0.0,
            named_by: None,
        }
    }

    fn add(&mut self, ranking: usize, weight: f64, rank: u32, evidence: f32) {
        if self.named_by.replace(ranking) == Some(ranking) {
            return;
        }
        self.shares.push(weight / (RANK_CONSTANT + f64::from(rank)));
        self.best_rank = self.best_rank.min(rank);
        self.evidence = self.evidence.max(bounded(evidence));
    }

    /// Adds up from the least on: the order of the rankings must not show in the last digit.
    fn add_up(mut self) -> Self {
        self.shares.sort_by(f64::total_cmp);
        self.sum = self.shares.iter().sum();
        self
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sums = other.sum.total_cmp(&self.sum);
        let ranks = self.best_rank.cmp(&other.best_rank);
        let evidence = other.evidence.total_cmp(&self.evidence);
        sums.then(ranks)
            .then(evidence)
            .then(self.key.cmp(&other.key))
    }
}

fn bounded(evidence: f32) -> f32 {
    if evidence.is_nan() {
        0.0
    } else {
        evidence.clamp(0.0, 1.0)
    }
}

/// Scores that never rise: the most evidence of a chunk and all behind it.
fn descending(ranking: impl DoubleEndedIterator<Item = (u64, f32)>) -> Vec<Fused> {
    let mut most = 0.0_f32;
    let scored = ranking.rev().map(|(key, evidence)| {
        most = most.max(evidence);
        Fused { key, score: most }
    });
    let mut scored: Vec<Fused> = scored.collect();
    scored.reverse();
    scored
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranking(weight: f64, found: &[(u64, f32)]) -> Ranking {
        let found = found
            .iter()
            .map(|&(key, evidence)| Evidence { key, evidence })
            .collect();
        Ranking { weight, found }
    }

    fn keys(fused: &[Fused]) -> Vec<u64> {
        fused.iter().map(|chunk| chunk.key).collect()
    }

    #[test]
    fn what_both_rankings_name_comes_first() {
        let vector = ranking(1.0, &[(1, 0.8), (2, 0.7), (3, 0.6)]);
        let lexical = ranking(1.0, &[(9, 0.5), (3, 0.4)]);
        let fused = fuse(&[vector.clone(), lexical.clone()]);
        // 3: 1/63 + 1/62; 1 and 9 are both first in one: evidence decides.
        assert_eq!(keys(&fused), [3, 1, 9, 2]);
        assert_eq!(
            fused.iter().map(|chunk| chunk.score).collect::<Vec<_>>(),
            [0.8, 0.8, 0.7, 0.7]
        );
        let lexical_only = fuse(&[
            Ranking {
                weight: 0.0,
                ..vector
            },
            lexical,
        ]);
        assert_eq!(keys(&lexical_only)[..2], [9, 3]);
        assert_eq!(fuse(&[]), []);
    }

    #[test]
    fn ties_are_broken_the_same_way_each_time() {
        let one = ranking(1.0, &[(5, 0.3), (6, 0.3)]);
        let other = ranking(1.0, &[(6, 0.3), (5, 0.3)]);
        assert_eq!(keys(&fuse(&[one.clone(), other.clone()])), [5, 6]);
        assert_eq!(keys(&fuse(&[other, one])), [5, 6]);
    }

    #[test]
    fn sums_do_not_depend_on_the_order_of_the_rankings() {
        // 1/61 + 1/62 + 1/61 and 1/61 + 1/61 + 1/62 differ in the last digit when added as they come.
        let orders: [&[(u64, f32)]; 5] = [
            &[(6, 0.3)],
            &[(5, 0.3), (6, 0.3)],
            &[(6, 0.3)],
            &[(5, 0.3)],
            &[(9, 0.3), (5, 0.3)],
        ];
        let rankings = orders.map(|order| ranking(1.0, order));
        assert_eq!(keys(&fuse(&rankings)), [5, 6, 9]);
    }

    #[test]
    fn a_threshold_tells_a_query_with_answers_from_one_without() {
        let options = RankingOptions::new("auto", 0.3).unwrap();
        let answered = fuse(&[ranking(1.0, &[(1, 0.62), (2, 0.35), (3, 0.08)])]);
        assert_eq!(keys(&options.cut(answered, 10)), [1, 2]);
        let unanswered = fuse(&[ranking(1.0, &[(1, 0.12), (2, 0.11), (3, 0.08)])]);
        assert_eq!(options.cut(unanswered, 10), []);
        let many = fuse(&[ranking(1.0, &[(1, 0.9), (2, 0.9), (3, 0.9)])]);
        assert_eq!(keys(&options.cut(many, 2)), [1, 2]);
    }

    #[test]
    fn a_chunk_that_a_ranking_names_twice_counts_once() {
        let twice = ranking(1.0, &[(1, 0.5), (2, 0.5), (2, 0.9)]);
        let fused = fuse(&[twice]);
        assert_eq!(keys(&fused), [1, 2]);
        assert_eq!(fused[0], Fused { key: 1, score: 0.5 });
    }

    #[test]
    fn a_reranking_model_has_the_last_word() {
        let judged = [(4, 0.2), (5, 0.9), (6, 0.2), (7, f32::NAN)]
            .map(|(key, evidence)| Evidence { key, evidence });
        let ranked = rerank(judged);
        assert_eq!(keys(&ranked), [5, 4, 6, 7]);
        assert_eq!(ranked[3], Fused { key: 7, score: 0.0 });
    }

    #[test]
    fn options_are_checked() {
        for ranker in ["auto", "default-2024-11-15", "default_2024_08_21"] {
            assert_eq!(
                RankingOptions::new(ranker, 0.0),
                Ok(RankingOptions::default())
            );
        }
        assert_eq!(
            RankingOptions::new("none", 1.0).unwrap().ranker,
            Ranker::None
        );
        assert_eq!(
            RankingOptions::new("best", 0.0),
            Err(RankingError::Ranker("best".to_owned()))
        );
        for threshold in [-0.1, 1.1, f64::NAN] {
            assert_eq!(
                RankingOptions::new("auto", threshold),
                Err(RankingError::Threshold)
            );
        }
    }

    proptest! {
        #[test]
        fn every_chunk_comes_once_and_scores_fall(
            lists in prop::collection::vec(prop::collection::vec((0_u64..30, -0.5_f32..1.5), 0..20), 0..6),
        ) {
            let rankings: Vec<Ranking> = lists.iter().map(|list| ranking(1.0, list)).collect();
            let fused = fuse(&rankings);
            let mut found = keys(&fused);
            found.sort_unstable();
            let mut expected: Vec<u64> = lists.iter().flatten().map(|(key, _)| *key).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(found, expected);
            prop_assert!(fused.iter().all(|chunk| (0.0..=1.0).contains(&chunk.score)));
            prop_assert!(fused.is_sorted_by(|one, other| one.score >= other.score));
            let mut reversed = rankings.clone();
            reversed.reverse();
            prop_assert_eq!(fuse(&reversed), fused);
        }
    }
}
