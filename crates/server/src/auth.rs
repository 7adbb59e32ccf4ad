//! Who calls. A handler that needs a workspace can only get one from a [`Caller`], and a caller is
//! only made here, after its key, its scopes and its limits were looked at.

pub(crate) mod key;
mod keyring;

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use loomgate_domain::{Scope, WorkspaceId};

pub(crate) use keyring::KeyRecord;
pub use keyring::{KeyHasher, Keyring};

use crate::{
    app::App,
    beta,
    error::ApiError,
    headers::{self, Asker, RequestContext},
};

/// A caller whose key is valid, and allows what is asked for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant. Every call of the store takes it.
    pub workspace: WorkspaceId,
    /// The key, and what it opens.
    pub(crate) key: Arc<KeyRecord>,
    /// The key as it was presented: never to be forwarded. It is in no header any more.
    pub(crate) presented: Arc<str>,
    /// The pairs of `x-portkey-metadata`, those of the key included.
    pub(crate) metadata: Arc<std::collections::BTreeMap<String, String>>,
}

impl Caller {
    /// Errors unless the key allows something more.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.key.settings.scopes.allow(scope) {
            Ok(())
        } else {
            Err(ApiError::missing_scope(scope))
        }
    }
}

/// Lets a request in.
///
/// Errors: 401 without a valid key, 403 without the scope, 429 or 412 above a limit of the key, 400
/// for a beta header that asks for something else than `assistants=v2`, or metadata that is none.
pub(crate) async fn admit(parts: &mut Parts, app: &App, scope: Scope) -> Result<Caller, ApiError> {
    let docs = app.config.docs_url.as_ref();
    let presented: Arc<str> = key::presented(&parts.headers)
        .ok_or_else(|| key::missing_error(docs))?
        .into();
    if key::looks_like_jwt(&presented) {
        return Err(key::jwt_error());
    }
    if !key::is_well_formed(&presented) {
        return Err(key::incorrect_error(&presented, docs));
    }
    let now = app.clock.now();
    let Some(record) = app.keyring.find(&presented, now).await? else {
        return Err(key::incorrect_error(&presented, docs));
    };
    let is_data_plane = scope == Scope::CompletionsWrite;
    let metadata = headers::metadata(&parts.headers, &record.settings.metadata);
    let context = parts.extensions.get::<RequestContext>();
    if let Some(context) = context {
        // Whoever is refused from here on leaves a record all the same.
        let metadata = metadata.as_ref().map(Arc::clone).unwrap_or_default();
        context.identified(Asker {
            key: record.id.clone(),
            workspace: record.workspace.clone(),
            is_data_plane,
            metadata,
        });
    }
    take_out(&mut parts.headers, &presented, app).await?;
    if !record.settings.scopes.allow(scope) {
        return Err(ApiError::missing_scope(scope));
    }
    let mut permit = app.admission.admit(&record.id, &record.workspace)?;
    // A key over its budget can still look at its logs.
    if let Some(limited) = record.limited.as_ref().filter(|_| is_data_plane) {
        let admitted = app.gateway.meter().admit(limited, app.clock.now_ms());
        permit.hold(admitted.map_err(|refusal| ApiError::refused(&refusal))?);
    }
    if let Some(context) = context {
        context.admitted(permit);
    }
    beta::check(parts)?;
    let metadata = metadata?;
    Ok(Caller {
        workspace: record.workspace.clone(),
        key: record,
        presented,
        metadata,
    })
}

/// Takes every key of this server out of a request's head, whoever's it is: from here on it is
/// nobody's business, least of all a provider's.
async fn take_out(headers: &mut HeaderMap, presented: &str, app: &App) -> Result<(), ApiError> {
    for place in &key::PLACES {
        let mut holds_ours = false;
        for candidate in key::candidates(headers, place) {
            holds_ours |= *candidate == *presented || app.keyring.is_ours(&candidate).await?;
        }
        if holds_ours {
            headers.remove(place);
        }
    }
    Ok(())
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        // Only a route that was declared public has none, and its handler must not ask.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(ApiError::internal_logged)
    }
}
