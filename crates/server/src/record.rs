//! From what happened to what the logbook keeps of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use loomgate_domain::{
    ApiKeyId, Clock, IdGen, LogId, Run, WorkspaceId,
    feedback::Feedback,
    id::{new_id, random_text},
    log::{LogRecord, RecordKind, Span, new_log_id},
};
use loomgate_gateway::relay::{CacheStatus, End, EndSink, RelayBody, RelayRequest, Report};
use serde_json::Value;

use crate::{
    app::{App, Services},
    auth::Caller,
    config::Recording,
    headers::{RequestContext, Served},
    redact,
};

/// Who serves what nobody else does.
pub(crate) const OWN_PROVIDER: &str = "loomgate";

/// How much is kept of a call's bodies: nothing of one whose caller says `x-portkey-debug: false`.
pub(crate) fn body_bytes(app: &App, request: &RelayRequest) -> usize {
    if request.cache.disabled {
        0
    } else {
        app.logbook.body_bytes()
    }
}

/// What is told of a relayed call once it has ended.
pub(crate) fn relayed(
    app: &App,
    caller: &Caller,
    context: &RequestContext,
    config: Option<Arc<str>>,
    request: &RelayRequest,
) -> EndSink {
    if app.logbook.settings().record == Recording::Off {
        return Box::new(|_, _| {});
    }
    let keeps_body = body_bytes(app, request);
    let request_body = match &request.body {
        RelayBody::Bytes(bytes) if keeps_body > 0 && !bytes.is_empty() => Some(bytes.clone()),
        _ => None,
    };
    let (app, caller, context) = (app.clone(), caller.clone(), context.clone());
    let (method, path) = (request.method.clone(), request.path.clone());
    let began_ms = app.clock.now_ms();
    Box::new(move |report, end| {
        let trace = context.trace();
        let mut record = LogRecord {
            id: new_log_id(began_ms, &*app.ids),
            workspace: caller.workspace,
            created_at_ms: began_ms,
            request_id: context.request_id().to_owned(),
            trace_id: trace.id.clone(),
            span: trace.span.clone(),
            api_key: caller.key.id.clone(),
            method: method.as_str().to_owned(),
            path,
            config: config.map(|slug| slug.to_string()),
            metadata: (*caller.metadata).clone(),
            ..told(report, &end)
        };
        let body = request_body.as_ref();
        for feedback in judgements((&*app.ids, &*app.clock), &record) {
            app.logbook.judge(feedback);
        }
        record.request_body =
            body.map(|body| redact::shown_without(body, keeps_body, &caller.presented));
        record.response_body = end
            .body
            .as_ref()
            .map(|body| redact::shown(body, keeps_body));
        app.logbook.write(record);
    })
}

/// What is told of a run's model call once it has ended.
pub(crate) fn model_call(
    services: &Services,
    workspace: &WorkspaceId,
    run: &Run,
    config: Option<Arc<str>>,
) -> EndSink {
    let origin = run.settings.origin.clone();
    let Some(origin) = origin.filter(|_| services.logbook.settings().record != Recording::Off)
    else {
        return Box::new(|_, _| {});
    };
    let began_ms = services.clock.now_ms();
    let most = services.logbook.body_bytes();
    let kept = move |body: Option<&Bytes>| body.map(|body| redact::shown(body, most));
    let (workspace, run, thread) = (workspace.clone(), run.id.clone(), run.thread_id.clone());
    let (logbook, ids, clock) = (
        services.logbook.clone(),
        Arc::clone(&services.ids),
        Arc::clone(&services.clock),
    );
    Box::new(move |report, end| {
        let record = LogRecord {
            id: new_log_id(began_ms, &*ids),
            workspace,
            created_at_ms: began_ms,
            kind: RecordKind::ModelCall,
            trace_id: origin.trace_id,
            span: Span {
                id: None,
                parent_id: origin.span_id,
                name: Some("model call".to_owned()),
            },
            api_key: origin.api_key,
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            config: config.map(|slug| slug.to_string()),
            metadata: origin.metadata,
            run: Some(run),
            thread: Some(thread),
            request_body: kept(end.asked.as_ref()),
            response_body: kept(end.body.as_ref()),
            ..told(report, &end)
        };
        for feedback in judgements((&*ids, &*clock), &record) {
            logbook.judge(feedback);
        }
        logbook.write(record);
    })
}

/// What is told of a call that the server made for itself once it has ended. It has no key: nobody
/// called.
pub(crate) fn own_call(services: &Services, workspace: &WorkspaceId, path: &str) -> EndSink {
    if services.logbook.settings().record == Recording::Off {
        return Box::new(|_, _| {});
    }
    let began_ms = services.clock.now_ms();
    let most = services.logbook.body_bytes();
    let (workspace, path) = (workspace.clone(), path.to_owned());
    let (logbook, ids) = (services.logbook.clone(), Arc::clone(&services.ids));
    Box::new(move |report, end| {
        logbook.write(LogRecord {
            id: new_log_id(began_ms, &*ids),
            workspace,
            created_at_ms: began_ms,
            trace_id: random_text(&*ids, 32),
            span: Span {
                name: Some("file search".to_owned()),
                ..Span::default()
            },
            method: "POST".to_owned(),
            path,
            response_body: end.body.as_ref().map(|body| redact::shown(body, most)),
            ..told(report, &end)
        });
    })
}

