//! Whose file is indexed next: workspaces take turns, and in each of them its stores; a store's files
//! go in the order in which they came. So a long queue of one store delays a file of another by the
//! files that are being worked on, and not by the queue.

use std::collections::BTreeMap;

use super::queue::{IndexingClaim, claimed, taken};
use crate::{
    ClaimRequest, Error,
    tx::{Dialect, Row, Tx, postgres_statements, statements, values},
};

/// The first file of the first store behind another.
macro_rules! next_file {
    ($locking:literal) => {
        concat!(
            "SELECT seq, store_id FROM vector_store_files WHERE lease_until = 0 \
             AND workspace_id = $1 AND store_id > $2 ORDER BY store_id, seq LIMIT 1",
            $locking
        )
    };
}

statements! {
    NEXT_WORKSPACE = "SELECT workspace_id FROM vector_store_files WHERE lease_until = 0 \
        AND workspace_id > $1 ORDER BY workspace_id, store_id, seq LIMIT 1";
    NEXT_FILE = next_file!("");
    TAKE = concat!("UPDATE vector_store_files SET fence = fence + 1, attempt = attempt + 1, \
        lease_owner = $1, lease_until = $2 WHERE seq = $3 AND lease_until = 0 RETURNING ", claimed!());
}

postgres_statements! {
    NEXT_FILE_BESIDE_OTHERS = next_file!(" FOR NO KEY UPDATE SKIP LOCKED");
}

/// Who had the last turns at one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexingTurns {
    /// The workspace that had the last one.
    workspace: String,
    /// Of each workspace, the store that had its last one.
    stores: BTreeMap<String, String>,
}

impl IndexingTurns {
    /// Takes files that wait, up to as many as are asked for.
    pub(super) fn take(
        &mut self,
        tx: &mut dyn Tx,
        request: &ClaimRequest,
    ) -> Result<Vec<IndexingClaim>, Error> {
        let until_ms = request.now_ms.saturating_add(request.lease_ms);
        let mut claims = Vec::new();
        while claims.len() < request.max as usize {
            let Some(seq) = self.next(tx)? else {
                break;
            };
            let claim = tx.row(TAKE, values![&request.worker, until_ms, seq], taken)?;
            claims.extend(claim);
        }
        if claims.is_empty() {
            // Nobody waits: nobody was last.
            *self = Self::default();
        }
        Ok(claims)
    }

    /// The number of the file whose turn it is. Another workspace's turn it is, too, where all that waits
    /// in one is being taken by another worker at this moment.
    fn next(&mut self, tx: &mut dyn Tx) -> Result<Option<i64>, Error> {
        let last = self.workspace.clone();
        let mut is_second_round = false;
        loop {
            let after = values![&self.workspace];
            let workspace = tx.row(NEXT_WORKSPACE, after, |row| Ok(row.text(0)?.to_owned()))?;
            let is_last = is_second_round && workspace.as_ref() == Some(&last);
            match workspace {
                Some(workspace) => {
                    let found = self.next_in(tx, &workspace)?;
                    self.workspace = workspace;
                    if found.is_some() || is_last {
                        return Ok(found);
                    }
                }
                None if is_second_round => return Ok(None),
                None => {
                    is_second_round = true;
                    self.workspace.clear();
                }
            }
        }
    }

    fn next_in(&mut self, tx: &mut dyn Tx, workspace: &str) -> Result<Option<i64>, Error> {
        let next = match tx.dialect() {
            Dialect::Sqlite => NEXT_FILE,
            Dialect::Postgres => NEXT_FILE_BESIDE_OTHERS,
        };
        let store = self.stores.entry(workspace.to_owned()).or_default();
        let mut found = None;
        for after in [store.as_str(), ""] {
            let values = values![workspace, after];
            let file = |row: &dyn Row| Ok((row.integer(0)?, row.text(1)?.to_owned()));
            found = tx.row(next, values, file)?;
            if found.is_some() || after.is_empty() {
                break;
            }
        }
        Ok(found.map(|(seq, of)| {
            *store = of;
            seq
        }))
    }
}
