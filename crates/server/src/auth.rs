//! Who calls. [`Caller`] is an extractor: a handler that needs a workspace can only get one here.

pub(crate) mod key;
mod keyring;

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use loomgate_domain::{ApiKeyId, WorkspaceId};

pub use keyring::{KeyHasher, Keyring};

use crate::{app::App, beta, error::ApiError, headers::RequestContext};

/// The header that chooses where model calls go.
pub const VIRTUAL_KEY: &str = "x-portkey-virtual-key";

/// A caller whose key is valid.
///
/// Errors of the extractor: 401 without a valid key, 400 for an unknown virtual key or a beta
/// header that asks for something else than `assistants=v2`, 429 above the limits of `[http]`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant. Every call of the store takes it.
    pub workspace: WorkspaceId,
    /// The key's public id.
    pub key: ApiKeyId,
    /// Where model calls go: the header `x-portkey-virtual-key`, or else the key's default.
    pub virtual_key: Arc<str>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let docs = app.config.docs_url.as_ref();
        let presented = key::presented(&parts.headers).ok_or_else(|| key::missing_error(docs))?;
        if !key::is_well_formed(&presented) {
            return Err(key::incorrect_error(&presented, docs));
        }
        let Some(record) = app.keyring.find(&presented).await? else {
            return Err(key::incorrect_error(&presented, docs));
        };
        let permit = app.admission.admit(&record.id, &record.workspace)?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.admitted(permit);
        }
        beta::check(parts)?;
        refuse_routing(&parts.headers)?;
        Ok(Self {
            workspace: record.workspace.clone(),
            key: record.id.clone(),
            virtual_key: virtual_key(&parts.headers, &record.default_virtual_key, app)?,
        })
    }
}

/// Headers that would send the call another way than the virtual key does. A client that sets one
/// relies on it, so it is not ignored.
fn refuse_routing(headers: &HeaderMap) -> Result<(), ApiError> {
    let unbuilt = ["x-portkey-config", "x-portkey-provider"];
    match unbuilt.iter().find(|name| headers.contains_key(**name)) {
        Some(name) => Err(ApiError::invalid(format!(
            "The header '{name}' is not built yet. Name a virtual key in the header \
             '{VIRTUAL_KEY}' instead; docs/status.md tells what this release has."
        ))
        .code("unsupported_header")),
        None => Ok(()),
    }
}

fn virtual_key(headers: &HeaderMap, default: &Arc<str>, app: &App) -> Result<Arc<str>, ApiError> {
    let known = &app.config.virtual_keys;
    let (name, whose) = match headers.get(VIRTUAL_KEY) {
        Some(name) => (
            String::from_utf8_lossy(name.as_bytes()),
            "in the header 'x-portkey-virtual-key'",
        ),
        None => (default.as_ref().into(), "as the default of your API key"),
    };
    known.known(&name).cloned().ok_or_else(|| {
        ApiError::invalid(format!(
            "Unknown virtual key {whose}: '{name}'. Known virtual keys: {}.",
            known.list()
        ))
        .code("invalid_virtual_key")
    })
}
