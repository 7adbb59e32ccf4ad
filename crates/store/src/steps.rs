//! Run steps.

use loomgate_domain::{
    Page, PageRequest, RunId, RunStep, StepId, ThreadId, WorkspaceId, run::StepStatus,
};

use crate::{
    Error,
    page::{List, page},
    pool::Pool,
    runs,
    tx::{Row, Tx, statements, to_json, values},
};

macro_rules! columns {
    () => {
        "id, run_id, thread_id, assistant_id, created_at, expires_at, state, details, usage"
    };
}

statements! {
    PUT = concat!("INSERT INTO steps (workspace_id, status, ", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (workspace_id, id) DO UPDATE SET status = excluded.status, \
        state = excluded.state, details = excluded.details, usage = excluded.usage");
    GET = concat!("SELECT ", columns!(), " FROM steps \
        WHERE workspace_id = $1 AND id = $2 AND thread_id = $3 AND run_id = $4");
    CURSOR = "SELECT seq FROM steps WHERE workspace_id = $1 AND run_id = $2 AND id = $3";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM steps WHERE workspace_id = $1 \
        AND run_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM steps WHERE workspace_id = $1 \
        AND run_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq DESC LIMIT $5");
    LIST_OPEN = concat!("SELECT ", columns!(), " FROM steps WHERE workspace_id = $1 \
        AND run_id = $2 AND status = 'in_progress' ORDER BY seq");
    LIST_ALL = concat!("SELECT ", columns!(), " FROM steps WHERE workspace_id = $1 \
        AND run_id = $2 ORDER BY seq");
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

/// The run steps of a [`crate::Store`]. They are written by [`crate::Runs`].
#[derive(Debug)]
pub struct Steps<'s>(pub(crate) &'s Pool);

impl Steps<'_> {
    /// A step.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        id: &StepId,
    ) -> Result<Option<RunStep>, Error> {
        let (ws, thread, run, id) = (ws.clone(), thread.clone(), run.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id, &thread, &run], read))
            .await
    }

    /// A page of a run's steps. `None`: no such run under that thread.
    /// Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        request: PageRequest<StepId>,
    ) -> Result<Option<Page<RunStep>>, Error> {
        let (ws, thread, run) = (ws.clone(), thread.clone(), run.clone());
        self.0
            .read(move |tx| {
                if !runs::exists(tx, &ws, &thread, &run)? {
                    return Ok(None);
                }
                let scope = values![&ws, &run];
                page(tx, &LIST, scope, scope, &request, read).map(Some)
            })
            .await
    }

    /// All steps of a run, in order.
    pub async fn all(&self, ws: &WorkspaceId, run: &RunId) -> Result<Vec<RunStep>, Error> {
        let (ws, run) = (ws.clone(), run.clone());
        self.0.read_one(move |tx| all(tx, &ws, &run)).await
    }
}

/// Inserts or replaces by id; the place in the run stays.
pub(crate) fn put(tx: &mut dyn Tx, ws: &WorkspaceId, step: &RunStep) -> Result<(), Error> {
    let status = match step.status {
        StepStatus::InProgress => "in_progress",
        StepStatus::Cancelled { .. } => "cancelled",
        StepStatus::Failed { .. } => "failed",
        StepStatus::Completed { .. } => "completed",
        StepStatus::Expired { .. } => "expired",
    };
    tx.execute(
        PUT,
        values![
            ws,
            status,
            &step.id,
            &step.run_id,
            &step.thread_id,
            &step.assistant_id,
            step.created_at,
            step.expires_at,
            to_json(&step.status)?,
            to_json(&step.details)?,
            step.usage.as_ref().map(to_json).transpose()?,
        ],
    )?;
    Ok(())
}

/// The steps of a run that are still open.
pub(crate) fn open(tx: &mut dyn Tx, ws: &WorkspaceId, run: &RunId) -> Result<Vec<RunStep>, Error> {
    tx.rows(LIST_OPEN, values![ws, run], read)
}

/// All steps of a run, in order.
pub(crate) fn all(tx: &mut dyn Tx, ws: &WorkspaceId, run: &RunId) -> Result<Vec<RunStep>, Error> {
    tx.rows(LIST_ALL, values![ws, run], read)
}

fn read(row: &dyn Row) -> Result<RunStep, Error> {
    Ok(RunStep {
        id: row.id(0)?,
        run_id: row.id(1)?,
        thread_id: row.id(2)?,
        assistant_id: row.id(3)?,
        created_at: row.time(4)?,
        expires_at: row.time(5)?,
        status: row.json(6)?,
        details: row.json(7)?,
        usage: match row.optional_text(8)? {
            Some(text) => Some(crate::tx::from_json(text)?),
            None => None,
        },
    })
}
