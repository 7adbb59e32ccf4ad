//! `x-loomgate-when-locked`: what becomes of a message or a run whose thread is locked
//! (`docs/locked-threads.md`).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use loomgate_domain::WhenLocked;

use crate::{app::App, auth::Caller, error::ApiError};

const NAME: &str = "x-loomgate-when-locked";
const HEADER: HeaderName = HeaderName::from_static(NAME);

/// What the request asks for, or else its key.
pub(super) struct ThreadLock(pub(super) WhenLocked);

impl FromRequestParts<App> for ThreadLock {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(asked) = asked(&parts.headers)? {
            return Ok(Self(asked));
        }
        let caller = Caller::from_request_parts(parts, app).await?;
        Ok(Self(caller.key.settings.when_locked))
    }
}

/// Errors where the request asks for something that only native threads have.
pub(super) fn refuse_upstream(headers: &HeaderMap) -> Result<(), ApiError> {
    match asked(headers)? {
        None | Some(WhenLocked::Fail) => Ok(()),
        Some(_) => Err(refused(
            "this thread is the provider's, which refuses what it has locked. Leave the header \
             out, or send 'fail'.",
        )),
    }
}

fn asked(headers: &HeaderMap) -> Result<Option<WhenLocked>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refused("it was sent more than once."));
    }
    let text = value.to_str().unwrap_or_default().trim();
    let read = text.parse().map(Some);
    read.map_err(|unknown| refused(&format!("{unknown}.")))
}

fn refused(reason: &str) -> ApiError {
    ApiError::invalid(format!("Invalid '{NAME}' header: {reason}"))
        .param(NAME)
        .code("invalid_value")
}
