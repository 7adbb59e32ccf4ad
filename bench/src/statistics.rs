//! Medians, and how far they can be trusted.

/// Samples that are drawn anew for an interval.
const RESAMPLES: usize = 2_000;

/// A median with the interval in which it lies with a probability of 95 %.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// Of the values.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Estimate {
    /// Of values of which there is at least one; by drawing samples of the same size from them.
    pub fn of(values: &[f64], dice: &mut Dice) -> Self {
        let mut drawn = vec![0.0; values.len()];
        let mut medians = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            drawn.fill_with(|| values[dice.below(values.len())]);
            medians.push(median(&mut drawn));
        }
        medians.sort_by(f64::total_cmp);
        Self {
            median: median(&mut values.to_vec()),
            low: medians[RESAMPLES / 40],
            high: medians[RESAMPLES - 1 - RESAMPLES / 40],
        }
    }
}

/// The middle of at least one value; of an even number of them the mean of both in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// Some number, another one each time.
pub fn any_number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(())
}

/// A number of things, of which there are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn count(number: u64) -> f64 {
    number as f64
}

/// Numbers that look random, and are the same for the same seed (splitmix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below `limit`, which is small.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The remainder is below a usize.
        usize::try_from(mixed % limit as u64).unwrap_or(0)
    }

    /// Puts values in any order.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_within_its_interval() {
        let values: Vec<f64> = (1..=31).map(f64::from).collect();
        let estimate = Estimate::of(&values, &mut Dice::new(1));
        assert!((estimate.median - 16.0).abs() < f64::EPSILON);
        assert!(estimate.low < 16.0 && estimate.high > 16.0, "{estimate:?}");
        assert!(estimate.low > 7.0 && estimate.high < 25.0, "{estimate:?}");
    }

    #[test]
    fn even_numbers_of_values_have_a_middle_too() {
        assert!((median(&mut [4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn shuffling_loses_nothing_and_every_place_is_reached() {
        let mut dice = Dice::new(7);
        let mut first = [0; 4];
        for _ in 0..400 {
            let mut values = [0, 1, 2, 3];
            dice.shuffle(&mut values);
            first[values[0]] += 1;
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3]);
        }
        assert!(
            first.iter().all(|count| (60..140).contains(count)),
            "{first:?}"
        );
    }
}
