//! The work queue: who may take which run, and until when.

use loomgate_domain::{
    Message, Run, RunId, RunStep, ThreadId, Timestamp, WorkspaceId,
    run::{Journal, RunStatus},
};

use super::{
    advance::{after, apply},
    row::{self, COLUMNS, columns},
};
use crate::{
    Error, Guard, JournalState, RunChange, Runs, StoredEvents, Wakeups, events, messages, steps,
    tx::{Dialect, Row, Tx, Value, postgres_statements, statements, values},
    waiting,
};

/// Expired leases go back to where new runs stand, so that the oldest run goes first. `$locking`
/// passes over the rows that others are writing.
macro_rules! void {
    ($locking:literal) => {
        concat!(
            "WITH expired AS (SELECT workspace_id, id FROM runs \
             WHERE lease_until > 0 AND lease_until < $1",
            $locking,
            ") UPDATE runs SET lease_until = 0 \
             WHERE (workspace_id, id) IN (SELECT workspace_id, id FROM expired)"
        )
    };
}

/// Takes the oldest runs that are free.
macro_rules! claim {
    ($locking:literal) => {
        concat!(
            "WITH next AS (SELECT workspace_id, id FROM runs \
             WHERE lease_until = 0 ORDER BY seq LIMIT $1",
            $locking,
            ") UPDATE runs SET fence = fence + 1, attempt = attempt + 1, \
             lease_owner = $2, lease_until = $3 \
             WHERE (workspace_id, id) IN (SELECT workspace_id, id FROM next) RETURNING ",
            columns!(),
            ", fence, version, attempt, sealed, journal, workspace_id, seq"
        )
    };
}

statements! {
    VOID_EXPIRED = void!("");
    CLAIM = claim!("");
    HEARTBEAT = "UPDATE runs SET lease_until = $1 \
        WHERE workspace_id = $2 AND id = $3 AND fence = $4 AND lease_owner = $5";
    CANCELLING = "SELECT id, fence FROM runs \
        WHERE lease_until > 0 AND lease_owner = $1 AND status = 'cancelling'";
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

postgres_statements! {
    VOID_EXPIRED_BESIDE_OTHERS = void!(" FOR NO KEY UPDATE SKIP LOCKED");
    CLAIM_BESIDE_OTHERS = claim!(" FOR NO KEY UPDATE SKIP LOCKED");
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
    /// Tells when a run may have become free.
    pub fn wakeups(&self) -> Wakeups {
        self.0.wakeups()
    }

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
                let (void, claim) = match tx.dialect() {
                    Dialect::Sqlite => (VOID_EXPIRED, CLAIM),
                    Dialect::Postgres => (VOID_EXPIRED_BESIDE_OTHERS, CLAIM_BESIDE_OTHERS),
                };
                tx.execute(void, values![request.now_ms])?;
                let until_ms = request.now_ms.saturating_add(request.lease_ms);
                let values = values![i64::from(request.max), &request.worker, until_ms];
                let mut taken = tx.rows(claim, values, Taken::read)?;
                taken.sort_by_key(|taken| taken.seq);
                let claims = taken.into_iter().map(|taken| begin(tx, taken, &start));
                claims.collect()
            })
            .await
    }

    /// Prolongs a worker's leases. Returns the runs that it still has; the others have ended,
    /// paused, or gone to another worker.
    pub async fn heartbeat(
        &self,
        worker: &str,
        mut leases: Vec<Lease>,
        until_ms: i64,
    ) -> Result<Vec<RunId>, Error> {
        let worker = worker.to_owned();
        // In one order, so that two do not wait for each other.
        leases.sort_by(|a, b| (&a.ws, &a.run).cmp(&(&b.ws, &b.run)));
        self.0
            .write(move |tx| {
                let mut held = Vec::with_capacity(leases.len());
                for Lease { ws, run, fence } in &leases {
                    let values = values![until_ms, ws, run, *fence, &worker];
                    if tx.execute(HEARTBEAT, values)? > 0 {
                        held.push(run.clone());
                    }
                }
                Ok(held)
            })
            .await
    }

    /// The runs that a worker has and somebody wants to stop, with the numbers of their leases.
    pub async fn cancelling(&self, worker: &str) -> Result<Vec<(RunId, i64)>, Error> {
        let worker = worker.to_owned();
        self.0
            .read_one(move |tx| {
                tx.rows(CANCELLING, values![&worker], |row| {
                    Ok((row.id(0)?, row.integer(1)?))
                })
            })
            .await
    }

    /// Gives all leases of a worker up, so that any worker may take its runs at once. Returns
    /// how many. Until somebody does, the worker can still commit.
    pub async fn release_all(&self, worker: &str) -> Result<u64, Error> {
        let worker = worker.to_owned();
        self.0
            .write(move |tx| void(tx, RELEASE_ALL, values![&worker]))
            .await
    }

    /// Voids the leases of processes that are gone, for the start of a process, and returns how many
    /// there were. Whoever has a database for itself is certain that no other process lives: every
    /// lease is void. Where it is shared, others may live beside us: a lease is void once it has ended.
    pub async fn recover(&self, now_ms: i64) -> Result<u64, Error> {
        let is_shared = self.0.is_shared();
        self.0
            .write(move |tx| match (is_shared, tx.dialect()) {
                (false, _) => void(tx, RECOVER, &[]),
                (true, Dialect::Sqlite) => void(tx, VOID_EXPIRED, values![now_ms]),
                // Whoever has a row locked does not keep us from starting.
                (true, Dialect::Postgres) => void(tx, VOID_EXPIRED_BESIDE_OTHERS, values![now_ms]),
            })
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
                let mut due = tx.rows(DUE, values![now, now_ms, i64::from(max)], |row| {
                    Ok((row.id(0)?, row.id(1)?, row.id(2)?))
                })?;
                let left = max.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
                if left > 0 {
                    due.extend(waiting::due(tx, now, left)?);
                }
                Ok(due)
            })
            .await
    }

    /// When the next run's time is over; perhaps in the past. Those that are cancelling do not
    /// count.
    pub async fn next_deadline(&self) -> Result<Option<Timestamp>, Error> {
        self.0
            .read(|tx| {
                let active = tx.row(NEXT_DEADLINE, &[], |row| row.time(0))?;
                Ok(active.into_iter().chain(waiting::next_deadline(tx)?).min())
            })
            .await
    }

    /// How many active runs there are in each status, apart from those that wait for their thread. A
    /// status without runs is left out.
    pub async fn census(&self) -> Result<Vec<(RunStatus, u64)>, Error> {
        self.0
            .read_one(|tx| {
                tx.rows(CENSUS, &[], |row| {
                    let status = row::status(row.text(0)?)?;
                    Ok((status, u64::try_from(row.integer(1)?).unwrap_or(0)))
                })
            })
            .await
    }
}

