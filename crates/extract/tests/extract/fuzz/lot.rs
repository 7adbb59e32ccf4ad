//! Choices that can be had again.

/// A generator of numbers (splitmix64) that a type and a seed decide.
pub(super) struct Lot(u64);

impl Lot {
    pub(super) fn new(kind: &str, seed: u64) -> Self {
        let kind = kind.bytes().fold(0_u64, |sum, byte| {
            sum.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)
        });
        let mut lot = Self(kind);
        Self(lot.next() ^ seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'i, T: ?Sized>(&mut self, items: &[&'i T]) -> &'i T {
        items[self.below(items.len())]
    }

    /// A number from 1 to `most`, small ones as often as large ones.
    pub(super) fn size(&mut self, most: usize) -> usize {
        let bits = self.below(usize::try_from(most.ilog2()).unwrap() + 1);
        (1 + self.below(2 << bits)).min(most)
    }
}
