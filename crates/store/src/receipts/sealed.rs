//! Sealed answers, for sealing them anew when the master key changes. They lie with the records: no
//! answer of what is kept with the logs holds a secret.

use loomgate_domain::{WorkspaceId, receipt::Answer};

use crate::{
    Error, Receipts,
    tx::{statements, to_json, values},
};

statements! {
    // The answers are JSON as this crate writes it.
    SEALED_OTHERWISE = "SELECT workspace_id, idempotency_key, answer FROM receipts \
        WHERE (workspace_id, idempotency_key) > ($1, $2) \
        AND answer LIKE '{\"sealed\":%' AND answer NOT LIKE $3 \
        ORDER BY workspace_id, idempotency_key LIMIT $4";
    RESEAL = "UPDATE receipts SET answer = $1 \
        WHERE workspace_id = $2 AND idempotency_key = $3 AND answer = $4";
}

/// A receipt whose answer is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReceipt {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The client's key.
    pub key: String,
    /// The answer.
    pub sealed: String,
}

impl Receipts<'_> {
    /// Receipts of every workspace whose sealed answer does not begin with `start` (`v2:`), behind
    /// `after` and at most `most` of them. `start` holds no `%`, no `_` and nothing that JSON escapes.
    pub async fn sealed_otherwise(
        &self,
        start: &str,
        after: Option<&SealedReceipt>,
        most: u32,
    ) -> Result<Vec<SealedReceipt>, Error> {
        let pattern = format!("{{\"sealed\":\"{start}%");
        let (ws, key) = after.map_or_else(Default::default, |after| {
            (after.workspace.as_str().to_owned(), after.key.clone())
        });
        self.pool
            .read_one(move |tx| {
                let values = values![&ws, &key, &pattern, i64::from(most)];
                let found = tx.rows(SEALED_OTHERWISE, values, |row| {
                    let sealed = match row.json(2)? {
                        Answer::Sealed(sealed) => sealed,
                        Answer::Body(_) | Answer::Stream { .. } => return Ok(None),
                    };
                    let (workspace, key) = (row.id(0)?, row.text(1)?.to_owned());
                    Ok(Some(SealedReceipt {
                        workspace,
                        key,
                        sealed,
                    }))
                })?;
                Ok(found.into_iter().flatten().collect())
            })
            .await
    }

    /// Replaces a sealed answer. False: it is another one by now, or the receipt is gone.
    pub async fn reseal(&self, receipt: SealedReceipt, new_sealed: String) -> Result<bool, Error> {
        self.pool
            .write_one(move |tx| {
                let SealedReceipt {
                    workspace,
                    key,
                    sealed,
                } = &receipt;
                let old = to_json(&Answer::Sealed(sealed.clone()))?;
                let new = to_json(&Answer::Sealed(new_sealed.clone()))?;
                Ok(tx.execute(RESEAL, values![new, workspace, key, old])? > 0)
            })
            .await
    }
}
