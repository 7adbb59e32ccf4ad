//! Counters: how much of a limit is used up.
//!
//! They belong to subjects, not to workspaces: a subject's name says whose it is.

use loomgate_domain::limit::Charge;

use crate::{
    Error,
    pool::Pool,
    tx::{Row, Tx, statements, values},
};

/// The most rows that one job of a purge removes, so that others get their turn.
const PURGE_CHUNK: i64 = 1_000;

statements! {
    // A sum beyond the range of the column stays at its end.
    ADD = "INSERT INTO counters (subject, meter, start, amount) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (subject, meter, start) DO UPDATE SET amount = \
        CASE WHEN counters.amount > 9223372036854775807 - excluded.amount \
        THEN 9223372036854775807 ELSE counters.amount + excluded.amount END";
    LOAD = "SELECT subject, meter, start, amount FROM counters WHERE subject = $1 \
        ORDER BY meter, start";
    PURGE = "DELETE FROM counters WHERE (subject, meter, start) IN (\
        SELECT subject, meter, start FROM counters \
        WHERE start < $1 AND meter NOT LIKE 'budget:%' LIMIT $2)";
    RESET = "DELETE FROM counters WHERE subject = $1";
}

/// The counters of a [`crate::Store`].
#[derive(Debug)]
pub struct Counters<'s>(pub(crate) &'s Pool);

impl Counters<'_> {
    /// Adds to counters; those that are missing begin at 0.
    pub async fn add(&self, charges: Vec<Charge>) -> Result<(), Error> {
        self.0.write(move |tx| add(tx, &charges)).await
    }

    /// All counters of a subject.
    pub async fn load(&self, subject: &str) -> Result<Vec<Charge>, Error> {
        let subject = subject.to_owned();
        self.0
            .read_one(move |tx| tx.rows(LOAD, values![&subject], read))
            .await
    }

    /// Removes counters of windows that began before `before_start`, in unix seconds, and returns
    /// how many. Those of budgets stay.
    pub async fn purge(&self, before_start: i64) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let values = move |tx: &mut dyn Tx| {
                Ok(tx.execute(PURGE, values![before_start, PURGE_CHUNK])? as u64)
            };
            let chunk = self.0.write_one(values).await?;
            removed += chunk;
            if chunk < PURGE_CHUNK.unsigned_abs() {
                return Ok(removed);
            }
        }
    }

    /// Removes all counters of a subject.
    pub async fn reset(&self, subject: &str) -> Result<(), Error> {
        let subject = subject.to_owned();
        self.0
            .write_one(move |tx| tx.execute(RESET, values![&subject]).map(|_| ()))
            .await
    }
}

/// Adds to counters, within a transaction: in the order of all who do, so that none waits for
/// another that waits for it.
pub(crate) fn add(tx: &mut dyn Tx, charges: &[Charge]) -> Result<(), Error> {
    let mut charges: Vec<_> = charges.iter().collect();
    charges.sort_by(|a, b| (&a.subject, &a.meter, a.start).cmp(&(&b.subject, &b.meter, b.start)));
    for charge in charges {
        let amount = i64::try_from(charge.amount).unwrap_or(i64::MAX);
        let values = values![&*charge.subject, &*charge.meter, charge.start, amount];
        tx.execute(ADD, values)?;
    }
    Ok(())
}

fn read(row: &dyn Row) -> Result<Charge, Error> {
    Ok(Charge {
        subject: row.text(0)?.into(),
        meter: row.text(1)?.to_owned().into(),
        start: row.integer(2)?,
        amount: row.integer(3)?.unsigned_abs(),
    })
}
