//! `/v1/logs/exports`: Portkey's form of an export, which is defined, started and then fetched. The
//! records are read while they are fetched; there is no job and no file.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use loomgate_domain::{
    ExportId, Id, Patch, Scope,
    export::{ExportStatus, LogExport},
    id::new_id,
};
use loomgate_store::{Figure, GraphQuery, LogFilter, Measure};
use serde_json::{Map, Value, json};

use super::{
    super::{fields::Fields, moment, path::Path, query::Query, reply as answers, tenant::Tenant},
    filter::filters,
    link,
    stream::{self, NDJSON},
};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::{Created, Idempotency},
        reply,
    },
};

/// The most records of an export that does not say how many.
const MOST: u64 = 50_000;
/// The end of all times that logs know; milliseconds.
const LAST_MS: i64 = 1 << 48;

pub(super) fn routes() -> Routes {
    let needs = Access::Scope(Scope::LogsExport);
    let (many, one) = ("/v1/logs/exports", "/v1/logs/exports/{id}");
    Routes::default()
        .get(many, needs, index)
        .create_as(Created::Logged, many, needs, create)
        .get(one, needs, show)
        .put(one, needs, update)
        .post("/v1/logs/exports/{id}/start", needs, start)
        .post("/v1/logs/exports/{id}/cancel", needs, cancel)
        .get("/v1/logs/exports/{id}/download", needs, download)
        // The signature in its query is its key.
        .get("/v1/logs/exports/{id}/file", Access::Public, file)
}

async fn create(
    State(app): State<App>,
    tenant: Tenant,
    once: Idempotency,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let named = body.text("workspace_id", 128)?.into_option();
    let description = body.text("description", 1_024)?.into_option();
    let now = app.clock.now();
    let mut export = LogExport {
        id: new_id(&*app.ids),
        workspace: tenant.workspace.clone(),
        created_by: tenant.caller.key.id.clone(),
        description: description.unwrap_or_default(),
        filters: Value::Object(Map::new()),
        requested_data: Vec::new(),
        status: ExportStatus::Draft,
        created_at: now,
        updated_at: now,
    };
    apply(&mut body, &mut export)?;
    body.finish()?;
    export.workspace = tenant.home(&app, named).await?;
    let total = total(&app, &export).await?;
    let answer = json!({"id": export.id, "total": total, "object": "export"});
    let (response, receipt) = once.reply_to(&tenant.caller, &answers::body(&answer)?)?;
    app.store.logs().add_export(export, receipt).await?;
    Ok(response)
}

/// Applies `filters` and `requested_data`, checked.
fn apply(body: &mut Fields, export: &mut LogExport) -> Result<(), AdminError> {
    match body.value("filters") {
        Patch::Absent => {}
        Patch::Null => export.filters = Value::Object(Map::new()),
        Patch::Set(filters) => {
            selection(&filters)?;
            export.filters = filters;
        }
    }
    let requested = body.texts("requested_data", 100)?;
    if let Patch::Set(fields) = &requested {
        stream::check_fields(fields)?;
    }
    requested.apply(&mut export.requested_data);
    Ok(())
}

/// What filters select: which records, and how many at most.
fn selection(filters_body: &Value) -> Result<(LogFilter, u64), AdminError> {
    let mut query = Query::of_object(filters_body, "filters")?;
    let filter = filters(&mut query)?;
    let most = query.whole("page_size", 1..=50_000)?;
    query.whole("current_page", 0..=0)?;
    query.finish()?;
    Ok((filter, most.map_or(MOST, u64::from)))
}

/// How many records there are now.
async fn total(app: &App, export: &LogExport) -> Result<u64, AdminError> {
    let (filter, most) = selection(&export.filters)?;
    let query = GraphQuery {
        from_ms: 0,
        to_ms: LAST_MS,
        bucket_ms: LAST_MS,
        filter,
        measure: Measure::Requests,
    };
    let points = app.store.logs().graph(&export.workspace, query).await?;
    let counts = points.iter().map(|point| match &point.figure {
        Figure::Count(count) => *count,
        _ => 0,
    });
    Ok(counts.sum::<u64>().min(most))
}

async fn index(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let exports = app.store.logs().exports(&tenant.workspace).await?;
    let objects: Vec<_> = exports.iter().map(shown).collect();
    answers::page(&mut tenant.query, &objects)
}

async fn show(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let export = find(&app, &tenant, &id).await?;
    let mut answer = shown(&export);
    answer["total_records"] = json!(total(&app, &export).await?);
    answers::object(&answer)
}

