//! Receipts: what was created under an `Idempotency-Key`, and how that was answered.
//!
//! A receipt is the first thing that the transaction writes which creates. Of two transactions with
//! one key, the second therefore waits for the first, on either engine, and then finds its receipt.

use loomgate_domain::{KeyedRequest, Receipt, Timestamp, WorkspaceId, receipt::RECEIPT_LIFETIME_S};

use crate::{
    Error,
    pool::Pool,
    tx::{Row, Tx, statements, to_json, values},
};

statements! {
    INSERT = "INSERT INTO receipts \
        (workspace_id, idempotency_key, fingerprint, request_id, answer, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id, idempotency_key) DO NOTHING";
    DELETE = "DELETE FROM receipts WHERE workspace_id = $1 AND idempotency_key = $2";
    DELETE_EXPIRED = "DELETE FROM receipts \
        WHERE workspace_id = $1 AND idempotency_key = $2 AND created_at <= $3";
    GET = "SELECT idempotency_key, fingerprint, request_id, created_at, answer FROM receipts \
        WHERE workspace_id = $1 AND idempotency_key = $2 AND created_at > $3";
    EXPIRED = "SELECT workspace_id, idempotency_key FROM receipts WHERE created_at <= $1 \
        ORDER BY created_at LIMIT $2";
}

/// The receipts of a [`crate::Store`].
#[derive(Debug)]
pub struct Receipts<'s>(pub(crate) &'s Pool);

impl Receipts<'_> {
    /// The receipt under a key, unless it has expired.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Receipt>, Error> {
        let (ws, key) = (ws.clone(), key.to_owned());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &key, expiry(now)], read))
            .await
    }

    /// Deletes expired receipts of all workspaces, oldest first and `most` of them at a time;
    /// returns how many.
    pub async fn sweep(&self, now: Timestamp, most: u32) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let values = values![expiry(now), i64::from(most)];
                let expired = tx.rows(EXPIRED, values, |row| {
                    Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))
                })?;
                for (ws, key) in &expired {
                    // One that is new under this key stays.
                    tx.execute(DELETE_EXPIRED, values![ws, key, expiry(now)])?;
                }
                Ok(expired.len())
            })
            .await
    }
}

/// Keeps the receipt of what the transaction creates. Error: [`Error::Repeated`].
pub(crate) fn keep(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    receipt: Option<&Receipt>,
) -> Result<(), Error> {
    let Some(Receipt { request, answer }) = receipt else {
        return Ok(());
    };
    tx.execute(
        DELETE_EXPIRED,
        values![ws, &request.key, expiry(request.at)],
    )?;
    let values = values![
        ws,
        &request.key,
        &request.fingerprint,
        &request.request_id,
        to_json(answer)?,
        request.at,
    ];
    if tx.execute(INSERT, values)? == 0 {
        return Err(Error::Repeated);
    }
    Ok(())
}

/// Takes it back, where there is nothing to create: not found.
pub(crate) fn withdraw<T>(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    receipt: Option<&Receipt>,
) -> Result<Option<T>, Error> {
    if let Some(receipt) = receipt {
        tx.execute(DELETE, values![ws, &receipt.request.key])?;
    }
    Ok(None)
}

/// What was created then has expired.
fn expiry(now: Timestamp) -> i64 {
    now.0.saturating_sub(RECEIPT_LIFETIME_S)
}

fn read(row: &dyn Row) -> Result<Receipt, Error> {
    let request = KeyedRequest {
        key: row.text(0)?.to_owned(),
        fingerprint: row.text(1)?.to_owned(),
        request_id: row.text(2)?.to_owned(),
        at: row.time(3)?,
    };
    Ok(request.answered(row.json(4)?))
}
