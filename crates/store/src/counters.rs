//! Counters: how much of a limit is used up, and which runs at providers will still add to it.
//!
//! Counters belong to subjects, not to workspaces: a subject's name says whose it is. Open runs are
//! written and read by the process as a whole, and name their workspace.

use std::sync::Arc;

use loomgate_domain::{
    Timestamp, WorkspaceId,
    limit::{Charge, ClosedRun, OpenRun, Owed},
};

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
    DROP_PASSED = "DELETE FROM counters WHERE subject = $1 AND meter = $2 AND start < $3";
    RESET = "DELETE FROM counters WHERE subject = $1";
    OPEN = "INSERT INTO open_runs (workspace_id, account, run_id, until) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (workspace_id, account, run_id) DO UPDATE SET until = excluded.until";
    CLOSE = "DELETE FROM open_runs WHERE workspace_id = $1 AND account = $2 AND run_id = $3";
    ALL_OPEN = "SELECT workspace_id, account, run_id, until FROM open_runs";
}

/// The counters of a [`crate::Store`].
#[derive(Debug)]
pub struct Counters<'s>(pub(crate) &'s Pool);

impl Counters<'_> {
    /// Adds to counters (those that are missing begin at 0), opens runs and closes them, all or
    /// nothing: a run is gone when its usage is counted, and only then. What is opened and closed
    /// at once is closed; what another process has closed before is not counted again.
    pub async fn settle(&self, owed: Owed) -> Result<(), Error> {
        self.exchange(owed, Vec::new(), None).await.map(|_| ())
    }

    /// The same where processes share the limits; returns all counters of some subjects, as they are
    /// then. Windows of a second or a minute are gone once they have passed.
    pub async fn balance(
        &self,
        owed: Owed,
        subjects: Vec<Arc<str>>,
        now: Timestamp,
    ) -> Result<Vec<Vec<Charge>>, Error> {
        if owed.is_empty() {
            let load = move |tx: &mut dyn Tx| load(tx, &subjects);
            return self.0.read(load).await;
        }
        self.exchange(owed, subjects, Some(now)).await
    }

    async fn exchange(
        &self,
        owed: Owed,
        subjects: Vec<Arc<str>>,
        passed: Option<Timestamp>,
    ) -> Result<Vec<Vec<Charge>>, Error> {
        self.0
            .write(move |tx| {
                settle(tx, &owed)?;
                if let Some(now) = passed {
                    drop_passed(tx, &owed.charges, now)?;
                }
                load(tx, &subjects)
            })
            .await
    }

    /// The runs at providers that are still to be counted, in no order.
    pub async fn open_runs(&self) -> Result<Vec<OpenRun>, Error> {
        self.0
            .read_one(move |tx| tx.rows(ALL_OPEN, values![], read_open))
            .await
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

/// All counters of these subjects.
fn load(tx: &mut dyn Tx, subjects: &[Arc<str>]) -> Result<Vec<Vec<Charge>>, Error> {
    let of = |subject: &Arc<str>| tx.rows(LOAD, values![&**subject], read);
    subjects.iter().map(of).collect()
}

fn settle(tx: &mut dyn Tx, owed: &Owed) -> Result<(), Error> {
    for run in sorted(owed.opened.iter()) {
        let (account, id) = (&*run.account, &*run.run);
        tx.execute(OPEN, values![&run.workspace, account, id, run.until.0])?;
    }
    let mut charges = owed.charges.clone();
    let mut closed: Vec<_> = owed.closed.iter().collect();
    closed.sort_by(|a, b| key(&a.run).cmp(&key(&b.run)));
    for ClosedRun { run, charges: due } in closed {
        let (account, id) = (&*run.account, &*run.run);
        if tx.execute(CLOSE, values![&run.workspace, account, id])? > 0 {
            charges.extend_from_slice(due);
        }
    }
    add(tx, &charges)
}

/// Removes what the windows of a second or a minute before these have left, but for those that a
/// rate still looks at.
fn drop_passed(tx: &mut dyn Tx, charges: &[Charge], now: Timestamp) -> Result<(), Error> {
    for charge in charges {
        let span = match &*charge.meter {
            "requests:rps" | "tokens:rps" => 1,
            "requests:rpm" | "tokens:rpm" => 60,
            _ => continue,
        };
        let before = now.0.min(charge.start) - 2 * span;
        tx.execute(
            DROP_PASSED,
            values![&*charge.subject, &*charge.meter, before],
        )?;
    }
    Ok(())
}

fn key(run: &OpenRun) -> (&WorkspaceId, &str, &str) {
    (&run.workspace, &run.account, &run.run)
}

/// In the order of all who write such rows.
fn sorted<'r>(runs: impl Iterator<Item = &'r OpenRun>) -> Vec<&'r OpenRun> {
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by(|a, b| key(a).cmp(&key(b)));
    runs
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

fn read_open(row: &dyn Row) -> Result<OpenRun, Error> {
    Ok(OpenRun {
        workspace: WorkspaceId::trusted(row.text(0)?),
        account: row.text(1)?.into(),
        run: row.text(2)?.into(),
        until: Timestamp(row.integer(3)?),
    })
}
