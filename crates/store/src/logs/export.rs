//! Definitions of exports. They lie with the logs, whose end is theirs too.

use loomgate_domain::{ExportId, WorkspaceId, export::LogExport};

use super::Logs;
use crate::{
    Error, OwnReceipt, receipts,
    tx::{Row, statements, to_json, values},
};

/// The most exports that a workspace has: the oldest make room.
const EXPORTS: i64 = 1_000;

statements! {
    INSERT = "INSERT INTO log_exports (workspace_id, id, record) VALUES ($1, $2, $3)";
    MAKE_ROOM = "DELETE FROM log_exports WHERE workspace_id = $1 AND seq <= \
        (SELECT seq FROM log_exports WHERE workspace_id = $2 \
         ORDER BY seq DESC LIMIT 1 OFFSET $3)";
    GET = "SELECT record FROM log_exports WHERE workspace_id = $1 AND id = $2";
    LIST = "SELECT record FROM log_exports WHERE workspace_id = $1 ORDER BY seq DESC LIMIT $2";
    UPDATE = "UPDATE log_exports SET record = $1 WHERE workspace_id = $2 AND id = $3";
}

impl Logs<'_> {
    /// Keeps the definition of an export. Of a workspace's more than 1000, the oldest go.
    /// Error: [`Error::Duplicate`].
    pub async fn add_export(
        &self,
        export: LogExport,
        receipt: Option<OwnReceipt>,
    ) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                receipts::keep_with_logs(tx, receipt.as_ref())?;
                let ws = &export.workspace;
                tx.execute(INSERT, values![ws, &export.id, to_json(&export)?])?;
                tx.execute(MAKE_ROOM, values![ws, ws, EXPORTS])?;
                Ok(())
            })
            .await
    }

    /// The definition of an export.
    pub async fn export(
        &self,
        ws: &WorkspaceId,
        id: &ExportId,
    ) -> Result<Option<LogExport>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], read))
            .await
    }

    /// All exports of a workspace, newest first.
    pub async fn exports(&self, ws: &WorkspaceId) -> Result<Vec<LogExport>, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| tx.rows(LIST, values![&ws, EXPORTS], read))
            .await
    }

    /// Changes an export, and returns it as it is then. `None`: there is none of this id. Its id
    /// and its workspace stay.
    pub async fn update_export(
        &self,
        ws: &WorkspaceId,
        id: &ExportId,
        change: impl Fn(LogExport) -> LogExport + Send + 'static,
    ) -> Result<Option<LogExport>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(before) = tx.lock(GET, values![&ws, &id], read)? else {
                    return Ok(None);
                };
                let after = LogExport {
                    id: id.clone(),
                    workspace: ws.clone(),
                    ..change(before)
                };
                tx.execute(UPDATE, values![to_json(&after)?, &ws, &id])?;
                Ok(Some(after))
            })
            .await
    }
}

fn read(row: &dyn Row) -> Result<LogExport, Error> {
    row.json(0)
}
