//! `POST /v1/logs`: records of calls that went elsewhere, one or a list, as Portkey's logger and its
//! OpenTelemetry exporter send them.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use bytes::Bytes;
use loomgate_domain::{
    LogId, Patch, Usage,
    log::{LogRecord, RecordKind, Span, new_log_id},
};
use serde_json::{Value, json};

use super::super::{
    fields::{Fields, OneOrMore},
    tenant::Tenant,
};
use crate::{app::App, error::AdminError, http::idempotency::Idempotency, redact};

/// The most bytes of a text that is no body.
const LONGEST: usize = 2_048;

pub(super) async fn insert(
    State(app): State<App>,
    tenant: Tenant,
    once: Idempotency,
    OneOrMore(bodies): OneOrMore,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let records = bodies.into_iter().map(|body| record(&app, &tenant, body));
    let records: Vec<LogRecord> = records.collect::<Result<_, _>>()?;
    let ids: Vec<LogId> = records.iter().map(|record| record.id.clone()).collect();
    let answer = json!({
        "success": true,
        "status": "success",
        "message": format!("{} stored", ids.len()),
        "data": {"ids": ids},
    });
    let (response, receipt) = once.reply_to(&tenant.caller, &answer)?;
    app.store.logs().insert(records, receipt).await?;
    Ok(response)
}

fn record(app: &App, tenant: &Tenant, mut body: Fields) -> Result<LogRecord, AdminError> {
    let request = body.object("request")?.into_option();
    let request = Asked::read(request.ok_or_else(|| body.missing("request"))?)?;
    let response = body.object("response")?.into_option();
    let response = Answered::read(response.ok_or_else(|| body.missing("response"))?)?;
    let traced = match body.object("metadata")? {
        Patch::Set(metadata) => Traced::read(metadata)?,
        Patch::Absent | Patch::Null => Traced::default(),
    };
    body.finish()?;
    let keep = |body: Option<Value>| {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        bytes.map(|bytes| redact::shown(&bytes, app.config.logs.body_bytes))
    };
    let now_ms = app.clock.now_ms();
    let id = new_log_id(now_ms, &*app.ids);
    Ok(LogRecord {
        trace_id: traced.trace_id.unwrap_or_else(|| id.to_string()),
        id,
        workspace: tenant.workspace.clone(),
        created_at_ms: now_ms,
        kind: RecordKind::Inserted,
        request_id: String::new(),
        span: traced.span,
        api_key: tenant.caller.key.id.clone(),
        method: request.method,
        path: request.url,
        config: None,
        virtual_key: None,
        provider: request.provider,
        option_index: String::new(),
        model: request.model,
        served_model: response.model,
        attempts: 1,
        status: response.status,
        error: response.error,
        usage: response.usage,
        cost: None,
        first_byte_us: None,
        total_us: response.total_us,
        overhead_us: 0,
        cache: "DISABLED".to_owned(),
        guardrails: None,
        metadata: traced.pairs,
        run: None,
        thread: None,
        request_body: keep(request.body),
        response_body: keep(response.body),
    })
}

/// What was asked.
struct Asked {
    url: String,
    method: String,
    provider: String,
    model: Option<String>,
    body: Option<Value>,
}

impl Asked {
    fn read(mut request: Fields) -> Result<Self, AdminError> {
        let url = request.text("url", LONGEST)?.into_option();
        // A query may hold a key.
        let url = url.map(|url| url.split(['?', '#']).next().unwrap_or_default().to_owned());
        let method = request.text("method", 16)?.into_option();
        let provider = request.text("provider", 128)?.into_option();
        // They hold credentials: none is kept.
        let _ = request.value("headers");
        let body = request.value("body").into_option();
        request.finish()?;
        Ok(Self {
            url: url.unwrap_or_default(),
            method: method
                .unwrap_or_else(|| "POST".to_owned())
                .to_ascii_uppercase(),
            provider: provider.unwrap_or_else(|| "custom".to_owned()),
            model: model(body.as_ref()),
            body,
        })
    }
}

/// What was answered.
struct Answered {
    status: u16,
    total_us: u64,
    model: Option<String>,
    usage: Option<Usage>,
    error: Option<String>,
    body: Option<Value>,
}

impl Answered {
    fn read(mut response: Fields) -> Result<Self, AdminError> {
        let status = response.whole("status", 100..=599)?.into_option();
        // A day, in milliseconds.
        let range = 0.0..=86_400_000.0;
        let time = match response.number("response_time", range.clone())? {
            Patch::Absent | Patch::Null => response.number("time", range)?,
            time @ Patch::Set(_) => time,
        };
        let _ = response.value("headers");
        response.flag("streamingMode")?;
        let body = response.value("body").into_option();
        response.finish()?;
        let status = status.and_then(|status| u16::try_from(status).ok());
        let status = status.unwrap_or(200);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a day, and not below 0"
        )]
        let total_us = (time.into_option().unwrap_or_default() * 1000.0).round() as u64;
        Ok(Self {
            status,
            total_us,
            model: model(body.as_ref()),
            usage: usage(body.as_ref()),
            error: error(status, body.as_ref()),
            body,
        })
    }
}

/// Where it belongs, and the client's own pairs.
#[derive(Default)]
struct Traced {
    trace_id: Option<String>,
    span: Span,
    pairs: BTreeMap<String, String>,
}

impl Traced {
    fn read(metadata: Fields) -> Result<Self, AdminError> {
        let mut pairs = metadata.rest()?;
        let mut take = |names: [&str; 2]| {
            let found = names.map(|name| pairs.remove(name));
            found.into_iter().flatten().next()
        };
        Ok(Self {
            trace_id: take(["traceId", "trace_id"]),
            span: Span {
                id: take(["spanId", "span_id"]),
                parent_id: take(["parentSpanId", "parent_span_id"]),
                name: take(["spanName", "span_name"]),
            },
            pairs: {
                if let Some(user) = take(["user", "_user"]) {
                    pairs.insert("_user".to_owned(), user);
                }
                pairs
            },
        })
    }
}

fn model(body: Option<&Value>) -> Option<String> {
    let model = body?.get("model")?.as_str()?;
    Some(model.chars().take(256).collect())
}

fn usage(body: Option<&Value>) -> Option<Usage> {
    let usage = body?.get("usage")?;
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(name)?.as_u64());
    let prompt = count(["prompt_tokens", "input_tokens"]);
    let completion = count(["completion_tokens", "output_tokens"]);
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    // A sum of them has to fit into what the database counts with.
    let bounded = |count: Option<u64>| count.unwrap_or_default().min(1 << 40);
    Some(Usage {
        prompt_tokens: bounded(prompt),
        completion_tokens: bounded(completion),
        ..Usage::default()
    })
}

fn error(status: u16, body: Option<&Value>) -> Option<String> {
    if status < 400 {
        return None;
    }
    let error = body.and_then(|body| body.get("error"));
    let message = error.and_then(|error| {
        let message = error.get("message").unwrap_or(error);
        message
            .as_str()
            .map(|text| text.chars().take(1_024).collect())
    });
    Some(message.unwrap_or_else(|| format!("status {status}")))
}
