//! `/v1/analytics`: graphs and tables of the logs (contract portkey.md section 8). Costs are US
//! cents and durations milliseconds, as Portkey has them.

mod graph;
mod table;

use axum::{extract::State, response::Response};
use loomgate_domain::Scope;
use loomgate_store::LogFilter;

use super::{logs::filters, path::Path, query::Query, tenant::Tenant};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        reply,
    },
};

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    let needs = Access::Scope(Scope::AnalyticsView);
    Routes::default()
        .get("/v1/analytics/graphs/{*graph}", needs, graph)
        .get("/v1/analytics/groups/{*group}", needs, table)
}

async fn graph(
    State(app): State<App>,
    mut tenant: Tenant,
    Path(name): Path<String>,
) -> Result<Response, AdminError> {
    let Some(kind) = graph::Kind::named(&name) else {
        return Err(unknown("graph", &name, &graph::Kind::names()));
    };
    let span = Span::read(&mut tenant.query)?;
    tenant.query.finish()?;
    let answer = graph::draw(&app, &tenant.workspace, kind, span).await?;
    Ok(reply::json(&answer)?)
}

async fn table(
    State(app): State<App>,
    mut tenant: Tenant,
    Path(name): Path<String>,
) -> Result<Response, AdminError> {
    let Some(by) = table::named(&name) else {
        return Err(unknown("group", &name, table::NAMES));
    };
    let span = Span::read(&mut tenant.query)?;
    let most = tenant.query.whole("page_size", 1..=100)?.unwrap_or(50);
    tenant.query.whole("current_page", 0..=0)?;
    tenant.query.finish()?;
    let answer = table::make(&app, &tenant.workspace, by, span, most).await?;
    Ok(reply::json(&answer)?)
}

/// A span of time, and what of it counts.
struct Span {
    from_ms: i64,
    to_ms: i64,
    filter: LogFilter,
}

impl Span {
    /// Error: 400 unless both ends are there, in order.
    fn read(query: &mut Query) -> Result<Self, AdminError> {
        let filter = filters(query)?;
        let end = |end: Option<i64>, name: &'static str| {
            end.ok_or_else(|| {
                let message =
                    format!("Missing parameter '{name}': a time such as '2026-01-31T12:00:00Z'.");
                ApiError::invalid(message).param(name)
            })
        };
        let from_ms = end(filter.from_ms, "time_of_generation_min")?;
        let to_ms = end(filter.to_ms, "time_of_generation_max")?;
        if from_ms >= to_ms {
            let message = "Invalid 'time_of_generation_max': it has to be later than \
                           'time_of_generation_min'.";
            return Err(ApiError::invalid(message)
                .param("time_of_generation_max")
                .into());
        }
        Ok(Self {
            from_ms,
            to_ms,
            filter,
        })
    }
}

fn unknown(what: &str, name: &str, known: &str) -> AdminError {
    let name: String = name.chars().take(64).collect();
    ApiError::missing(format!("There is no {what} '{name}'. Known: {known}.")).into()
}
