//! A run as a row.

use loomgate_domain::{
    AssistantId, Run, RunId, ThreadId, Timestamp,
    run::{Journal, RunStatus},
};

use crate::{
    Error,
    tx::{Row, from_json},
};

macro_rules! columns {
    () => {
        "id, thread_id, assistant_id, created_at, state, usage, metadata, settings"
    };
}
pub(super) use columns;

/// How many columns `columns!` names: where those that follow it begin.
pub(super) const COLUMNS: usize = 8;

/// A run whose JSON is not read yet.
pub(super) struct RunRow {
    id: RunId,
    thread_id: ThreadId,
    assistant_id: AssistantId,
    created_at: Timestamp,
    state: String,
    usage: String,
    metadata: String,
    settings: String,
}

impl RunRow {
    pub(super) fn read(row: &dyn Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id(0)?,
            thread_id: row.id(1)?,
            assistant_id: row.id(2)?,
            created_at: row.time(3)?,
            state: row.text(4)?.to_owned(),
            usage: row.text(5)?.to_owned(),
            metadata: row.text(6)?.to_owned(),
            settings: row.text(7)?.to_owned(),
        })
    }

    pub(super) fn decode(self) -> Result<Run, Error> {
        Ok(Run {
            id: self.id,
            thread_id: self.thread_id,
            assistant_id: self.assistant_id,
            created_at: self.created_at,
            state: from_json(&self.state)?,
            usage: from_json(&self.usage)?,
            metadata: from_json(&self.metadata)?,
            settings: from_json(&self.settings)?,
        })
    }
}

/// A run, from the first columns of a row.
pub(super) fn read(row: &dyn Row) -> Result<Run, Error> {
    Ok(Run {
        id: row.id(0)?,
        thread_id: row.id(1)?,
        assistant_id: row.id(2)?,
        created_at: row.time(3)?,
        state: row.json(4)?,
        usage: row.json(5)?,
        metadata: row.json(6)?,
        settings: row.json(7)?,
    })
}

/// The status of this name.
pub(crate) fn status(name: &str) -> Result<RunStatus, Error> {
    let status = RunStatus::ALL.into_iter().find(|s| s.as_str() == name);
    status.ok_or_else(|| Error::corrupt(format!("runs.status {name}")))
}

/// A run's journal, from a column that is null where there is none.
pub(super) fn journal(row: &dyn Row, column: usize) -> Result<Option<Journal>, Error> {
    row.optional_text(column)?.map(from_json).transpose()
}

/// Whether runs in this status are a worker's business.
pub(super) fn wants_worker(status: RunStatus) -> bool {
    match status {
        RunStatus::Queued | RunStatus::InProgress | RunStatus::Cancelling => true,
        RunStatus::RequiresAction
        | RunStatus::Cancelled
        | RunStatus::Failed
        | RunStatus::Completed
        | RunStatus::Incomplete
        | RunStatus::Expired => false,
    }
}
