//! What a guardrail found.

mod json;
mod lists;
mod urls;
mod verdict;

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Check, Feedback, Hook, Subject};

/// What a guardrail found; its JSON is an entry of `hook_results`.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields are those of the original's JSON"
)]
pub struct HookResult {
    /// Whether every check holds, or could not be made and need not.
    pub verdict: bool,
    /// The guardrail's id.
    pub id: String,
    /// Whether a check changed the text; none here does.
    pub transformed: bool,
    /// What each check found; one that is not enabled is absent.
    pub checks: Vec<CheckResult>,
    /// What is to be recorded as feedback on the call, if anything.
    pub feedback: Option<Feedback>,
    /// Milliseconds; 0 unless a caller with a clock sets it.
    pub execution_time: u64,
    /// Whether the call did not wait for it.
    #[serde(rename = "async")]
    pub asynchronous: bool,
    /// Always `guardrail`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it ran: `2026-11-24T12:00:00.000Z`.
    pub created_at: String,
    /// Whether the call is to be refused: the verdict is no, the guardrail denies, and the call
    /// waited for it.
    pub deny: bool,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// Its reasons, an object; its fields differ from check to check.
    pub data: Value,
    /// Whether it holds.
    pub verdict: bool,
    /// The check: `default.contains`.
    pub id: String,
    /// Why it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CheckError>,
    /// Milliseconds; 0 unless a caller with a clock sets it.
    pub execution_time: u64,
    /// Whether it changed the text; none here does.
    pub transformed: bool,
    /// When it ran: `2026-11-24T12:00:00.000Z`.
    pub created_at: String,
    /// Always `null`.
    pub log: Option<Value>,
    /// Whether an error counts as a failure.
    pub fail_on_error: bool,
}

/// Why a check could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckError {
    /// Always `Error`.
    pub name: &'static str,
    /// A sentence.
    pub message: String,
}

impl CheckResult {
    /// Whether the guardrail is content with it.
    fn passes(&self) -> bool {
        self.verdict || (self.error.is_some() && !self.fail_on_error)
    }
}

pub(super) fn run(hook: &Hook, subject: &Subject<'_>, now_ms: i64) -> HookResult {
    let created_at = date(now_ms);
    let checks: Vec<_> = hook
        .checks
        .iter()
        .filter(|check| check.enabled)
        .map(|check| result(check, subject, &created_at))
        .collect();
    let verdict = checks.iter().all(CheckResult::passes);
    let feedback = if verdict {
        &hook.on_success
    } else {
        &hook.on_fail
    };
    HookResult {
        verdict,
        id: hook.id.clone(),
        transformed: false,
        feedback: feedback.as_ref().map(|given| listing(given, &checks)),
        checks,
        execution_time: 0,
        asynchronous: hook.asynchronous,
        kind: "guardrail",
        created_at,
        deny: hook.deny && !hook.asynchronous && !verdict,
    }
}

fn result(check: &Check, subject: &Subject<'_>, created_at: &str) -> CheckResult {
    let (verdict, data, error) = match verdict::of(&check.kind, subject) {
        Ok((verdict, data)) => (verdict, data, None),
        Err(message) => {
            let mut data = Map::new();
            let explanation = format!("The check could not be made: {message}.");
            data.insert("explanation".to_owned(), explanation.into());
            let excerpt = verdict::excerpt(subject.text);
            data.insert("textExcerpt".to_owned(), excerpt.into());
            let name = "Error";
            (
                false,
                Value::Object(data),
                Some(CheckError { name, message }),
            )
        }
    };
    CheckResult {
        data,
        verdict,
        id: check.id.clone(),
        error,
        execution_time: 0,
        transformed: false,
        created_at: created_at.to_owned(),
        log: None,
        fail_on_error: check.fail_on_error,
    }
}

/// Feedback with the names of the checks by how they ended.
fn listing(given: &Feedback, checks: &[CheckResult]) -> Feedback {
    let names = |chosen: fn(&CheckResult) -> bool| {
        let chosen = checks.iter().filter(|check| chosen(check));
        let names: Vec<_> = chosen.map(|check| check.id.as_str()).collect();
        Value::String(names.join(", "))
    };
    let mut feedback = given.clone();
    feedback.metadata.extend([
        ("successfulChecks".to_owned(), names(|check| check.verdict)),
        (
            "failedChecks".to_owned(),
            names(|check| !check.verdict && check.error.is_none()),
        ),
        (
            "erroredChecks".to_owned(),
            names(|check| !check.verdict && check.error.is_some()),
        ),
    ]);
    feedback
}

/// Times outside of the calendar become its beginning.
fn date(now_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
    )
}
