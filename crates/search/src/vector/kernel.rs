//! The inner loops. `pulp` compiles them a second time for processors with AVX2 and chooses at run time,
//! as the program is built for any x86-64.

use pulp::{Arch, Simd, WithSimd};

use super::VectorError;

/// For each row of `codes` the sum of its products with `query`. Both are small enough for 32 bits,
/// see [`super::MAX_DIMENSIONS`].
pub(super) fn sums_of_products(codes: &[i8], query: &[i16], sums: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        let sums = wide::Sums {
            avx2: avx2.avx2,
            codes,
            query,
            results: sums,
        };
        return Simd::vectorize(avx2, sums);
    }
    for (row, sum) in codes.chunks_exact(query.len()).zip(sums) {
        *sum = sum_of_products(row, query);
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled for the processor only where it is inlined"
)]
fn sum_of_products(codes: &[i8], query: &[i16]) -> i32 {
    let products = codes.iter().zip(query);
    products
        .map(|(&code, &query)| i32::from(code) * i32::from(query))
        .sum()
}

/// With AVX2 the compiler fills only half of a register here, so that it is told what to do.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::__m256i;

    use pulp::{Simd, WithSimd, cast, core_arch::x86::Avx2};

    /// Codes that one instruction multiplies.
    const WIDTH: usize = 16;
    /// Sums that run side by side, as each addition waits for the one before.
    const SUMS: usize = 4;

    pub(super) struct Sums<'a> {
        pub(super) avx2: Avx2,
        pub(super) codes: &'a [i8],
        pub(super) query: &'a [i16],
        pub(super) results: &'a mut [i32],
    }

    impl WithSimd for Sums<'_> {
        type Output = ();

        #[inline(always)]
        #[expect(
            clippy::inline_always,
            reason = "compiled for the processor only where it is inlined"
        )]
        fn with_simd<S: Simd>(self, _: S) {
            let avx2 = self.avx2;
            let (query, query_rest) = self.query.as_chunks::<{ SUMS * WIDTH }>();
            for (row, result) in self.codes.chunks_exact(self.query.len()).zip(self.results) {
                let (row, row_rest) = row.as_chunks::<{ SUMS * WIDTH }>();
                let mut sums: [__m256i; SUMS] = [cast([0_i32; 8]); SUMS];
                for (codes, query) in row.iter().zip(query) {
                    let codes = codes.as_chunks::<WIDTH>().0;
                    let query = query.as_chunks::<WIDTH>().0;
                    for ((sum, codes), query) in sums.iter_mut().zip(codes).zip(query) {
                        let codes = avx2._mm256_cvtepi8_epi16(cast(*codes));
                        let products = avx2._mm256_madd_epi16(codes, cast(*query));
                        *sum = avx2._mm256_add_epi32(*sum, products);
                    }
                }
                let [one, two, three, four] = sums;
                let half = avx2._mm256_add_epi32(one, two);
                let other = avx2._mm256_add_epi32(three, four);
                let lanes: [i32; 8] = cast(avx2._mm256_add_epi32(half, other));
                *result = lanes.iter().sum::<i32>() + super::sum_of_products(row_rest, query_rest);
            }
        }
    }

    /// Places after which sums of 16 bits may be full.
    const PLACES: usize = 256;

    pub(super) struct Looks<'a> {
        pub(super) avx2: Avx2,
        pub(super) tiles: &'a [[u8; 32]],
        pub(super) tables: &'a [[[u8; 32]; 2]],
        pub(super) results: &'a mut [[u32; 32]],
    }

    impl WithSimd for Looks<'_> {
        type Output = ();

        #[inline(always)]
        #[expect(
            clippy::inline_always,
            reason = "compiled for the processor only where it is inlined"
        )]
        fn with_simd<S: Simd>(self, _: S) {
            let avx2 = self.avx2;
            let half: __m256i = cast([15_u8; 32]);
            for (tile, result) in self.tiles.chunks_exact(self.tables.len()).zip(self.results) {
                *result = [0; 32];
                for (tile, tables) in tile.chunks(PLACES).zip(self.tables.chunks(PLACES)) {
                    // Of two rows each lane of `both` has the sum of the first and, 256 times, that of the second.
                    let mut both: __m256i = cast([0_u16; 16]);
                    let mut second: __m256i = cast([0_u16; 16]);
                    for (bytes, [lower, upper]) in tile.iter().zip(tables) {
                        let bytes: __m256i = cast(*bytes);
                        let low = avx2._mm256_and_si256(bytes, half);
                        let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), half);
                        let low = avx2._mm256_shuffle_epi8(cast(*lower), low);
                        let high = avx2._mm256_shuffle_epi8(cast(*upper), high);
                        let sums = avx2._mm256_add_epi8(low, high);
                        both = avx2._mm256_add_epi16(both, sums);
                        second = avx2._mm256_add_epi16(second, avx2._mm256_srli_epi16::<8>(sums));
                    }
                    let first = avx2._mm256_sub_epi16(both, avx2._mm256_slli_epi16::<8>(second));
                    let first: [u16; 16] = cast(first);
                    let second: [u16; 16] = cast(second);
                    let pairs = result.as_chunks_mut::<2>().0;
                    for ((pair, first), second) in pairs.iter_mut().zip(first).zip(second) {
                        pair[0] += u32::from(first);
                        pair[1] += u32::from(second);
                    }
                }
            }
        }
    }
}

