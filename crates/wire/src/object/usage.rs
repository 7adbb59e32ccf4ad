//! Token counts (contract section 8.1: the odd key names are the original's).

use loomgate_domain as domain;
use serde::Serialize;

use super::COUNT;
use crate::shape::{Field, Shape, inline, object};

/// Token counts, as clients see them.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    pub prompt_token_details: PromptDetails,
    pub completion_tokens_details: CompletionDetails,
}

/// What the prompt was made of.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PromptDetails {
    /// Taken from the provider's cache.
    pub cached_tokens: u64,
}

/// What the completion was made of.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CompletionDetails {
    /// Reasoning, which clients do not see.
    pub reasoning_tokens: u64,
}

impl From<domain::Usage> for Usage {
    fn from(record: domain::Usage) -> Self {
        Self {
            prompt_tokens: record.prompt_tokens,
            completion_tokens: record.completion_tokens,
            total_tokens: record.total_tokens(),
            prompt_token_details: PromptDetails {
                cached_tokens: record.cached_tokens,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: record.reasoning_tokens,
            },
        }
    }
}

/// The shape of token counts.
pub(crate) static SHAPE: Shape = object(
    "Usage",
    "Token counts.",
    &[
        Field::required("prompt_tokens", &COUNT, "Tokens sent to the model."),
        Field::required(
            "completion_tokens",
            &COUNT,
            "Tokens that the model wrote, reasoning included.",
        ),
        Field::required("total_tokens", &COUNT, "Both together."),
        Field::required(
            "prompt_token_details",
            &inline(&[Field::required(
                "cached_tokens",
                &COUNT,
                "Taken from the provider's cache.",
            )]),
            "What the prompt was made of.",
        ),
        Field::required(
            "completion_tokens_details",
            &inline(&[Field::required("reasoning_tokens", &COUNT, "Reasoning.")]),
            "What the completion was made of.",
        ),
    ],
);
