//! Leases: what one process at a time does for all.

use loomgate_domain::Timestamp;

use crate::{
    Error,
    pool::Pool,
    tx::{statements, values},
};

statements! {
    TAKE = "INSERT INTO leases (name, lease_until) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until \
        WHERE leases.lease_until <= $3";
}

/// The leases of a [`crate::Store`].
#[derive(Debug)]
pub struct Leases<'s>(pub(crate) &'s Pool);

impl Leases<'_> {
    /// Takes a piece of work for so many seconds. False: somebody has it.
    pub async fn take(
        &self,
        name: &'static str,
        now: Timestamp,
        seconds: u32,
    ) -> Result<bool, Error> {
        self.0
            .write_one(move |tx| {
                let until = now.0 + i64::from(seconds);
                Ok(tx.execute(TAKE, values![name, until, now])? > 0)
            })
            .await
    }
}
