//! Token counts as providers write them.

use loomgate_domain::Usage;
use serde::{Deserialize, Deserializer};

use crate::lenient::{Object, Plain};

/// Counts in the shapes of chat completions (`prompt_tokens`), of responses and runs
/// (`input_tokens`), and of Anthropic's messages, where what the cache had is counted beside the
/// input. What is no count counts as missing: an answer is not to be lost for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RawUsage {
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: u64,
    reasoning: u64,
}

impl RawUsage {
    /// These counts, and the older ones for what they leave out: some streams tell the prompt's at
    /// their beginning and the answer's at their end. `None`: nothing was counted.
    pub(crate) fn over(self, older: Option<Usage>) -> Option<Usage> {
        if self.prompt.is_none() && self.completion.is_none() {
            return older;
        }
        let older = older.unwrap_or_default();
        Some(Usage {
            prompt_tokens: self.prompt.unwrap_or(older.prompt_tokens),
            completion_tokens: self.completion.unwrap_or(older.completion_tokens),
            cached_tokens: match self.prompt {
                Some(_) => self.cached,
                None => older.cached_tokens,
            },
            reasoning_tokens: match self.completion {
                Some(_) => self.reasoning,
                None => older.reasoning_tokens,
            },
        })
    }
}

/// The fields of all shapes.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Fields<'a> {
    prompt_tokens: Plain<'a>,
    input_tokens: Plain<'a>,
    completion_tokens: Plain<'a>,
    output_tokens: Plain<'a>,
    cache_read_input_tokens: Plain<'a>,
    cache_creation_input_tokens: Plain<'a>,
    prompt_tokens_details: Object<Details<'a>>,
    input_tokens_details: Object<Details<'a>>,
    completion_tokens_details: Object<Details<'a>>,
    output_tokens_details: Object<Details<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Details<'a> {
    cached_tokens: Plain<'a>,
    reasoning_tokens: Plain<'a>,
}

impl From<Fields<'_>> for RawUsage {
    fn from(fields: Fields<'_>) -> Self {
        let either = |one: &Plain<'_>, other: &Plain<'_>| one.count().or_else(|| other.count());
        let read = fields.cache_read_input_tokens.count().unwrap_or(0);
        let written = fields.cache_creation_input_tokens.count().unwrap_or(0);
        let prompt = either(&fields.prompt_tokens, &fields.input_tokens);
        let prompts = [fields.prompt_tokens_details, fields.input_tokens_details];
        let answers = [
            fields.completion_tokens_details,
            fields.output_tokens_details,
        ];
        let cached = prompts
            .iter()
            .find_map(|details| details.0.as_ref()?.cached_tokens.count());
        let reasoning = answers
            .iter()
            .find_map(|details| details.0.as_ref()?.reasoning_tokens.count());
        Self {
            prompt: prompt.map(|prompt| prompt.saturating_add(read).saturating_add(written)),
            completion: either(&fields.completion_tokens, &fields.output_tokens),
            cached: cached.unwrap_or(0).max(read),
            reasoning: reasoning.unwrap_or(0),
        }
    }
}

impl<'de> Deserialize<'de> for RawUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Object::<Fields<'de>>::deserialize(deserializer)?;
        Ok(fields.0.map_or_else(Self::default, Self::from))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(value: &Value) -> Option<(u64, u64, u64, u64)> {
        let raw: RawUsage = serde_json::from_value(value.clone()).unwrap();
        raw.over(None).map(told)
    }

    fn told(usage: Usage) -> (u64, u64, u64, u64) {
        let Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            reasoning_tokens,
        } = usage;
        (
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            reasoning_tokens,
        )
    }

    #[test]
    fn counts_are_read_in_every_shape() {
        let chat = json!({
            "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        });
        assert_eq!(of(&chat), Some((9, 4, 3, 2)));
        let responses = json!({
            "input_tokens": 9, "output_tokens": 4,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 2},
        });
        assert_eq!(of(&responses), Some((9, 4, 3, 2)));
        let messages = json!({
            "input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2,
            "output_tokens": 4,
        });
        assert_eq!(of(&messages), Some((9, 4, 3, 0)));
    }

    #[test]
    fn what_is_no_count_counts_as_missing() {
        assert_eq!(
            of(&json!({"prompt_tokens": 9.0, "completion_tokens": "4"})),
            Some((9, 0, 0, 0))
        );
        let odd =
            json!({"prompt_tokens": 1, "prompt_tokens_details": [], "completion_tokens": null});
        assert_eq!(of(&odd), Some((1, 0, 0, 0)));
        for none in [
            json!({}),
            json!("12"),
            json!([1]),
            json!({"prompt_tokens": -1}),
        ] {
            assert_eq!(of(&none), None, "{none}");
        }
    }

    #[test]
    fn counts_that_come_in_two_parts_are_put_together() {
        let raw = |value| serde_json::from_value::<RawUsage>(value).unwrap();
        let start = raw(json!({"input_tokens": 9, "output_tokens": 1})).over(None);
        let end = raw(json!({"output_tokens": 4})).over(start);
        assert_eq!(end.map(told), Some((9, 4, 0, 0)));
        assert_eq!(raw(json!({})).over(end), end);
    }
}
