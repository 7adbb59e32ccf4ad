//! `model.safetensors`.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};

use super::{ModelError, config};

/// The file's bytes.
pub(super) struct Weights {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The tensors in it.
pub(super) struct Tensors<'file> {
    path: &'file Path,
    parsed: SafeTensors<'file>,
    /// What a name begins with: models saved with a head on top say `bert.`.
    prefix: &'static str,
}

impl Weights {
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("model.safetensors");
        let bytes = config::read(&path)?;
        Ok(Self { path, bytes })
    }

    pub(super) fn parsed(&self) -> Result<Tensors<'_>, ModelError> {
        let parsed = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| config::unfit(&self.path, &format!("this is no safetensors file: {error}. Download it again; of a Git LFS pointer get the file itself")))?;
        let prefix = if parsed
            .tensor("bert.embeddings.word_embeddings.weight")
            .is_ok()
        {
            "bert."
        } else {
            ""
        };
        Ok(Tensors {
            path: &self.path,
            parsed,
            prefix,
        })
    }
}

impl Tensors<'_> {
    pub(super) fn matrix(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Array2<f32>, ModelError> {
        let numbers = self.numbers(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), numbers)
            .map_err(|error| config::unfit(self.path, &format!("{name}: {error}")))
    }

    pub(super) fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>, ModelError> {
        self.numbers(name, &[length]).map(Array1::from_vec)
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let full = format!("{}{name}", self.prefix);
        let tensor = self.parsed.tensor(&full).map_err(|_| {
            config::unfit(self.path, &format!("there is no tensor {full}: the file does not belong to the model that config.json describes"))
        })?;
        if tensor.shape() != shape {
            let found = tensor.shape();
            return Err(config::unfit(
                self.path,
                &format!("{full} has the shape {found:?}, config.json says {shape:?}"),
            ));
        }
        let data = tensor.data();
        match tensor.dtype() {
            Dtype::F32 => Ok(data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect()),
            Dtype::BF16 => Ok(data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| from_bf16(u16::from_le_bytes(*bytes)))
                .collect()),
            Dtype::F16 => Ok(data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| from_f16(u16::from_le_bytes(*bytes)))
                .collect()),
            other => Err(config::unfit(
                self.path,
                &format!("{full} is of type {other:?}, only F32, F16 and BF16 are supported"),
            )),
        }
    }
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn from_f16(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1024.0 + fraction) * 2.0_f32.powi(i32::from(exponent) - 25),
    };
    sign * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_widened() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
            (0x8000, -0.0),
        ];
        for (bits, number) in cases {
            assert_eq!(from_f16(bits).to_bits(), f32::to_bits(number));
        }
        assert!(from_f16(0x7e00).is_nan() && from_f16(0xfc00).is_infinite());
        assert_eq!(from_bf16(0xc040).to_bits(), f32::to_bits(-3.0));
    }
}
