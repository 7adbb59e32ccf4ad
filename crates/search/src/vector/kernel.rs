//! The inner loops. They are plain loops that the compiler turns into wide multiplications; `pulp` compiles
//! them a second time for processors with AVX2 and chooses at run time, as the program is built for any x86-64.

use pulp::{Arch, Simd, WithSimd};

use super::VectorError;

/// For each row of `codes` the sum of its products with `query`. Both are small enough for 32 bits,
/// see [`super::MAX_DIMENSIONS`].
pub(super) fn sums_of_products(codes: &[i8], query: &[i16], sums: &mut [i32]) {
    Arch::new().dispatch(Sums {
        codes,
        query,
        results: sums,
    });
}

struct Sums<'a> {
    codes: &'a [i8],
    query: &'a [i16],
    results: &'a mut [i32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "compiled for the processor only where it is inlined"
    )]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, sum) in self.codes.chunks_exact(self.query.len()).zip(self.results) {
            let products = row
                .iter()
                .zip(self.query)
                .map(|(&code, &query)| i32::from(code) * i32::from(query));
            *sum = products.sum();
        }
    }
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
