//! Kinds of API keys, as Portkey tells them apart. Here a kind follows from what a key may do: a
//! key of the organisation has the scope `admin`; a user's names its user in its metadata.

use axum::extract::FromRequestParts;
use http::request::Parts;
use loomgate_domain::{Scope, key::KeySettings};

use super::super::path::Path;
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// The pair of metadata that names a user, in the logs and graphs too.
pub(super) const USER: &str = "_user";

/// A kind of API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For everything, in all workspaces.
    Organisation,
    /// For a program.
    Service,
    /// For a person.
    User,
}

impl Kind {
    /// Of a key that is there.
    pub(super) fn of(settings: &KeySettings) -> Self {
        if settings.scopes.allow(Scope::Admin) {
            Self::Organisation
        } else if settings.metadata.contains_key(USER) {
            Self::User
        } else {
            Self::Service
        }
    }

    /// Portkey's word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation-service",
            Self::Service => "workspace-service",
            Self::User => "workspace-user",
        }
    }

    /// The two parts of the path, as bodies repeat them.
    pub(super) fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Organisation => ("organisation", "service"),
            Self::Service => ("workspace", "service"),
            Self::User => ("workspace", "user"),
        }
    }
}

/// `/v1/api-keys/{type}/{sub_type}`
pub(super) struct PathKind(pub(super) Kind);

impl FromRequestParts<App> for PathKind {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AdminError> {
        let path = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Path((kind, sub_type)) = path?;
        match (kind.as_str(), sub_type.as_str()) {
            ("organisation", "service") => Ok(Self(Kind::Organisation)),
            ("workspace", "service") => Ok(Self(Kind::Service)),
            ("workspace", "user") => Ok(Self(Kind::User)),
            _ => Err(ApiError::missing(
                "There are no API keys of this kind: known are organisation/service, \
                 workspace/service and workspace/user.",
            )
            .into()),
        }
    }
}
