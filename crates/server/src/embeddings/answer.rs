//! What a provider answers: embeddings as lists of numbers, or as `encoding_format: base64` writes
//! them, which some servers do unasked.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use loomgate_search::vector::{Code, MAX_DIMENSIONS};
use serde::Deserialize;

/// An answer that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The provider sent something else than embeddings: {0}.")]
pub(super) struct NoEmbeddings(String);

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// Which text it is of; without it, the one at its place.
    index: Option<usize>,
    embedding: Numbers,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    Floats(Vec<f32>),
    /// Four bytes each, the lowest first.
    Base64(String),
}

/// The embeddings of so many texts, in the order of these.
pub(super) fn read(body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, NoEmbeddings> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| NoEmbeddings(error.to_string()))?;
    let mut found: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (place, item) in answer.data.into_iter().enumerate() {
        let index = item.index.unwrap_or(place);
        let slot = found
            .get_mut(index)
            .ok_or_else(|| NoEmbeddings(format!("there are {texts} texts, and no text {index}")))?;
        *slot = Some(numbers(item.embedding)?);
    }
    let missing = found.iter().filter(|slot| slot.is_none()).count();
    if missing > 0 {
        let problem = format!("of {texts} texts {missing} have none");
        return Err(NoEmbeddings(problem));
    }
    Ok(found.into_iter().flatten().collect())
}

fn numbers(numbers: Numbers) -> Result<Vec<f32>, NoEmbeddings> {
    let numbers = match numbers {
        Numbers::Floats(numbers) => numbers,
        Numbers::Base64(text) => {
            let bytes = BASE64_STANDARD.decode(text);
            let bytes = bytes.map_err(|error| NoEmbeddings(error.to_string()))?;
            let (numbers, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(NoEmbeddings("its base64 is cut off".into()));
            }
            numbers.iter().copied().map(f32::from_le_bytes).collect()
        }
    };
    if numbers.is_empty() || numbers.len() > MAX_DIMENSIONS {
        let width = numbers.len();
        return Err(NoEmbeddings(format!("one has {width} numbers")));
    }
    // Whether it has a direction.
    Code::new(&numbers).map_err(|error| NoEmbeddings(error.to_string()))?;
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(data: &serde_json::Value, texts: usize) -> Result<Vec<Vec<f32>>, String> {
        let body = json!({"object": "list", "data": data, "model": "m"}).to_string();
        read(body.as_bytes(), texts).map_err(|error| error.to_string())
    }

    #[test]
    fn embeddings_come_in_the_order_of_their_texts() {
        let bytes: Vec<u8> = [0.5_f32, -2.0]
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        let base64 = BASE64_STANDARD.encode(bytes);
        let data = json!([
            {"object": "embedding", "index": 1, "embedding": [1, 2.5]},
            {"object": "embedding", "index": 0, "embedding": base64},
        ]);
        assert_eq!(of(&data, 2).unwrap(), [[0.5, -2.0], [1.0, 2.5]]);
        let without = json!([{"embedding": [1.0]}, {"embedding": [2.0]}]);
        assert_eq!(of(&without, 2).unwrap(), [[1.0], [2.0]]);
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (data, texts, expected) in [
            (json!([]), 1, "of 1 texts 1 have none"),
            (json!([{"index": 3, "embedding": [1.0]}]), 1, "no text 3"),
            (
                json!([{"index": 0, "embedding": []}]),
                1,
                "one has 0 numbers",
            ),
            (
                json!([{"index": 0, "embedding": [0.0, 0.0]}]),
                1,
                "no direction",
            ),
            (json!([{"index": 0, "embedding": "AAA="}]), 1, "cut off"),
            (json!([{"index": 0, "embedding": "!"}]), 1, "Invalid"),
            (
                json!([{"index": 0, "embedding": null}]),
                1,
                "something else",
            ),
            (json!({}), 1, "invalid type"),
        ] {
            let problem = of(&data, texts).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let wide = json!([{"index": 0, "embedding": vec![1.0; MAX_DIMENSIONS + 1]}]);
        assert!(of(&wide, 1).unwrap_err().contains("8193 numbers"));
        assert!(read(b"<html>", 1).is_err());
    }
}