/// What guardrails want to be remembered of a call as feedback.
fn judgements((ids, clock): (&dyn IdGen, &dyn Clock), record: &LogRecord) -> Vec<Feedback> {
    let Some(guardrails) = &record.guardrails else {
        return Vec::new();
    };
    let given = |name: &str| guardrails[name].as_array().into_iter().flatten();
    let hooks = given("before_request_hooks").chain(given("after_request_hooks"));
    hooks
        .filter_map(|hook| serde_json::from_value(hook["feedback"].clone()).ok())
        .map(|judgement: Judgement| Feedback {
            id: new_id(ids),
            workspace: record.workspace.clone(),
            trace_id: record.trace_id.clone(),
            value: judgement.value,
            weight: judgement.weight,
            metadata: judgement
                .metadata
                .into_iter()
                .map(|(key, value)| match value {
                    Value::String(text) => (key, text),
                    other => (key, other.to_string()),
                })
                .collect(),
            created_at: clock.now(),
        })
        .collect()
}

/// What one guardrail wants to be remembered.
#[derive(serde::Deserialize)]
struct Judgement {
    value: i8,
    weight: f64,
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
}

/// A request that was answered here: how long it took, and where it was a stream until its first bytes.
pub(crate) fn served(
    services: &Services,
    request: Served,
    (elapsed, first_byte): (Duration, Option<Duration>),
) {
    let Served {
        context,
        method,
        path,
        status,
    } = request;
    let Some(asker) = context.asker() else {
        return;
    };
    if services.logbook.settings().record != Recording::All {
        return;
    }
    let total_us = micros(elapsed);
    let began_ms = services.clock.now_ms() - i64::try_from(elapsed.as_millis()).unwrap_or(0);
    let trace = context.trace();
    services.logbook.write(LogRecord {
        id: new_log_id(began_ms, &*services.ids),
        workspace: asker.workspace.clone(),
        created_at_ms: began_ms,
        api_key: asker.key.clone(),
        metadata: (*asker.metadata).clone(),
        request_id: context.request_id().to_owned(),
        trace_id: trace.id.clone(),
        span: trace.span.clone(),
        method: method.to_owned(),
        path: path.path().to_owned(),
        provider: OWN_PROVIDER.to_owned(),
        status,
        first_byte_us: first_byte.map(micros),
        total_us,
        // Of a stream, what comes behind its beginning is a model's time.
        overhead_us: first_byte.map_or(total_us, micros),
        option_index: "config".to_owned(),
        cache: CacheStatus::Disabled.as_str().to_owned(),
        ..blank()
    });
}

/// What the gateway tells of a call; the rest is blank.
fn told(report: &Report, end: &End) -> LogRecord {
    let total_us = micros(end.total);
    let streamed = end
        .first_byte
        .map_or(Duration::ZERO, |first| end.total.saturating_sub(first));
    let upstream = report.upstream + streamed;
    let provider = report.provider.as_deref().unwrap_or(OWN_PROVIDER);
    LogRecord {
        virtual_key: report.virtual_key.as_deref().map(str::to_owned),
        provider: provider.to_owned(),
        option_index: report.option_index.to_string(),
        model: report.model.clone(),
        served_model: end.served_model.clone(),
        attempts: report.attempts,
        status: report.status,
        error: report.error.clone().or_else(|| end.cut.clone()),
        usage: end.usage,
        cost: end.cost,
        first_byte_us: end.first_byte.map(micros),
        total_us,
        overhead_us: total_us.saturating_sub(micros(upstream)),
        cache: report.cache.as_str().to_owned(),
        guardrails: report.guardrails.clone(),
        ..blank()
    }
}

/// A record of which nothing is known yet. Takes no memory.
fn blank() -> LogRecord {
    LogRecord {
        id: LogId::trusted(""),
        workspace: WorkspaceId::trusted(""),
        created_at_ms: 0,
        kind: RecordKind::Request,
        request_id: String::new(),
        trace_id: String::new(),
        span: Span::default(),
        api_key: ApiKeyId::trusted(""),
        method: String::new(),
        path: String::new(),
        config: None,
        virtual_key: None,
        provider: String::new(),
        option_index: String::new(),
        model: None,
        served_model: None,
        attempts: 0,
        status: 0,
        error: None,
        usage: None,
        cost: None,
        first_byte_us: None,
        total_us: 0,
        overhead_us: 0,
        cache: String::new(),
        guardrails: None,
        metadata: BTreeMap::new(),
        run: None,
        thread: None,
        request_body: None,
        response_body: None,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
