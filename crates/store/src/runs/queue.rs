//! The work queue: who may take which run, and until when.

use loomgate_domain::{
    Message, Run, RunId, RunStep, ThreadId, Timestamp, WorkspaceId, run::RunStatus,
};

use super::{
    advance::{after, apply},
    row::{self, COLUMNS, columns},
};
use crate::{
    Error, Guard, JournalState, RunChange, Runs, StoredEvents, events, messages, steps,
    tx::{Tx, statements, values},
};

statements! {
    // Expired leases go back to where new runs stand, so that the oldest run goes first.
    VOID_EXPIRED = "UPDATE runs SET lease_until = 0 \
        WHERE lease_until > 0 AND lease_until < $1";
    NEXT = "SELECT workspace_id, id FROM runs WHERE lease_until = 0 ORDER BY seq LIMIT $1";
    TAKE = concat!("UPDATE runs SET fence = fence + 1, attempt = attempt + 1, \
        lease_owner = $1, lease_until = $2 WHERE workspace_id = $3 AND id = $4 \
        RETURNING ", columns!(), ", fence, version, attempt, sealed, journal");
    HEARTBEAT = "UPDATE runs SET lease_until = $1 \
        WHERE workspace_id = $2 AND id = $3 AND fence = $4 AND lease_owner = $5";
    RELEASE_ALL = "UPDATE runs SET lease_owner = NULL, lease_until = 0 \
        WHERE lease_until IS NOT NULL AND lease_owner = $1";
    RECOVER = "UPDATE runs SET lease_owner = NULL, lease_until = 0 WHERE lease_until > 0";
    // Whoever has a run ends it by itself when its time is over.
    DUE = "SELECT workspace_id, thread_id, id FROM runs \
        WHERE expires_at <= $1 AND status <> 'cancelling' \
        AND (lease_until IS NULL OR lease_until < $2) ORDER BY expires_at LIMIT $3";
    NEXT_DEADLINE = "SELECT expires_at FROM runs \
        WHERE expires_at IS NOT NULL AND status <> 'cancelling' ORDER BY expires_at LIMIT 1";
    CENSUS = "SELECT status, COUNT(*) FROM runs WHERE expires_at IS NOT NULL GROUP BY status";
}

/// Who asks for work, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The worker's name, unique among those alive.
    pub worker: String,
    /// Now, in milliseconds.
    pub now_ms: i64,
    /// How long it may keep a run without a heartbeat.
    pub lease_ms: i64,
    /// The most runs to take.
    pub max: u32,
}

/// A run that is about to be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRow {
    /// The run, as it was.
    pub run: Run,
    /// Its steps that are in progress: left behind by a worker that was lost.
    pub steps: Vec<RunStep>,
    /// Its messages that are in progress: likewise.
    pub messages: Vec<Message>,
    /// How far its journal is, if the present leg is recorded.
    pub recording: Option<JournalState>,
    /// Where something is in progress, the events of the leg that are kept: what streams were told
    /// of it.
    pub told: Vec<StoredEvents>,
}

/// A run that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The run's workspace.
    pub ws: WorkspaceId,
    /// The run, as it is now.
    pub run: Run,
    /// The lease's number, for [`Guard::fence`].
    pub fence: i64,
    /// The run's version, for [`Guard::version`].
    pub version: i64,
    /// How often it has been taken, this time included.
    pub attempt: i64,
    /// What came sealed with the run ([`crate::NewRun::sealed`]), unless it ended with the claim.
    pub sealed: Option<String>,
}

/// A lease that a worker holds, or believes it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run's workspace.
    pub ws: WorkspaceId,
    /// The run.
    pub run: RunId,
    /// The lease's number.
    pub fence: i64,
}

