//! How files are cut up, as requests carry it (contract section 11.5).

use loomgate_domain::vector_store::Chunking;
use serde::Deserialize;

use crate::shape::{Field, Object, Rule, Shape, Tagged, Variant, Violation};

/// `auto`, or `static` with its sizes.
pub(super) static CHUNKING: Shape = Shape::Tagged(Tagged {
    name: "ChunkingStrategy",
    doc: "How files are cut up.",
    variants: &[
        Variant {
            tag: "auto",
            doc: "Chunks of 800 tokens, of which neighbours share 400.",
            fields: &[],
        },
        Variant {
            tag: "static",
            doc: "Chunks of a given size.",
            fields: &[Field::required("static", &STATIC, "The sizes.")],
        },
    ],
});

static STATIC: Shape = Shape::Object(Object {
    name: "",
    doc: "",
    fields: &[
        Field::required(
            "max_chunk_size_tokens",
            &Shape::Integer {
                min: Some(100),
                max: Some(4096),
            },
            "Size of a chunk.",
        ),
        Field::required(
            "chunk_overlap_tokens",
            &Shape::Integer {
                min: Some(0),
                max: Some(2048),
            },
            "What two neighbours share: at most half of the size.",
        ),
    ],
    rule: Some(OVERLAP),
});

const OVERLAP: Rule = Rule {
    broken: |sizes| {
        let size = sizes.get("max_chunk_size_tokens")?.as_i64()?;
        let overlap = sizes.get("chunk_overlap_tokens")?.as_i64()?;
        (overlap.saturating_mul(2) > size).then_some(Violation {
            at: "chunk_overlap_tokens",
            text: |path| {
                format!(
                    "Invalid '{path}': the overlap must be at most half of \
                     'max_chunk_size_tokens'."
                )
            },
            code: "invalid_value",
        })
    },
    schema: "{}",
};

/// The strategy as a request carries it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ChunkingBody {
    Auto,
    Static { r#static: Sizes },
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Sizes {
    max_chunk_size_tokens: u32,
    chunk_overlap_tokens: u32,
}

/// The strategy that a request asks for, or the default one.
pub(super) fn chunking(body: Option<ChunkingBody>) -> Chunking {
    match body {
        None | Some(ChunkingBody::Auto) => Chunking::default(),
        Some(ChunkingBody::Static { r#static: sizes }) => Chunking {
            max_tokens: sizes.max_chunk_size_tokens,
            overlap_tokens: sizes.chunk_overlap_tokens,
        },
    }
}
