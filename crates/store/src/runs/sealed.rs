//! What came sealed with runs, for sealing it anew when the master key changes. Only runs that have
//! not ended have any.

use loomgate_domain::{RunId, WorkspaceId};

use crate::{
    Error, Runs,
    tx::{statements, values},
};

statements! {
    SEALED_OTHERWISE = "SELECT workspace_id, id, sealed FROM runs \
        WHERE expires_at IS NOT NULL AND sealed IS NOT NULL AND sealed NOT LIKE $1 LIMIT $2";
    RESEAL = "UPDATE runs SET sealed = $1 WHERE workspace_id = $2 AND id = $3 AND sealed = $4";
}

impl Runs<'_> {
    /// Runs of every workspace whose sealed text does not begin with `start` (`v2:`), at most
    /// `most` of them. `start` holds no `%` and no `_`.
    pub async fn sealed_otherwise(
        &self,
        start: &str,
        most: u32,
    ) -> Result<Vec<(WorkspaceId, RunId, String)>, Error> {
        let pattern = format!("{start}%");
        self.0
            .read_one(move |tx| {
                let values = values![&pattern, i64::from(most)];
                tx.rows(SEALED_OTHERWISE, values, |row| {
                    Ok((row.id(0)?, row.id(1)?, row.text(2)?.to_owned()))
                })
            })
            .await
    }

    /// Replaces what came sealed with a run. False: it is not `old_sealed` any more, or the run has
    /// ended.
    pub async fn reseal(
        &self,
        ws: &WorkspaceId,
        id: &RunId,
        old_sealed: &str,
        new_sealed: &str,
    ) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        let (old, new) = (old_sealed.to_owned(), new_sealed.to_owned());
        self.0
            .write_one(move |tx| Ok(tx.execute(RESEAL, values![&new, &ws, &id, &old])? > 0))
            .await
    }
}