async fn update(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let before = find(&app, &tenant, &id).await?;
    if before.status != ExportStatus::Draft {
        let message = "Only an export that was not started can be changed: make another one.";
        return Err(ApiError::conflict(message).into());
    }
    // The Node SDK repeats the id of the path.
    for name in ["exportId", "export_id"] {
        if body
            .text(name, 256)?
            .into_option()
            .is_some_and(|repeated| repeated != id)
        {
            return Err(body.refuse(name, format!("'{name}' is not the id of the path.")));
        }
    }
    if let Some(workspace) = body.text("workspace_id", 128)?.into_option()
        && tenant.home(&app, Some(workspace)).await? != before.workspace
    {
        return Err(body.refuse("workspace_id", "An export stays in its workspace."));
    }
    let mut changed = before;
    if let Patch::Set(description) = body.text("description", 1_024)? {
        changed.description = description;
    }
    apply(&mut body, &mut changed)?;
    body.finish()?;
    changed.updated_at = app.clock.now();
    let total = total(&app, &changed).await?;
    let (workspace, id) = (changed.workspace.clone(), changed.id.clone());
    let logs = app.store.logs();
    let updated = logs
        .update_export(&workspace, &id, move |_| changed.clone())
        .await?;
    if updated.is_none() {
        return Err(not_found(id.as_str()));
    }
    answers::object(&json!({"id": id, "total": total, "object": "export"}))
}

async fn start(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    let message = "Export is ready: fetch it with GET /v1/logs/exports/{id}/download";
    set_status(&app, &tenant, &id, ExportStatus::Success, message).await
}

async fn cancel(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    set_status(
        &app,
        &tenant,
        &id,
        ExportStatus::Stopped,
        "Export was cancelled",
    )
    .await
}

async fn set_status(
    app: &App,
    tenant: &Tenant,
    id: &str,
    status: ExportStatus,
    message: &str,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let parsed = parse(id)?;
    let now = app.clock.now();
    let logs = app.store.logs();
    let updated = logs.update_export(&tenant.workspace, &parsed, move |export| LogExport {
        status,
        updated_at: now,
        ..export
    });
    if updated.await?.is_none() {
        return Err(not_found(id));
    }
    answers::object(&json!({"message": message, "object": "export"}))
}

/// A link to the file, as Portkey's SDKs expect it; or, for those who accept JSON lines, the file.
async fn download(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let export = find(&app, &tenant, &id).await?;
    require_started(&export)?;
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains(NDJSON)) {
        return lines(&app, export);
    }
    let url = link::signed(&app, &headers, &export.workspace, &export.id)?;
    Ok(reply::json(&json!({"signed_url": url}))?)
}

async fn file(
    State(app): State<App>,
    Path(id): Path<String>,
    uri: axum::http::Uri,
) -> Result<Response, AdminError> {
    let parsed = parse(&id)?;
    let workspace = link::open(&app, Query::parse(uri.query())?, &parsed)?;
    let export = app.store.logs().export(&workspace, &parsed).await?;
    let export = export.ok_or_else(|| not_found(&id))?;
    require_started(&export)?;
    lines(&app, export)
}

fn lines(app: &App, export: LogExport) -> Result<Response, AdminError> {
    let (filter, most) = selection(&export.filters)?;
    let fields = export.requested_data;
    Ok(stream::lines(app, export.workspace, filter, fields, most))
}

fn require_started(export: &LogExport) -> Result<(), AdminError> {
    match export.status {
        ExportStatus::Success => Ok(()),
        ExportStatus::Draft | ExportStatus::Stopped => Err(ApiError::conflict(
            "The export was not started, or was cancelled: start it with \
             POST /v1/logs/exports/{id}/start.",
        )
        .into()),
    }
}

fn shown(export: &LogExport) -> Value {
    json!({
        "id": export.id,
        "organisation_id": null,
        "filters": export.filters,
        "requested_data": export.requested_data,
        "status": export.status,
        "description": export.description,
        "created_at": moment::text(export.created_at),
        "last_updated_at": moment::text(export.updated_at),
        "created_by": export.created_by,
        "workspace_id": export.workspace,
        "object": "export",
    })
}

async fn find(app: &App, tenant: &Tenant, id: &str) -> Result<LogExport, AdminError> {
    let parsed = parse(id)?;
    let found = app.store.logs().export(&tenant.workspace, &parsed).await?;
    found.ok_or_else(|| not_found(id))
}

fn parse(id: &str) -> Result<ExportId, AdminError> {
    Id::parse(id).map_err(|_| not_found(id))
}

fn not_found(id: &str) -> AdminError {
    let id: String = id.chars().take(64).collect();
    ApiError::missing(format!("There is no log export '{id}'."))
        .param("id")
        .into()
}
