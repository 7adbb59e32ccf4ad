//! Affinity: objects that live at a provider, and the target that keeps each.

use loomgate_domain::WorkspaceId;

use crate::{
    Error,
    pool::Pool,
    tx::{statements, values},
};

statements! {
    PUT = "INSERT INTO affinity (workspace_id, object_id, target) VALUES ($1, $2, $3) \
        ON CONFLICT (workspace_id, object_id) DO UPDATE SET target = excluded.target";
    GET = "SELECT target FROM affinity WHERE workspace_id = $1 AND object_id = $2";
}

/// The affinities of a [`crate::Store`].
#[derive(Debug)]
pub struct Affinity<'s>(pub(crate) &'s Pool);

impl Affinity<'_> {
    /// Remembers objects, each with its target; the last word counts.
    pub async fn put(
        &self,
        ws: &WorkspaceId,
        mut kept: Vec<(String, String)>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        // In the order of all who write such rows; the last word stays the last.
        kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0
            .write(move |tx| {
                for (object, target) in &kept {
                    tx.execute(PUT, values![&ws, object, target])?;
                }
                Ok(())
            })
            .await
    }

    /// The objects among these that are known, in the same order, each with its target.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        objects: &[String],
    ) -> Result<Vec<(String, String)>, Error> {
        let (ws, objects) = (ws.clone(), objects.to_vec());
        self.0
            .read(move |tx| {
                let mut found = Vec::new();
                for object in &objects {
                    let target =
                        tx.row(GET, values![&ws, object], |row| Ok(row.text(0)?.to_owned()))?;
                    found.extend(target.map(|target| (object.clone(), target)));
                }
                Ok(found)
            })
            .await
    }
}