/// For each row of each tile the sum of what its half bytes have in their tables: the lower half of a byte has the first
/// table of its place, the upper half the second. Both together are a byte at most.
pub(super) fn sums_by_tables(tiles: &[[u8; 32]], tables: &[[[u8; 32]; 2]], sums: &mut [[u32; 32]]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        let looks = wide::Looks {
            avx2: avx2.avx2,
            tiles,
            tables,
            results: sums,
        };
        return Simd::vectorize(avx2, looks);
    }
    for (tile, sums) in tiles.chunks_exact(tables.len()).zip(sums) {
        *sums = sums_of_tile(tile, tables);
    }
}

fn sums_of_tile(tile: &[[u8; 32]], tables: &[[[u8; 32]; 2]]) -> [u32; 32] {
    let mut sums = [0; 32];
    for (bytes, [lower, upper]) in tile.iter().zip(tables) {
        for (sum, byte) in sums.iter_mut().zip(bytes) {
            let (low, high) = (usize::from(byte & 15), usize::from(byte >> 4));
            *sum += u32::from(lower[low]) + u32::from(upper[high]);
        }
    }
    sums
}

/// The cosine of two vectors of any length, as long as its square fits into 32 bits.
pub fn cosine(one: &[f32], other: &[f32]) -> Result<f32, VectorError> {
    if one.len() != other.len() {
        return Err(VectorError::Dimensions {
            expected: one.len(),
            found: other.len(),
        });
    }
    let [product, one, other] = Arch::new().dispatch(Products { one, other });
    // In 64 bits: the product of two squares may leave 32.
    let length = f64::from(one).sqrt() * f64::from(other).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a cosine")]
    let cosine = (f64::from(product) / length) as f32;
    if cosine.is_finite() {
        Ok(cosine.clamp(-1.0, 1.0))
    } else {
        Err(VectorError::NoDirection)
    }
}

/// Sums of products: of both vectors, of the one with itself, of the other with itself.
struct Products<'a> {
    one: &'a [f32],
    other: &'a [f32],
}

/// Sums run side by side in this many lanes, as the compiler may not reorder a sum of floats itself.
const LANES: usize = 16;

impl WithSimd for Products<'_> {
    type Output = [f32; 3];

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "compiled for the processor only where it is inlined"
    )]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let (ones, one_rest) = self.one.as_chunks::<LANES>();
        let (others, other_rest) = self.other.as_chunks::<LANES>();
        let mut lanes = [[0.0_f32; LANES]; 3];
        for (one, other) in ones.iter().zip(others) {
            for lane in 0..LANES {
                lanes[0][lane] += one[lane] * other[lane];
                lanes[1][lane] += one[lane] * one[lane];
                lanes[2][lane] += other[lane] * other[lane];
            }
        }
        let mut sums = lanes.map(|lanes| lanes.iter().sum::<f32>());
        for (one, other) in one_rest.iter().zip(other_rest) {
            sums[0] += one * other;
            sums[1] += one * one;
            sums[2] += other * other;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wide_sums_are_the_plain_ones(
            query in prop::collection::vec(-2047_i16..=2047, 1..300),
            codes in prop::collection::vec(any::<i8>(), 900),
        ) {
            let rows = codes.chunks_exact(query.len());
            let plain: Vec<i32> = rows.map(|row| sum_of_products(row, &query)).collect();
            let mut wide = vec![0; plain.len()];
            sums_of_products(&codes, &query, &mut wide);
            prop_assert_eq!(wide, plain);
        }

        #[test]
        fn wide_sums_by_tables_are_the_plain_ones(
            tables in prop::collection::vec(prop::array::uniform16((0_u8..128, 0_u8..128)), 1..600),
            bytes in any::<u64>(),
        ) {
            let twice = |half: [u8; 16]| std::array::from_fn(|at| half[at % 16]);
            let tables: Vec<[[u8; 32]; 2]> = tables
                .iter()
                .map(|pairs| [twice(pairs.map(|pair| pair.0)), twice(pairs.map(|pair| pair.1))])
                .collect();
            let mut state = bytes | 1;
            let tiles: Vec<[u8; 32]> = (0..2 * tables.len())
                .map(|_| std::array::from_fn(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (state >> 56) as u8
                }))
                .collect();
            let plain: Vec<[u32; 32]> = tiles.chunks_exact(tables.len()).map(|tile| sums_of_tile(tile, &tables)).collect();
            let mut wide = vec![[0; 32]; 2];
            sums_by_tables(&tiles, &tables, &mut wide);
            prop_assert_eq!(wide, plain);
        }

        #[test]
        fn a_cosine_is_that_of_64_bits(
            vectors in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..100),
        ) {
            let (one, other): (Vec<f32>, Vec<f32>) = vectors.into_iter().unzip();
            let product = |one: &[f32], other: &[f32]| -> f64 {
                one.iter().zip(other).map(|(&one, &other)| f64::from(one) * f64::from(other)).sum()
            };
            let length = (product(&one, &one) * product(&other, &other)).sqrt();
            prop_assume!(length > 1e-6);
            let exact = product(&one, &other) / length;
            prop_assert!((f64::from(cosine(&one, &other).unwrap()) - exact).abs() < 1e-5);
        }
    }
}