impl Runs<'_> {
    /// Takes runs that wait for a worker, oldest first: those that are queued or cancelling and
    /// leased to nobody, and those whose lease ended before `now_ms`. What `start` says becomes
    /// of each is written with its lease, all in one transaction.
    pub async fn claim(
        &self,
        request: ClaimRequest,
        start: impl Fn(&ClaimedRow) -> RunChange + Send + 'static,
    ) -> Result<Vec<Claim>, Error> {
        self.0
            .write(move |tx| {
                tx.execute(VOID_EXPIRED, values![request.now_ms])?;
                let next = tx.rows(NEXT, values![i64::from(request.max)], |row| {
                    Ok((row.id(0)?, row.id(1)?))
                })?;
                let mut claims = Vec::with_capacity(next.len());
                for (ws, run) in next {
                    claims.push(take(tx, &request, ws, &run, &start)?);
                }
                Ok(claims)
            })
            .await
    }

    /// Prolongs a worker's leases. Returns the runs that it still has; the others have ended,
    /// paused, or gone to another worker.
    pub async fn heartbeat(
        &self,
        worker: &str,
        leases: Vec<Lease>,
        until_ms: i64,
    ) -> Result<Vec<RunId>, Error> {
        let worker = worker.to_owned();
        self.0
            .write(move |tx| {
                let mut held = Vec::with_capacity(leases.len());
                for Lease { ws, run, fence } in leases {
                    let values = values![until_ms, &ws, &run, fence, &worker];
                    if tx.execute(HEARTBEAT, values)? > 0 {
                        held.push(run);
                    }
                }
                Ok(held)
            })
            .await
    }

    /// Gives all leases of a worker up, so that any worker may take its runs at once. Returns
    /// how many. Until somebody does, the worker can still commit.
    pub async fn release_all(&self, worker: &str) -> Result<u64, Error> {
        let worker = worker.to_owned();
        self.0
            .write(move |tx| Ok(tx.execute(RELEASE_ALL, values![&worker])? as u64))
            .await
    }

    /// Voids every lease and returns how many there were: for the start of a process that is
    /// alone with its database.
    pub async fn recover(&self) -> Result<u64, Error> {
        self.0
            .write(|tx| Ok(tx.execute(RECOVER, &[])? as u64))
            .await
    }

    /// Runs whose time is over, those first that are longest over. Left out are those that are
    /// cancelling, which do not expire, and those that a worker has, which ends them.
    pub async fn due(
        &self,
        now: Timestamp,
        max: u32,
    ) -> Result<Vec<(WorkspaceId, ThreadId, RunId)>, Error> {
        self.0
            .read(move |tx| {
                let now_ms = now.0.saturating_mul(1000);
                tx.rows(DUE, values![now, now_ms, i64::from(max)], |row| {
                    Ok((row.id(0)?, row.id(1)?, row.id(2)?))
                })
            })
            .await
    }

    /// When the next run's time is over; perhaps in the past. Those that are cancelling do not
    /// count.
    pub async fn next_deadline(&self) -> Result<Option<Timestamp>, Error> {
        self.0
            .read(|tx| tx.row(NEXT_DEADLINE, &[], |row| row.time(0)))
            .await
    }

    /// How many active runs there are in each status. A status without runs is left out.
    pub async fn census(&self) -> Result<Vec<(RunStatus, u64)>, Error> {
        self.0
            .read(|tx| {
                tx.rows(CENSUS, &[], |row| {
                    let status = row::status(row.text(0)?)?;
                    Ok((status, u64::try_from(row.integer(1)?).unwrap_or(0)))
                })
            })
            .await
    }
}

fn take(
    tx: &mut dyn Tx,
    request: &ClaimRequest,
    ws: WorkspaceId,
    id: &RunId,
    start: &impl Fn(&ClaimedRow) -> RunChange,
) -> Result<Claim, Error> {
    let until = request.now_ms.saturating_add(request.lease_ms);
    let values = values![&request.worker, until, &ws, id];
    let taken = tx.row(TAKE, values, |row| {
        Ok((
            row::read(row)?,
            row.integer(COLUMNS)?,
            row.integer(COLUMNS + 1)?,
            row.integer(COLUMNS + 2)?,
            row.optional_text(COLUMNS + 3)?.map(str::to_owned),
            row::journal(row, COLUMNS + 4)?,
        ))
    })?;
    let (run, fence, version, attempt, sealed, journal) =
        taken.ok_or_else(|| Error::corrupt("a run vanished within a transaction"))?;
    let mut before = ClaimedRow {
        steps: steps::open(tx, &ws, &run.id)?,
        messages: messages::open(tx, &ws, &run.thread_id, &run.id)?,
        run,
        recording: None,
        told: Vec::new(),
    };
    if let Some(journal) = journal.filter(|journal| journal.recording) {
        before.recording = Some(JournalState {
            journal: Some(journal),
            last: events::last(tx, &ws, id)?,
            attempt: fence,
        });
        if !before.steps.is_empty() {
            before.told = events::all_after(tx, (&ws, id), journal.after)?;
        }
    }
    let change = start(&before);
    let guard = Guard {
        ws,
        thread: before.run.thread_id.clone(),
        run: before.run.id.clone(),
        fence,
        version,
    };
    let committed = apply(tx, &guard, &change)?
        .ok_or_else(|| Error::corrupt("a run changed within a transaction"))?;
    let run = after(before.run, change);
    Ok(Claim {
        ws: guard.ws,
        sealed: sealed.filter(|_| run.state.status().is_active()),
        run,
        fence,
        version: committed.version,
        attempt,
    })
}
