//! Exports as streams of JSON lines: page by page, so that the memory in use does not grow with the
//! logs.

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use bytes::{BufMut as _, Bytes, BytesMut};
use loomgate_domain::{LogId, Order, PageRequest, WorkspaceId};
use loomgate_store::LogFilter;

use super::{super::tenant::Tenant, filter::filters, shown};
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// Records that are read at once; their bodies are in memory together.
const PAGE: u32 = 100;
/// The type of the answer.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// `GET /v1/logs/export`: what the filters select, oldest first.
pub(super) async fn export(
    State(app): State<App>,
    mut tenant: Tenant,
) -> Result<Response, AdminError> {
    let filter = filters(&mut tenant.query)?;
    let fields = tenant.query.text("requested_data").unwrap_or_default();
    let fields = fields.split(',').filter(|field| !field.is_empty());
    let fields: Vec<String> = fields.map(|field| field.trim().to_owned()).collect();
    check_fields(&fields)?;
    tenant.query.finish()?;
    Ok(lines(&app, tenant.workspace, filter, fields, u64::MAX))
}

/// Errors for a field that no record has.
pub(super) fn check_fields(fields: &[String]) -> Result<(), AdminError> {
    let known = |field: &&String| !shown::FIELDS.contains(&field.as_str());
    match fields.iter().find(known) {
        None => Ok(()),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(64).collect();
            let message = format!(
                "Invalid 'requested_data': there is no '{unknown}'. Known: {}.",
                shown::FIELDS.join(", ")
            );
            Err(ApiError::invalid(message).param("requested_data").into())
        }
    }
}

/// Where a stream stands.
struct Progress {
    app: App,
    workspace: WorkspaceId,
    filter: LogFilter,
    fields: Vec<String>,
    after: Option<LogId>,
    left: u64,
}

/// At most `most` records, oldest first, and none that begin after now: the stream ends.
pub(super) fn lines(
    app: &App,
    workspace: WorkspaceId,
    mut filter: LogFilter,
    fields: Vec<String>,
    most: u64,
) -> Response {
    let now = app.clock.now_ms().saturating_add(1);
    filter.to_ms = Some(filter.to_ms.map_or(now, |end| end.min(now)));
    let progress = Progress {
        app: app.clone(),
        workspace,
        filter,
        fields,
        after: None,
        left: most,
    };
    let pages = futures::stream::unfold(Some(progress), |progress| async {
        match progress?.next().await {
            Ok(None) => None,
            Ok(Some((page, progress))) => Some((Ok(page), progress)),
            // The connection breaks off, and the client sees that this was not the end.
            Err(error) => {
                tracing::error!(%error, "an export of logs broke off");
                Some((Err(error), None))
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, NDJSON),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

impl Progress {
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, loomgate_store::Error> {
        let limit = u32::try_from(self.left).unwrap_or(u32::MAX).min(PAGE);
        if limit == 0 {
            return Ok(None);
        }
        let request = PageRequest {
            limit,
            order: Order::Asc,
            after: self.after.take(),
            before: None,
        };
        let filter = self.filter.clone();
        let page = self
            .app
            .store
            .logs()
            .list(&self.workspace, filter, request)
            .await?;
        let Some(last) = page.items.last() else {
            return Ok(None);
        };
        self.after = Some(last.id.clone());
        self.left -= page.items.len() as u64;
        let mut text = BytesMut::new().writer();
        for record in &page.items {
            let line = shown::line(record, &self.fields);
            serde_json::to_writer(&mut text, &line).map_err(std::io::Error::from)?;
            text.get_mut().put_u8(b'\n');
        }
        let text = text.into_inner().freeze();
        Ok(Some((text, page.has_more.then_some(self))))
    }
}
