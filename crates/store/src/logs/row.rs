//! A record as a row: what is filtered or summed, and the rest as JSON; bodies are a second row.

use std::mem::take;

use loomgate_domain::{
    Usage,
    limit::Nanodollars,
    log::{LogRecord, RecordKind, Span, log_id_prefix},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    Error,
    tx::{Row, Value, to_json},
};

macro_rules! columns {
    () => {
        "workspace_id, id, created_at_ms, kind, status, failed, attempts, cache, prompt_tokens, \
         completion_tokens, cached_tokens, reasoning_tokens, cost, total_us, first_byte_us, \
         overhead_us, api_key, virtual_key, config, provider, model, served_model, trace_id, \
         run_id, thread_id, metadata, details"
    };
}
pub(super) use columns;

/// Where the metadata stands in `columns!`.
pub(super) const METADATA: usize = 25;
/// Where the rest stands there.
const DETAILS: usize = 26;

/// An id that does not begin as its record's time says it should.
#[derive(Debug, thiserror::Error)]
#[error("the id {id} is not one of the time {created_at_ms} ms")]
struct Misfiled {
    id: String,
    created_at_ms: i64,
}

/// What is neither filtered nor summed, bodies apart.
#[derive(Serialize, Deserialize)]
struct Rest {
    request_id: String,
    span: Span,
    method: String,
    path: String,
    option_index: String,
    error: Option<String>,
    guardrails: Option<Json>,
}

/// A record on its way into the database.
pub(super) struct Prepared {
    record: LogRecord,
    failed: bool,
    metadata: String,
    rest: String,
}

impl Prepared {
    pub(super) fn new(mut record: LogRecord) -> Result<Self, Error> {
        let rest = record.id.as_str();
        let rest = rest.strip_prefix(&*log_id_prefix(record.created_at_ms));
        if rest.is_none_or(str::is_empty) {
            return Err(Error::driver(Misfiled {
                id: record.id.to_string(),
                created_at_ms: record.created_at_ms,
            }));
        }
        let failed = record.status >= 400 || record.error.is_some();
        let rest = Rest {
            request_id: take(&mut record.request_id),
            span: take(&mut record.span),
            method: take(&mut record.method),
            path: take(&mut record.path),
            option_index: take(&mut record.option_index),
            error: record.error.take(),
            guardrails: record.guardrails.take(),
        };
        Ok(Self {
            failed,
            metadata: to_json(&record.metadata)?,
            rest: to_json(&rest)?,
            record,
        })
    }

    /// In the order of `columns!`.
    pub(super) fn values(&self) -> [Value<'_>; 27] {
        let record = &self.record;
        let tokens = |count: fn(&Usage) -> u64| record.usage.as_ref().map(count).map(stored);
        [
            Value::from(&record.workspace),
            Value::from(&record.id),
            Value::from(record.created_at_ms),
            Value::from(kind_name(record.kind)),
            Value::from(i64::from(record.status)),
            Value::from(i64::from(self.failed)),
            Value::from(i64::from(record.attempts)),
            Value::from(&record.cache),
            Value::from(tokens(|usage| usage.prompt_tokens)),
            Value::from(tokens(|usage| usage.completion_tokens)),
            Value::from(tokens(|usage| usage.cached_tokens)),
            Value::from(tokens(|usage| usage.reasoning_tokens)),
            Value::from(record.cost.map(|cost| stored(cost.0))),
            Value::from(stored(record.total_us)),
            Value::from(record.first_byte_us.map(stored)),
            Value::from(stored(record.overhead_us)),
            Value::from(&record.api_key),
            Value::from(record.virtual_key.as_ref()),
            Value::from(record.config.as_ref()),
            Value::from(&record.provider),
            Value::from(record.model.as_ref()),
            Value::from(record.served_model.as_ref()),
            Value::from(&record.trace_id),
            Value::from(record.run.as_ref()),
            Value::from(record.thread.as_ref()),
            Value::from(&self.metadata),
            Value::from(&self.rest),
        ]
    }

    /// Workspace, id and bodies, if any were kept.
    pub(super) fn bodies(&self) -> Option<[Value<'_>; 4]> {
        let record = &self.record;
        let (request, response) = (record.request_body.as_ref(), record.response_body.as_ref());
        (request.is_some() || response.is_some()).then(|| {
            [
                Value::from(&record.workspace),
                Value::from(&record.id),
                Value::from(request),
                Value::from(response),
            ]
        })
    }
}

/// The bodies of a request and its response, from the second row.
pub(super) fn bodies(row: &dyn Row) -> Result<(Option<String>, Option<String>), Error> {
    let text = |column: usize| Ok::<_, Error>(row.optional_text(column)?.map(str::to_owned));
    Ok((text(0)?, text(1)?))
}

/// A record from its row, without bodies.
pub(super) fn read(row: &dyn Row) -> Result<LogRecord, Error> {
    let text = |column: usize| Ok::<_, Error>(row.optional_text(column)?.map(str::to_owned));
    let number = |column: usize| row.integer(column).map(i64::unsigned_abs);
    let optional = |column: usize| {
        let found = row.optional_integer(column)?;
        Ok::<_, Error>(found.map(i64::unsigned_abs))
    };
    let usage = match (optional(8)?, optional(9)?) {
        (Some(prompt_tokens), Some(completion_tokens)) => Some(Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens: number(10)?,
            reasoning_tokens: number(11)?,
        }),
        _ => None,
    };
    let rest: Rest = row.json(DETAILS)?;
    Ok(LogRecord {
        id: row.id(1)?,
        workspace: row.id(0)?,
        created_at_ms: row.integer(2)?,
        kind: kind(row.text(3)?)?,
        request_id: rest.request_id,
        trace_id: row.text(22)?.to_owned(),
        span: rest.span,
        api_key: row.id(16)?,
        method: rest.method,
        path: rest.path,
        config: text(18)?,
        virtual_key: text(17)?,
        provider: row.text(19)?.to_owned(),
        option_index: rest.option_index,
        model: text(20)?,
        served_model: text(21)?,
        attempts: u32::try_from(row.integer(6)?).unwrap_or(u32::MAX),
        status: status(row.integer(4)?),
        error: rest.error,
        usage,
        cost: optional(12)?.map(Nanodollars),
        first_byte_us: optional(14)?,
        total_us: number(13)?,
        overhead_us: number(15)?,
        cache: row.text(7)?.to_owned(),
        guardrails: rest.guardrails,
        metadata: row.json(METADATA)?,
        run: row.optional_id(23)?,
        thread: row.optional_id(24)?,
        request_body: None,
        response_body: None,
    })
}

/// A status as it was before it became a column.
pub(super) fn status(column: i64) -> u16 {
    u16::try_from(column).unwrap_or(0)
}

pub(super) fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Request => "request",
        RecordKind::ModelCall => "model_call",
        RecordKind::Inserted => "inserted",
    }
}

fn kind(name: &str) -> Result<RecordKind, Error> {
    let all = [
        RecordKind::Request,
        RecordKind::ModelCall,
        RecordKind::Inserted,
    ];
    all.into_iter()
        .find(|kind| kind_name(*kind) == name)
        .ok_or_else(|| Error::corrupt(format!("logs.kind {name}")))
}

/// A count for a column; those beyond its range are cut.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
