//! Receipts: what was created under an `Idempotency-Key`, and how that was answered.
//!
//! A receipt is the first thing that the transaction writes which creates. Of two transactions with
//! one key, the second therefore waits for the first, on either engine, and then finds its receipt.

mod sealed;

use loomgate_domain::{KeyedRequest, Receipt, Timestamp, WorkspaceId, receipt::RECEIPT_LIFETIME_S};

use crate::{
    Error,
    pool::Pool,
    tx::{Row, Tx, to_json, values},
};

macro_rules! shelf {
    ($table:literal) => {
        statements! {
            INSERT = concat!("INSERT INTO ", $table, " \
                (workspace_id, idempotency_key, fingerprint, request_id, answer, created_at) \
                VALUES ($1, $2, $3, $4, $5, $6) \
                ON CONFLICT (workspace_id, idempotency_key) DO NOTHING");
            DELETE = concat!("DELETE FROM ", $table, " \
                WHERE workspace_id = $1 AND idempotency_key = $2");
            DELETE_EXPIRED = concat!("DELETE FROM ", $table, " \
                WHERE workspace_id = $1 AND idempotency_key = $2 AND created_at <= $3");
            GET = concat!("SELECT idempotency_key, fingerprint, request_id, created_at, answer FROM ", $table, " \
                WHERE workspace_id = $1 AND idempotency_key = $2 AND created_at > $3");
            EXPIRED = concat!("SELECT workspace_id, idempotency_key FROM ", $table, " \
                WHERE created_at <= $1 ORDER BY created_at LIMIT $2");
        }

        pub(super) static SHELF: super::Shelf = super::Shelf {
            insert: INSERT,
            delete: DELETE,
            delete_expired: DELETE_EXPIRED,
            get: GET,
            expired: EXPIRED,
        };
    };
}

/// Those of what is kept with the records.
mod records {
    use crate::tx::statements;
    shelf!("receipts");
}

/// Those of what is kept with the logs.
mod logs {
    use crate::tx::statements;
    shelf!("log_receipts");
}

#[cfg(test)]
pub(crate) use {
    logs::STATEMENTS as LOG_STATEMENTS, records::STATEMENTS,
    sealed::STATEMENTS as SEALED_STATEMENTS,
};

pub use sealed::SealedReceipt;

/// The statements of a table of receipts.
#[derive(Debug)]
struct Shelf {
    insert: &'static str,
    delete: &'static str,
    delete_expired: &'static str,
    get: &'static str,
    expired: &'static str,
}

/// A receipt and the workspace that asked, of a creation that may be another one's.
pub type OwnReceipt = (WorkspaceId, Receipt);

/// Receipts of a [`crate::Store`].
#[derive(Debug)]
pub struct Receipts<'s> {
    pool: &'s Pool,
    sql: &'static Shelf,
}

impl<'s> Receipts<'s> {
    /// Those that lie with the records.
    pub(crate) fn of_records(pool: &'s Pool) -> Self {
        let sql = &records::SHELF;
        Self { pool, sql }
    }

    /// Those that lie with the logs.
    pub(crate) fn of_logs(pool: &'s Pool) -> Self {
        let sql = &logs::SHELF;
        Self { pool, sql }
    }

    /// The receipt under a key, unless it has expired.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Receipt>, Error> {
        let (ws, key) = (ws.clone(), key.to_owned());
        let sql = self.sql;
        self.pool
            .read_one(move |tx| tx.row(sql.get, values![&ws, &key, expiry(now)], read))
            .await
    }

    /// Deletes expired receipts of all workspaces, oldest first and `most` of them at a time;
    /// returns how many.
    pub async fn sweep(&self, now: Timestamp, most: u32) -> Result<usize, Error> {
        let sql = self.sql;
        self.pool
            .write(move |tx| {
                let values = values![expiry(now), i64::from(most)];
                let expired = tx.rows(sql.expired, values, |row| {
                    Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))
                })?;
                for (ws, key) in &expired {
                    // One that is new under this key stays.
                    tx.execute(sql.delete_expired, values![ws, key, expiry(now)])?;
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
    let kept = receipt.map(|receipt| put(tx, &records::SHELF, ws, receipt));
    kept.unwrap_or(Ok(()))
}

/// The same where the creation is kept with the logs.
pub(crate) fn keep_with_logs(tx: &mut dyn Tx, receipt: Option<&OwnReceipt>) -> Result<(), Error> {
    let kept = receipt.map(|(ws, receipt)| put(tx, &logs::SHELF, ws, receipt));
    kept.unwrap_or(Ok(()))
}

/// The same where the creation may be of another workspace than the receipt.
pub(crate) fn keep_own(tx: &mut dyn Tx, receipt: Option<&OwnReceipt>) -> Result<(), Error> {
    let kept = receipt.map(|(ws, receipt)| keep(tx, ws, Some(receipt)));
    kept.unwrap_or(Ok(()))
}

fn put(
    tx: &mut dyn Tx,
    sql: &'static Shelf,
    ws: &WorkspaceId,
    Receipt { request, answer }: &Receipt,
) -> Result<(), Error> {
    let expired = values![ws, &request.key, expiry(request.at)];
    tx.execute(sql.delete_expired, expired)?;
    let values = values![
        ws,
        &request.key,
        &request.fingerprint,
        &request.request_id,
        to_json(answer)?,
        request.at,
    ];
    if tx.execute(sql.insert, values)? == 0 {
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
        tx.execute(records::SHELF.delete, values![ws, &receipt.request.key])?;
    }
    Ok(None)
}

/// What was created then has expired.
fn expiry(now: Timestamp) -> i64 {
    now.0.saturating_sub(i64::from(RECEIPT_LIFETIME_S))
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
