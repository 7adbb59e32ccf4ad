//! The form in which an embedding is kept beside its chunk: first what a scan reads, then what a rescore reads.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | the code's scale (f32, little endian) |
//! | n | the code's values, one signed byte a dimension |
//! | 4n | the embedding itself (f32, little endian) |
//!
//! So the code is the first `4 + (length - 4) / 5` bytes ([`Code::from_bytes`] reads them), and whoever fills an
//! index reads a fifth of what is kept.

use super::{Code, VectorError};

/// The kept form of an embedding.
pub fn to_stored(embedding: &[f32]) -> Result<Vec<u8>, VectorError> {
    let mut stored = Code::new(embedding)?.to_bytes();
    stored.reserve_exact(size_of_val(embedding));
    for number in embedding {
        stored.extend_from_slice(&number.to_le_bytes());
    }
    Ok(stored)
}

/// The embedding of what [`to_stored`] made. Nothing if it is not that.
pub fn from_stored(stored: &[u8]) -> Option<Vec<f32>> {
    let dimensions = stored.len().checked_sub(4)? / 5;
    if dimensions == 0 || stored.len() != 4 + 5 * dimensions {
        return None;
    }
    let (code, embedding) = stored.split_at(4 + dimensions);
    Code::from_bytes(code)?;
    let (numbers, _) = embedding.as_chunks::<4>();
    Some(numbers.iter().copied().map(f32::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_comes_back_as_it_was_with_its_code_in_front() {
        let embedding = [0.25, -1.0, 0.5];
        let stored = to_stored(&embedding).unwrap();
        assert_eq!(stored.len(), 4 + 3 + 12);
        assert_eq!(from_stored(&stored).unwrap(), embedding);
        let code = Code::from_bytes(&stored[..4 + (stored.len() - 4) / 5]);
        assert_eq!(code.unwrap(), Code::new(&embedding).unwrap());
    }

    #[test]
    fn what_is_no_embedding_is_none() {
        assert_eq!(to_stored(&[0.0, 0.0]), Err(VectorError::NoDirection));
        let stored = to_stored(&[1.0, 2.0]).unwrap();
        for wrong in [&stored[..0], &stored[..4], &stored[..13], &[0; 14]] {
            assert_eq!(from_stored(wrong), None, "{wrong:?}");
        }
    }
}