/// Frees runs, and tells the workers if there were any.
fn void(tx: &mut dyn Tx, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error> {
    let freed = tx.execute(sql, values)?;
    if freed > 0 {
        tx.announce_work()?;
    }
    Ok(freed as u64)
}

/// A run that was taken; what becomes of it is not decided yet.
struct Taken {
    run: Run,
    fence: i64,
    version: i64,
    attempt: i64,
    sealed: Option<String>,
    journal: Option<Journal>,
    ws: WorkspaceId,
    seq: i64,
}

impl Taken {
    fn read(row: &dyn Row) -> Result<Self, Error> {
        Ok(Self {
            run: row::read(row)?,
            fence: row.integer(COLUMNS)?,
            version: row.integer(COLUMNS + 1)?,
            attempt: row.integer(COLUMNS + 2)?,
            sealed: row.optional_text(COLUMNS + 3)?.map(str::to_owned),
            journal: row::journal(row, COLUMNS + 4)?,
            ws: row.id(COLUMNS + 5)?,
            seq: row.integer(COLUMNS + 6)?,
        })
    }
}

fn begin(
    tx: &mut dyn Tx,
    taken: Taken,
    start: &impl Fn(&ClaimedRow) -> RunChange,
) -> Result<Claim, Error> {
    let Taken { run, ws, .. } = taken;
    // Whatever is open was left behind by whoever had it before.
    let had = taken.fence > 1;
    let mut before = ClaimedRow {
        steps: if had {
            steps::open(tx, &ws, &run.id)?
        } else {
            Vec::new()
        },
        messages: if had {
            messages::open(tx, &ws, &run.thread_id, &run.id)?
        } else {
            Vec::new()
        },
        run,
        recording: None,
        told: Vec::new(),
    };
    if let Some(journal) = taken.journal.filter(|journal| journal.recording) {
        let id = &before.run.id;
        before.recording = Some(JournalState {
            journal: Some(journal),
            last: events::last(tx, &ws, id)?,
            attempt: taken.fence,
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
        fence: taken.fence,
        version: taken.version,
    };
    let committed = apply(tx, &guard, &change)?
        .ok_or_else(|| Error::corrupt("a run changed within a transaction"))?;
    let run = after(before.run, change);
    Ok(Claim {
        ws: guard.ws,
        sealed: taken.sealed.filter(|_| run.state.status().is_active()),
        run,
        fence: taken.fence,
        version: committed.version,
        attempt: taken.attempt,
    })
}
