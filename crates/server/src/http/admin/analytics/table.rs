//! Tables: sums of the logs by who, with what, or whatever the metadata says.

use loomgate_domain::WorkspaceId;
use loomgate_store::{GroupBy, GroupQuery, Sums};
use serde_json::{Value, json};

use super::{super::allowance::dollars, Span};
use crate::{app::App, error::AdminError};

/// What [`named`] knows.
pub(super) const NAMES: &str = "users, ai-models, model, ai_service, provider, virtual_key, \
                                config, api_key, status_code, metadata/{key}";

/// The table of a path below `/v1/analytics/groups/`.
pub(super) fn named(name: &str) -> Option<GroupBy> {
    Some(match name {
        "users" => GroupBy::User,
        "ai-models" | "model" => GroupBy::Model,
        "ai_service" | "provider" => GroupBy::Provider,
        "virtual_key" => GroupBy::VirtualKey,
        "config" => GroupBy::Config,
        "api_key" => GroupBy::ApiKey,
        "status_code" => GroupBy::Status,
        _ => match name.strip_prefix("metadata/") {
            Some(key) if !key.is_empty() => GroupBy::Metadata(key.to_owned()),
            _ => return None,
        },
    })
}

/// `{"object":"list","total","data":[{"key","requests","cost",..}],"others":{..}}`, largest first.
pub(super) async fn make(
    app: &App,
    workspace: &WorkspaceId,
    by: GroupBy,
    span: Span,
    most: u32,
) -> Result<Value, AdminError> {
    let query = GroupQuery {
        from_ms: span.from_ms,
        to_ms: span.to_ms,
        filter: span.filter,
        by,
        most: most as usize,
    };
    let groups = app.store.logs().group(workspace, query).await?;
    let rows: Vec<_> = groups
        .rows
        .iter()
        .map(|row| {
            let mut shown = sums(&row.sums);
            shown["key"] = json!(row.key);
            shown["object"] = json!("analytics-group");
            shown
        })
        .collect();
    Ok(json!({
        "object": "list",
        "total": rows.len(),
        "data": rows,
        "others": sums(&groups.others),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "sums far below 2^53")]
fn sums(sums: &Sums) -> Value {
    let each = if sums.requests == 0 {
        0.0
    } else {
        sums.total_us as f64 / sums.requests as f64
    };
    json!({
        "requests": sums.requests,
        "errors": sums.errors,
        "cache_hits": sums.cache_hits,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "total_tokens": sums.prompt_tokens.saturating_add(sums.completion_tokens),
        "cost": dollars(sums.cost) * 100.0,
        "avg_latency": each / 1000.0,
    })
}
