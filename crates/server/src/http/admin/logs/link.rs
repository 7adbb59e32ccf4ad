//! Links that fetch an export without a key: signed, for one export, for an hour.

use axum::http::{HeaderMap, header};
use loomgate_domain::{ExportId, Timestamp, WorkspaceId};

use super::super::query::Query;
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// How long a link is good, in seconds.
const LIFETIME: u32 = 3_600;

/// `http://host/v1/logs/exports/{id}/file?workspace=..&expires=..&signature=..`
pub(super) fn signed(
    app: &App,
    headers: &HeaderMap,
    workspace: &WorkspaceId,
    id: &ExportId,
) -> Result<String, AdminError> {
    let expires = app.clock.now().plus(LIFETIME);
    let signature = signature(app, workspace, id, expires)?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // What the caller says of itself only comes back to the caller.
    let host = text(header::HOST.as_str()).unwrap_or("localhost");
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    Ok(format!(
        "{scheme}://{host}/v1/logs/exports/{id}/file?workspace={workspace}&expires={}&signature={}",
        expires.0,
        signature.to_hex(),
    ))
}

/// The workspace that a link opens. Error: 403 unless it is as it was made, and in its time.
pub(super) fn open(app: &App, mut query: Query, id: &ExportId) -> Result<WorkspaceId, AdminError> {
    let workspace = query.text("workspace").unwrap_or_default();
    let expires = query.text("expires").and_then(|text| text.parse().ok());
    let given = query.text("signature").unwrap_or_default();
    query.finish()?;
    let workspace = WorkspaceId::trusted(workspace);
    let expires = Timestamp(expires.unwrap_or_default());
    // Comparing these takes the same time wherever they differ.
    let made = signature(app, &workspace, id, expires)?;
    let is_ours = blake3::Hash::from_hex(&given).is_ok_and(|given| given == made);
    if is_ours && app.clock.now() < expires {
        Ok(workspace)
    } else {
        let message = "This link was changed, or its time is over: fetch a new one with \
                       GET /v1/logs/exports/{id}/download.";
        Err(ApiError::forbidden(message).into())
    }
}

/// No API key has blanks, so that no signature is the hash of one.
fn signature(
    app: &App,
    workspace: &WorkspaceId,
    id: &ExportId,
    expires: Timestamp,
) -> Result<blake3::Hash, AdminError> {
    let text = format!("log export {workspace} {id} {}", expires.0);
    let hash = blake3::Hash::from_hex(app.keyring.hex(&text));
    hash.map_err(|error| ApiError::internal(&error).into())
}
