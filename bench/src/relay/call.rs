//! The calls that are measured. Every request carries a number, and every answer repeats it, so
//! that no answer can be taken for another's.

use std::ops::Range;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `POST /v1/threads/{thread_id}/runs/{run_id}`
    ModifyRun,
    /// `POST /v1/chat/completions`
    Chat,
}

/// A call: its request and its answer have bodies of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// Of either body.
    pub(crate) bytes: usize,
    /// Calls in a second that every arm is far from its end with.
    pub(crate) pace: u32,
    pub(crate) name: &'static str,
}

/// All calls that are measured.
pub(crate) const CALLS: [Call; 4] = [
    Call {
        kind: Kind::ModifyRun,
        bytes: 1_024,
        pace: 4_000,
        name: "Modify Run, 1 KB",
    },
    Call {
        kind: Kind::Chat,
        bytes: 1_024,
        pace: 4_000,
        name: "chat completion, 1 KB",
    },
    Call {
        kind: Kind::Chat,
        bytes: 10 * 1_024,
        pace: 2_000,
        name: "chat completion, 10 KB",
    },
    Call {
        kind: Kind::ModifyRun,
        bytes: 300 * 1_024,
        pace: 200,
        name: "Modify Run, 300 KB",
    },
];

impl Call {
    /// Whether copying it costs more than looking at it.
    pub(crate) fn is_large(&self) -> bool {
        self.bytes > 100 * 1_024
    }

    /// The path below the server's address.
    pub(crate) fn path(&self) -> &'static str {
        match self.kind {
            Kind::ModifyRun => "/v1/threads/thread_bench/runs/run_bench",
            Kind::Chat => "/v1/chat/completions",
        }
    }

    /// The body of its request.
    pub(crate) fn request(&self) -> Numbered {
        let [before, between, after] = match self.kind {
            Kind::ModifyRun => [r#"{"metadata":{"n":""#, r#"","text":""#, r#""}}"#],
            Kind::Chat => [
                r#"{"model":"gpt-4o-mini","user":""#,
                r#"","messages":[{"role":"user","content":""#,
                r#""}]}"#,
            ],
        };
        Numbered::new([before, between, after], self.bytes)
    }

    /// The body of its answer, as a provider would send it.
    pub(crate) fn answer(&self) -> Numbered {
        let [before, between, after] = match self.kind {
            Kind::ModifyRun => [
                r#"{"id":"run_bench","object":"thread.run","metadata":{"n":""#,
                r#"","text":""#,
                r#""},"thread_id":"thread_bench","assistant_id":"asst_bench","status":"completed","model":"gpt-4o-mini","tools":[],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}"#,
            ],
            Kind::Chat => [
                r#"{"id":"chatcmpl-"#,
                r#"","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":""#,
                r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}"#,
            ],
        };
        Numbered::new([before, between, after], self.bytes)
    }
}

/// A body with a place for a number.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    pub(crate) bytes: Vec<u8>,
    /// Where the number stands: so many digits.
    pub(crate) number: Range<usize>,
}

/// Digits of a number.
pub(crate) const DIGITS: usize = 16;

impl Numbered {
    fn new([before, between, after]: [&str; 3], length: usize) -> Self {
        let mut text = format!("{before}{:0DIGITS$}{between}", 0);
        let words = "It was a bright cold day in April. ".chars().cycle();
        text.extend(words.take(length.saturating_sub(text.len() + after.len())));
        text.push_str(after);
        Self {
            bytes: text.into_bytes(),
            number: before.len()..before.len() + DIGITS,
        }
    }

    /// Puts another number into it.
    pub(crate) fn set(&mut self, number: &[u8]) {
        self.bytes[self.number.clone()].copy_from_slice(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_the_size_that_is_announced() {
        for call in CALLS {
            for mut body in [call.request(), call.answer()] {
                assert_eq!(body.bytes.len(), call.bytes, "{}", call.name);
                body.set(b"1234567890123456");
                let text = String::from_utf8(body.bytes).unwrap();
                assert!(
                    text.contains("\"1234567890123456\"") || text.contains("-1234567890123456\"")
                );
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
