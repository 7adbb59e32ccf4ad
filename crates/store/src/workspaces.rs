//! Workspaces: the tenants.

use loomgate_domain::{IdKind, WorkspaceId, id::WorkspaceKind};

use crate::{
    Error,
    pool::Pool,
    tx::{statements, values},
};

statements! {
    ENSURE = "INSERT INTO workspaces (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    BY_NAME = "SELECT id FROM workspaces WHERE name = $1";
    LIST = "SELECT id FROM workspaces ORDER BY seq";
}

/// The workspaces of a [`crate::Store`].
#[derive(Debug)]
pub struct Workspaces<'s>(pub(crate) &'s Pool);

impl Workspaces<'_> {
    /// The workspace of this name, made when missing: its id is then `ws_` and the name.
    pub async fn ensure(&self, name: &str) -> Result<WorkspaceId, Error> {
        let name = name.to_owned();
        self.0
            .write(move |tx| {
                let id = format!("{}{name}", WorkspaceKind::PREFIX);
                tx.execute(ENSURE, values![id, &name])?;
                tx.row(BY_NAME, values![&name], |row| row.id(0))?
                    .ok_or_else(|| Error::corrupt("workspaces lost a row"))
            })
            .await
    }

    /// All of them, oldest first: for whoever runs the server.
    pub async fn list(&self) -> Result<Vec<WorkspaceId>, Error> {
        self.0
            .read_one(|tx| tx.rows(LIST, &[], |row| row.id(0)))
            .await
    }
}
