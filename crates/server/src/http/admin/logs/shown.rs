//! Records as answers show them: in the shape of Portkey's log object, with what only Loomgate knows
//! beside it. Durations are milliseconds, costs US dollars.

use loomgate_domain::log::LogRecord;
use serde_json::{Map, Value, json};

use super::super::{allowance::dollars, moment};

/// A record without its bodies.
pub(super) fn summary(record: &LogRecord) -> Value {
    log(record, false)
}

/// A record with its bodies, where they are kept.
pub(super) fn whole(record: &LogRecord) -> Value {
    log(record, true)
}

fn log(record: &LogRecord, with_bodies: bool) -> Value {
    let mut request = json!({
        "url": record.path,
        "method": record.method,
        "portkeyHeaders": portkey_headers(record),
    });
    let mut response = json!({
        "status": record.status,
        "responseTime": milliseconds(record.total_us),
        "lastUsedOptionJsonPath": record.option_index,
    });
    if with_bodies {
        request["body"] = body(record.request_body.as_deref());
        response["body"] = body(record.response_body.as_deref());
    }
    json!({
        "_id": record.id,
        "id": record.id,
        "object": "log",
        "organisation_id": null,
        "workspace_id": record.workspace,
        "created_at": moment::text_ms(record.created_at_ms),
        "request": request,
        "response": response,
        "metrics": flat(record),
        "kind": record.kind,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "span_id": record.span.id,
        "parent_span_id": record.span.parent_id,
        "span_name": record.span.name,
        "api_key_id": record.api_key,
        "virtual_key": record.virtual_key,
        "config": record.config,
        "provider": record.provider,
        "model": record.model,
        "served_model": record.served_model,
        "attempts": record.attempts,
        "error": record.error,
        "usage": record.usage,
        "cost": cost(record),
        "first_byte_ms": record.first_byte_us.map(milliseconds),
        "overhead_ms": milliseconds(record.overhead_us),
        "cache_status": record.cache,
        "guardrails": record.guardrails,
        "metadata": record.metadata,
        "run_id": record.run,
        "thread_id": record.thread,
    })
}

/// The names of the fields of an export, all but the bodies being in `metrics` too.
pub(super) const FIELDS: [&str; 28] = [
    "id",
    "trace_id",
    "created_at",
    "request",
    "response",
    "is_success",
    "ai_org",
    "ai_model",
    "req_units",
    "res_units",
    "total_units",
    "request_url",
    "request_method",
    "cost",
    "cost_currency",
    "response_time",
    "response_status_code",
    "cache_status",
    "config",
    "virtual_key",
    "api_key_id",
    "span_id",
    "run_id",
    "thread_id",
    "error",
    "metadata",
    "mode",
    "prompt_slug",
];

/// One line of an export: the fields that were asked for, or all.
pub(super) fn line(record: &LogRecord, fields: &[String]) -> Map<String, Value> {
    let mut line = flat(record);
    line.insert("request".to_owned(), body(record.request_body.as_deref()));
    line.insert("response".to_owned(), body(record.response_body.as_deref()));
    if !fields.is_empty() {
        line.retain(|name, _| fields.iter().any(|field| field == name));
    }
    line
}

fn flat(record: &LogRecord) -> Map<String, Value> {
    let usage = record.usage.as_ref();
    let fields = json!({
        "id": record.id,
        "trace_id": record.trace_id,
        "created_at": moment::text_ms(record.created_at_ms),
        "is_success": record.status < 400 && record.error.is_none(),
        "ai_org": record.provider,
        "ai_model": record.served_model.as_ref().or(record.model.as_ref()),
        "req_units": usage.map(|usage| usage.prompt_tokens),
        "res_units": usage.map(|usage| usage.completion_tokens),
        "total_units": usage.map(loomgate_domain::Usage::total_tokens),
        "request_url": record.path,
        "request_method": record.method,
        "cost": cost(record),
        "cost_currency": "USD",
        "response_time": milliseconds(record.total_us),
        "response_status_code": record.status,
        "cache_status": record.cache,
        "config": record.config,
        "virtual_key": record.virtual_key,
        "api_key_id": record.api_key,
        "span_id": record.span.id,
        "run_id": record.run,
        "thread_id": record.thread,
        "error": record.error,
        "metadata": record.metadata,
        // What Portkey has and Loomgate has not.
        "mode": null,
        "prompt_slug": null,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn portkey_headers(record: &LogRecord) -> Map<String, Value> {
    let metadata = serde_json::to_string(&record.metadata).ok();
    let metadata = metadata.filter(|_| !record.metadata.is_empty());
    let headers = [
        ("x-portkey-trace-id", Some(record.trace_id.clone())),
        ("x-portkey-span-id", record.span.id.clone()),
        ("x-portkey-parent-span-id", record.span.parent_id.clone()),
        ("x-portkey-span-name", record.span.name.clone()),
        ("x-portkey-metadata", metadata),
    ];
    let present = headers.into_iter();
    present
        .filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))))
        .collect()
}

/// A body as JSON, or as the text that is left of it where it was cut.
fn body(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
    })
}

fn cost(record: &LogRecord) -> Option<f64> {
    record.cost.map(dollars)
}

/// Microseconds as milliseconds with three digits.
#[expect(clippy::cast_precision_loss, reason = "durations far below 2^53 us")]
pub(super) fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}
