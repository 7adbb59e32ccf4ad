//! Log records: what became of a request, or of a model call of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ApiKeyId, IdGen, IdKind, LogId, RunId, ThreadId, Usage, WorkspaceId, id, limit::Nanodollars,
};

/// Characters of a log id behind its time.
const RANDOM_CHARS: usize = 16;

/// The largest time that fits into a log id: the year 10889.
const LAST_MS: i64 = 0xffff_ffff_ffff;

/// One request, or one model call of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its id, from [`new_log_id`] and `created_at_ms`: ids sort by time.
    pub id: LogId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// When it began; milliseconds since 1970.
    pub created_at_ms: i64,
    /// What it is about.
    pub kind: RecordKind,
    /// `x-request-id` of the answer; empty for model calls of runs.
    pub request_id: String,
    /// `x-portkey-trace-id`.
    pub trace_id: String,
    /// Where it stands in the trace.
    pub span: Span,
    /// Who called.
    pub api_key: ApiKeyId,
    /// `POST`
    pub method: String,
    /// The path as the caller wrote it, without the query.
    pub path: String,
    /// The slug of the config that chose the way; none: a virtual key alone, or an inline config.
    pub config: Option<String>,
    /// The virtual key that served; none: the caller's own credential, or nobody.
    pub virtual_key: Option<String>,
    /// Who served: `openai`; `loomgate` for what was answered here.
    pub provider: String,
    /// Which part of the config served: `config.targets[1]`.
    pub option_index: String,
    /// The model as the caller named it.
    pub model: Option<String>,
    /// The model as the provider named it.
    pub served_model: Option<String>,
    /// Calls made to providers.
    pub attempts: u32,
    /// The status of the answer.
    pub status: u16,
    /// Why it failed, in words.
    pub error: Option<String>,
    /// What the provider counted; none: it did not.
    pub usage: Option<Usage>,
    /// What it cost; none: the model has no price, or there was no usage.
    pub cost: Option<Nanodollars>,
    /// Until the first byte of the answer's body; none: it had none.
    pub first_byte_us: Option<u64>,
    /// Until the last.
    pub total_us: u64,
    /// What of that was not the provider's.
    pub overhead_us: u64,
    /// `HIT`, `MISS`, `REFRESH`, `DISABLED`
    pub cache: String,
    /// Verdicts of guardrails, where there were any.
    pub guardrails: Option<Value>,
    /// The caller's pairs, those of its key included.
    pub metadata: BTreeMap<String, String>,
    /// The run whose model call it is.
    pub run: Option<RunId>,
    /// The run's thread.
    pub thread: Option<ThreadId>,
    /// What was asked, redacted and cut; only where bodies are kept.
    pub request_body: Option<String>,
    /// What was answered, redacted and cut; only where bodies are kept.
    pub response_body: Option<String>,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A request of a client.
    Request,
    /// A model call of a run.
    ModelCall,
    /// A record that a client inserted.
    Inserted,
}

/// A place in a trace, as the caller named it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Span {
    /// `x-portkey-span-id`
    pub id: Option<String>,
    /// `x-portkey-parent-span-id`
    pub parent_id: Option<String>,
    /// `x-portkey-span-name`
    pub name: Option<String>,
}

/// Digits of the time in an id.
const TIME_DIGITS: u32 = 12;
/// The bytes of an id.
const LONGEST: usize = id::LogKind::PREFIX.len() + TIME_DIGITS as usize + RANDOM_CHARS;

/// A new id for a record that began at `created_at_ms`: ids sort by it.
pub fn new_log_id(created_at_ms: i64, ids: &dyn IdGen) -> LogId {
    let random = id::random_text(ids, RANDOM_CHARS);
    LogId::trusted(log_id_prefix(created_at_ms) + &random)
}

/// What the ids of all records of a millisecond begin with: `log_` and 12 hexadecimal digits. Times
/// before 1970 count as 1970.
pub fn log_id_prefix(created_at_ms: i64) -> String {
    let time = created_at_ms.clamp(0, LAST_MS);
    let mut prefix = String::with_capacity(LONGEST);
    prefix.push_str(id::LogKind::PREFIX);
    id::push_hex(&mut prefix, time.unsigned_abs().into(), TIME_DIGITS);
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl IdGen for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let times = [i64::MIN, 1, 15, 16, 1_700_000_000_000, LAST_MS];
        let ids: Vec<_> = times.map(|ms| new_log_id(ms, &Zeros)).into();
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[4].as_str(), "log_018bcfe568000000000000000000");
        assert_eq!(new_log_id(i64::MAX, &Zeros), ids[5]);
    }
}
