//! Percentiles in little memory.

use std::collections::BTreeMap;

/// Bins a doubling: a value is known to one part in 128.
const BINS: u64 = 64;

/// Counts of values, in bins that grow with the values; at most 3776 bins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Histogram {
    bins: BTreeMap<u64, u64>,
    count: u64,
    sum: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, value: u64) {
        *self.bins.entry(bin(value)).or_default() += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The value that so many percent of all do not exceed; 0 if there are none.
    pub(super) fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut passed = 0;
        for (bin, count) in &self.bins {
            passed += count;
            if passed >= rank {
                return middle(*bin);
            }
        }
        0
    }

    /// The mean of all values; 0 if there are none.
    pub(super) fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }
}

/// Below two doublings of `BINS` every value has its own bin.
fn bin(value: u64) -> u64 {
    if value < 2 * BINS {
        return value;
    }
    let shift = u64::from(value.ilog2() - BINS.ilog2());
    shift * BINS + (value >> shift)
}

/// The middle of a bin.
fn middle(bin: u64) -> u64 {
    if bin < 2 * BINS {
        return bin;
    }
    let shift = bin / BINS - 1;
    let lowest = (bin - shift * BINS) << shift;
    lowest + ((1 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_those_of_a_sorted_list(
            mut values in prop::collection::vec(prop_oneof![0..300_u64, any::<u64>()], 1..200),
            percent in 1..=100_u64,
        ) {
            let mut histogram = Histogram::default();
            for value in &values {
                histogram.add(*value);
            }
            values.sort_unstable();
            let rank = (values.len() * usize::try_from(percent).unwrap()).div_ceil(100);
            let exact = values[rank - 1];
            let found = histogram.percentile(percent);
            prop_assert!(found.abs_diff(exact) <= exact / 128, "{found}, not {exact}");
        }
    }

    #[test]
    fn the_largest_values_have_bins_too() {
        assert_eq!(bin(u64::MAX), 57 * BINS + 127);
        assert!(middle(bin(u64::MAX)) > u64::MAX / 128 * 127);
        assert_eq!(
            (bin(127), bin(128), bin(129), bin(130)),
            (127, 128, 128, 129)
        );
    }

    #[test]
    fn nothing_has_no_mean_and_no_percentile() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.mean(), histogram.percentile(50)), (0, 0));
        histogram.add(10);
        histogram.add(20);
        assert_eq!((histogram.mean(), histogram.percentile(50)), (15, 10));
    }
}
