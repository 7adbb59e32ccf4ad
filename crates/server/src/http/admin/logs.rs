//! `/v1/logs`: records of requests and model calls (contract portkey.md section 8).

mod exports;
mod filter;
mod insert;
mod link;
mod shown;
mod stream;

use axum::{extract::State, response::Response};
use loomgate_domain::{Id, LogId, Order, PageRequest, Scope};
use serde_json::{Value, json};

pub(super) use self::filter::filters;
use super::{path::Path, query::Query, reply as answers, tenant::Tenant};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::Created,
        reply,
    },
};

/// Records of a page that nobody asked to be longer or shorter.
const PAGE: u32 = 20;
/// The most records of a page.
const LONGEST_PAGE: u32 = 100;

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    use Access::Scope as Needs;
    Routes::default()
        .get("/v1/logs", Needs(Scope::LogsList), index)
        .create_as(
            Created::Logged,
            "/v1/logs",
            Needs(Scope::LogsWrite),
            insert::insert,
        )
        .get("/v1/logs/export", Needs(Scope::LogsExport), stream::export)
        .get("/v1/logs/{id}", Needs(Scope::LogsView), show)
        .merge(exports::routes())
}

/// Newest first. A page goes on behind the id `after`.
async fn index(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let filter = filters(&mut tenant.query)?;
    let page = page(&mut tenant.query)?;
    tenant.query.finish()?;
    let found = app
        .store
        .logs()
        .list(&tenant.workspace, filter, page)
        .await?;
    let objects: Vec<Value> = found.items.iter().map(shown::summary).collect();
    let id = |object: Option<&Value>| object.map(|object| object["id"].clone());
    Ok(reply::json(&json!({
        "success": true,
        "object": "list",
        "first_id": id(objects.first()),
        "last_id": id(objects.last()),
        "has_more": found.has_more,
        "data": objects,
    }))?)
}

async fn show(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let found = match Id::parse(&id) {
        Ok(id) => app.store.logs().get(&tenant.workspace, &id).await?,
        Err(_) => None,
    };
    let record = found.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        ApiError::missing(format!("There is no log '{id}'.")).param("id")
    })?;
    answers::object(&shown::whole(&record))
}

fn page(query: &mut Query) -> Result<PageRequest<LogId>, AdminError> {
    let limit = match query.whole("limit", 1..=LONGEST_PAGE)? {
        Some(limit) => Some(limit),
        None => query.whole("page_size", 1..=LONGEST_PAGE)?,
    };
    Ok(PageRequest {
        limit: limit.unwrap_or(PAGE),
        order: Order::Desc,
        after: cursor(query, "after")?,
        before: cursor(query, "before")?,
    })
}

fn cursor(query: &mut Query, name: &'static str) -> Result<Option<LogId>, AdminError> {
    let Some(text) = query.text(name) else {
        return Ok(None);
    };
    let id = Id::parse(&text).map_err(|error| {
        let message = format!("Invalid '{name}': {error}.");
        ApiError::invalid(message).param(name)
    })?;
    Ok(Some(id))
}
