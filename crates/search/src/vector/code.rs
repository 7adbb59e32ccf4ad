//! A row's embedding in one byte a dimension.

use super::{MAX_DIMENSIONS, VectorError};

/// An embedding, quantised: a quarter of its size. Kept beside the full vector, it spares a start the reading of those.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// What a value is worth, in an embedding of length 1.
    scale: f32,
    values: Vec<i8>,
}

impl Code {
    const LARGEST: f32 = 127.0;

    /// Quantises an embedding of any length. The largest number becomes 127 or -127, the others follow.
    pub fn new(embedding: &[f32]) -> Result<Self, VectorError> {
        if embedding.len() > MAX_DIMENSIONS {
            return Err(VectorError::Dimensions {
                expected: MAX_DIMENSIONS,
                found: embedding.len(),
            });
        }
        let (factor, scale) = scales(embedding, Self::LARGEST)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most 127, rounded")]
        let values = embedding
            .iter()
            .map(|number| (number * factor).round() as i8)
            .collect();
        Ok(Self { scale, values })
    }

    /// The scale (f32, little endian), then one signed byte a dimension.
    pub fn to_bytes(&self) -> Vec<u8> {
        let values = self.values.iter().map(|value| value.cast_unsigned());
        self.scale.to_le_bytes().into_iter().chain(values).collect()
    }

    /// What [`Code::to_bytes`] made. Nothing if it is too short or too long, or its scale impossible.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (scale, values) = bytes.split_first_chunk::<4>()?;
        let scale = f32::from_le_bytes(*scale);
        let possible =
            scale.is_finite() && scale > 0.0 && (1..=MAX_DIMENSIONS).contains(&values.len());
        possible.then(|| Self {
            scale,
            values: values.iter().map(|value| value.cast_signed()).collect(),
        })
    }

    /// How many numbers the embedding has.
    pub fn dimensions(&self) -> usize {
        self.values.len()
    }

    pub(super) fn scale(&self) -> f32 {
        self.scale
    }

    pub(super) fn values(&self) -> &[i8] {
        &self.values
    }
}

/// What numbers are multiplied with to become codes of up to `largest`, and what a code is worth in the same
/// embedding made 1 long.
pub(super) fn scales(embedding: &[f32], largest: f32) -> Result<(f32, f32), VectorError> {
    let peak = embedding
        .iter()
        .fold(0.0_f32, |peak, number| peak.max(number.abs()));
    let sum: f64 = embedding
        .iter()
        .map(|&number| f64::from(number).powi(2))
        .sum();
    // `max` passes over numbers that are none; the sum does not.
    let factor = largest / peak;
    #[expect(clippy::cast_possible_truncation, reason = "between 1/8192 and 1")]
    let scale = (f64::from(peak) / sum.sqrt() / f64::from(largest)) as f32;
    if sum.is_finite() && factor.is_finite() && scale.is_finite() && peak > 0.0 {
        Ok((factor, scale))
    } else {
        Err(VectorError::NoDirection)
    }
}
