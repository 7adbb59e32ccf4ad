//! Guardrails: checks of a request's or an answer's text that need no network.
//!
//! A hook is read once, its patterns and schemas compiled; running it is pure and bounded by the
//! text. The checks are those of the open gateway's plugin `default` (`contract/portkey.md`
//! section 4.3) that are deterministic; any other is refused where it is read, by name. Results
//! have the original's JSON.
//!
//! Which hooks run (not on assistants calls, none after a failed call), and what a denial becomes
//! (446), is the caller's.

mod check;
mod outcome;
mod parameters;
mod parse;
mod quoted;
mod schema;
mod text;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use self::{
    check::Check,
    outcome::{CheckError, CheckResult, HookResult},
    text::{chunk_text, request_text, response_text},
};

/// A guardrail: checks that must all hold.
#[derive(Debug, Clone)]
pub struct Hook {
    /// What results call it; empty where the config gave none.
    pub id: String,
    /// Whether a failure refuses the call.
    pub deny: bool,
    /// At least one.
    pub checks: Vec<Check>,
    /// Whether the call does not wait for it: it denies nothing then.
    pub asynchronous: bool,
    /// Whether its checks are to run one after the other; they always do.
    pub sequential: bool,
    /// What is recorded as feedback on the call when all checks hold.
    pub on_success: Option<Feedback>,
    /// What is recorded as feedback on the call when one does not.
    pub on_fail: Option<Feedback>,
    /// Of all that the config says about it: tells it from others.
    pub hash: [u8; 32],
}

/// Feedback on a call. In results its `metadata` also list the checks by how they ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Feedback {
    /// -10 to 10.
    pub value: i64,
    /// 0 to 1.
    pub weight: f64,
    /// Anything.
    pub metadata: Map<String, Value>,
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// [`request_text`] of a request, [`response_text`] of an answer.
    pub text: &'a str,
    /// The whole JSON of the request or answer.
    pub body: &'a Value,
    /// The model that the request asks for; where it is `None`, the body's is taken.
    pub model: Option<&'a str>,
    /// The request's metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// What kind of request it is: `chatComplete`, `complete`, `embed`, `messages`,
    /// `createModelResponse`.
    pub endpoint: &'a str,
}

impl Hook {
    /// Reads a guardrail in one of its two forms:
    /// `{"type": "guardrail", "id": "..", "deny": true, "checks": [{"id": "default.contains",
    /// "parameters": {..}}]}`, or the shorthand `{"default.contains": {..}, "deny": true}`. The
    /// error is a sentence for the caller.
    pub fn parse(value: &Value) -> Result<Self, String> {
        parse::hook(value)
    }

    /// Whether its verdict depends on the request's metadata.
    pub fn looks_at_metadata(&self) -> bool {
        self.checks.iter().any(Check::looks_at_metadata)
    }

    /// Runs all checks; `now_ms` (milliseconds of Unix time) is what the results are dated with.
    pub fn run(&self, subject: &Subject<'_>, now_ms: i64) -> HookResult {
        outcome::run(self, subject, now_ms)
    }
}

#[cfg(test)]
mod tests;
