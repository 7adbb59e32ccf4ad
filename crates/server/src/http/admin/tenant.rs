//! Whose things an admin call is about: the caller's workspace, or for keys with the scope `admin`
//! the one that the request names.

use axum::extract::FromRequestParts;
use http::request::Parts;
use loomgate_domain::{IdKind as _, Scope, WorkspaceId, id::WorkspaceKind};

use super::query::Query;
use crate::{
    app::App,
    auth::Caller,
    config::is_workspace,
    error::{AdminError, ApiError},
};

/// The caller, the workspace that it means, and the rest of the query.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// Who calls.
    pub(crate) caller: Caller,
    /// Whose things it is about.
    pub(crate) workspace: WorkspaceId,
    /// The query, without the workspace.
    pub(crate) query: Query,
}

impl FromRequestParts<App> for Tenant {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AdminError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let mut query = Query::parse(parts.uri.query())?;
        let by_id = query.text("workspace_id");
        let by_slug = query.text("workspace_slug");
        let workspace = match by_id.or(by_slug) {
            Some(named) => allowed(&caller, &named)?,
            None => caller.workspace.clone(),
        };
        Ok(Self {
            caller,
            workspace,
            query,
        })
    }
}

impl Tenant {
    /// The workspace that something is to be made in: that of the body, or else of the query. It
    /// is made when it is new, which only an admin can bring about.
    pub(crate) async fn home(
        &self,
        app: &App,
        named: Option<String>,
    ) -> Result<WorkspaceId, AdminError> {
        let workspace = match named {
            Some(named) => allowed(&self.caller, &named)?,
            None => self.workspace.clone(),
        };
        if workspace != self.caller.workspace {
            app.store.workspaces().ensure(name(&workspace)).await?;
        }
        Ok(workspace)
    }

    /// Errors unless the query is used up.
    pub(crate) fn no_more_query(&self) -> Result<(), AdminError> {
        self.query.clone().finish()
    }
}

/// The workspace as the CLI and the configuration name it.
fn name(workspace: &WorkspaceId) -> &str {
    let id = workspace.as_str();
    id.strip_prefix(WorkspaceKind::PREFIX).unwrap_or(id)
}

/// A workspace by its name or its id. Errors: 400 for what can be neither, 403 for somebody else's.
fn allowed(caller: &Caller, named: &str) -> Result<WorkspaceId, AdminError> {
    let plain = named.strip_prefix(WorkspaceKind::PREFIX).unwrap_or(named);
    if !is_workspace(plain) {
        let message = "Invalid 'workspace_id': a workspace has 1 to 64 characters out of letters, \
                       digits, '-' and '_'.";
        return Err(ApiError::invalid(message).param("workspace_id").into());
    }
    let workspace = WorkspaceId::trusted(format!("{}{plain}", WorkspaceKind::PREFIX));
    if workspace != caller.workspace && caller.require(Scope::Admin).is_err() {
        let message = "Only keys with the scope 'admin' can name another workspace than their \
                       own: leave out 'workspace_id'.";
        return Err(ApiError::forbidden(message).param("workspace_id").into());
    }
    Ok(workspace)
}
