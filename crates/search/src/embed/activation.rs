//! What happens to numbers between the matrices. Plain loops, compiled twice as in `vector/kernel.rs`.

use pulp::{Arch, Simd, WithSimd};

/// `gelu` in its exact form, `x / 2 * (1 + erf(x / sqrt 2))`, within 1e-6.
pub(super) fn gelu(numbers: &mut [f32]) {
    Arch::new().dispatch(Gelu(numbers));
}

struct Gelu<'a>(&'a mut [f32]);

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "compiled for the processor only where it is inlined"
    )]
    fn with_simd<S: Simd>(self, _: S) {
        for number in self.0 {
            *number =
                0.5 * *number * (1.0 + error_function(*number * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// Makes each row of `width` numbers positive with the sum 1: `exp(x) / sum of exp`.
pub(super) fn softmax(rows: &mut [f32], width: usize) {
    Arch::new().dispatch(Softmax { rows, width });
}

struct Softmax<'a> {
    rows: &'a mut [f32],
    width: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "compiled for the processor only where it is inlined"
    )]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.width) {
            let peak = row
                .iter()
                .fold(f32::NEG_INFINITY, |peak, &number| peak.max(number));
            for number in &mut *row {
                *number = exponential(*number - peak);
            }
            let share = 1.0 / sum(row, |number| number);
            for number in row {
                *number *= share;
            }
        }
    }
}

/// Adds `added` to `rows` and brings each row of `weight.len()` numbers to mean 0 and variance 1, then to
/// `weight` and `bias`.
pub(super) fn add_and_normalise(rows: &mut [f32], added: &[f32], norm: &Norm<'_>) {
    Arch::new().dispatch(Normalise { rows, added, norm });
}

/// The numbers of a layer normalisation.
pub(super) struct Norm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) epsilon: f32,
}

struct Normalise<'a> {
    rows: &'a mut [f32],
    added: &'a [f32],
    norm: &'a Norm<'a>,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "compiled for the processor only where it is inlined"
    )]
    fn with_simd<S: Simd>(self, _: S) {
        let Norm {
            weight,
            bias,
            epsilon,
        } = *self.norm;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let width = weight.len() as f32;
        let rows = self.rows.chunks_exact_mut(weight.len());
        for (row, added) in rows.zip(self.added.chunks_exact(weight.len())) {
            for (number, added) in row.iter_mut().zip(added) {
                *number += added;
            }
            let mean = sum(row, |number| number) / width;
            let variance = sum(row, |number| (number - mean) * (number - mean)) / width;
            let share = 1.0 / (variance + epsilon).sqrt();
            for ((number, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
                *number = (*number - mean) * share * weight + bias;
            }
        }
    }
}

/// The sum of what `of` makes of each number, in 8 lanes.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled for the processor only where it is inlined"
)]
fn sum(numbers: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (wide, rest) = numbers.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for numbers in wide {
        for (lane, &number) in lanes.iter_mut().zip(numbers) {
            *lane += of(number);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&number| of(number)).sum::<f32>()
}

/// `erf`, by Abramowitz and Stegun 7.1.26.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled for the processor only where it is inlined"
)]
fn error_function(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = ((((1.061_405_4 * t - 1.453_152_1) * t + 1.421_413_7) * t - 0.284_496_72) * t
        + 0.254_829_6)
        * t;
    (1.0 - series * exponential(-size * size)).copysign(x)
}

/// Added to a small number, it leaves the nearest integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// `exp` near 0, highest power first.
const SERIES: [f32; 7] = [
    0.001_398_2,
    0.008_333_452,
    0.041_665_795,
    0.166_666_65,
    0.5,
    1.0,
    1.0,
];

/// `exp`, within 2e-7 of the result, of a number up to 88; below -87 nothing.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled for the processor only where it is inlined"
)]
fn exponential(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let series = SERIES.iter().fold(0.0, |sum, factor| sum * rest + factor);
    series * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_and_error_functions_are_close() {
        for step in -8700..8800_i16 {
            let x = f32::from(step) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exponential(x)) - exact).abs() / exact;
            assert!(error < 5e-7, "exp({x}) is off by {error}");
        }
        assert!(exponential(-1000.0) < 1e-37);
        let known = [
            (0.0, 0.0),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (-1.0, -0.842_700_8),
            (3.0, 0.999_977_9),
        ];
        for (x, exact) in known {
            assert!((error_function(x) - exact).abs() < 1e-6, "erf({x})");
        }
    }

    #[test]
    fn rows_are_normalised() {
        let mut rows = [1.0, 2.0, 3.0, -50.0, 0.0, 900.0];
        softmax(&mut rows, 3);
        for (found, exact) in rows
            .iter()
            .zip([0.090_030_57, 0.244_728_5, 0.665_241, 0.0, 0.0, 1.0])
        {
            assert!((found - exact).abs() < 1e-6);
        }
        let mut rows = [0.0, 1.0, 2.0, 3.0];
        let norm = Norm {
            weight: &[2.0; 4],
            bias: &[1.0; 4],
            epsilon: 1e-12,
        };
        add_and_normalise(&mut rows, &[1.0; 4], &norm);
        for (found, exact) in rows
            .iter()
            .zip([-1.683_281_6, 0.105_572_8, 1.894_427_2, 3.683_281_6])
        {
            assert!((found - exact).abs() < 1e-5, "{found} is not {exact}");
        }
    }
}
