//! How good rankings are.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::{collections::HashSet, fmt};

use super::JUDGED;

/// Sums over questions. Shown as recall, nDCG and MRR, with bars between.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    questions: usize,
    recall: f64,
    gain: f64,
    reciprocal: f64,
}

impl Judgement {
    /// Judges a question's ranking; `None`: a result that is no chunk of the set.
    pub(super) fn add(&mut self, ranking: &[Option<usize>], relevant: &HashSet<usize>) {
        let ranking = ranking.iter().take(JUDGED).enumerate();
        let places = ranking.filter(|(_, chunk)| chunk.is_some_and(|it| relevant.contains(&it)));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
        let most = relevant.len().min(JUDGED);
        let ideal: f64 = (0..most).map(gain).sum();
        self.questions += 1;
        self.recall += places.len() as f64 / most as f64;
        self.gain += places.iter().copied().map(gain).sum::<f64>() / ideal;
        let first = places.first();
        self.reciprocal += first.map_or(0.0, |place| 1.0 / (*place as f64 + 1.0));
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |sum: f64| sum / self.questions.max(1) as f64;
        let [recall, gain, reciprocal] = [self.recall, self.gain, self.reciprocal].map(mean);
        write!(f, "{recall:.3} | {gain:.3} | {reciprocal:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_worth_most_and_what_is_unknown_nothing() {
        let relevant = HashSet::from([3, 5]);
        let judged = |ranking: &[Option<usize>]| {
            let mut judgement = Judgement::default();
            judgement.add(ranking, &relevant);
            judgement.to_string()
        };
        assert_eq!(judged(&[Some(3), Some(5)]), "1.000 | 1.000 | 1.000");
        assert_eq!(judged(&[None, Some(3)]), "0.500 | 0.387 | 0.500");
        assert_eq!(judged(&[]), "0.000 | 0.000 | 0.000");
    }
}
