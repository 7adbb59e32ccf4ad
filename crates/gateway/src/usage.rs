//! Token counts as providers write them.

use loomgate_domain::Usage;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

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
    fn of(value: &Value) -> Self {
        let named = |names: [&str; 2]| names.iter().find_map(|name| count(&value[*name]));
        let details = |names: [&str; 2], field| {
            let of = |name: &&str| count(&value[*name][field]);
            names.iter().find_map(of).unwrap_or(0)
        };
        let read = count(&value["cache_read_input_tokens"]).unwrap_or(0);
        let written = count(&value["cache_creation_input_tokens"]).unwrap_or(0);
        let prompt = named(["prompt_tokens", "input_tokens"]);
        let cached = details(
            ["prompt_tokens_details", "input_tokens_details"],
            "cached_tokens",
        );
        Self {
            prompt: prompt.map(|prompt| prompt.saturating_add(read).saturating_add(written)),
            completion: named(["completion_tokens", "output_tokens"]),
            cached: cached.max(read),
            reasoning: details(
                ["completion_tokens_details", "output_tokens_details"],
                "reasoning_tokens",
            ),
        }
    }

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

impl<'de> Deserialize<'de> for RawUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Value::deserialize(deserializer)?))
    }
}

/// A count, which some servers write as `12.0`.
fn count(value: &Value) -> Option<u64> {
    let whole = || {
        let number = value.as_f64().filter(|number| *number >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not below 0, and a cast of a float saturates"
        )]
        Some(number as u64)
    };
    value.as_u64().or_else(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
