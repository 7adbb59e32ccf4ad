//! Logs: kept in a database of their own, written in batches, read along time.
//!
//! Ids sort by time ([`loomgate_domain::log::new_log_id`]), as bytes, so that `(workspace, id)` is
//! the only order there is: a span of time is a stretch of it, and a page goes on where the last
//! one ended. Nothing else is indexed: a filter reads every record of its workspace and span, which
//! takes about a second a million; whoever asks for one trace or run should say when it was.

use std::ops::ControlFlow;

use loomgate_domain::{
    IdKind as _, LogId, Order, Page, PageRequest, WorkspaceId,
    id::LogKind,
    log::{LogRecord, log_id_prefix},
};

use crate::{
    Error, OwnReceipt,
    pool::Pool,
    receipts,
    tx::{Tx, statements, values},
};

mod export;
mod feedback;
mod filter;
mod graph;
mod group;
mod histogram;
mod row;

pub use feedback::FeedbackPoint;
pub use filter::LogFilter;
pub use graph::{Figure, GraphPoint, GraphQuery, Latency, Measure};
pub use group::{GroupBy, GroupQuery, GroupRow, Groups, Sums};

use filter::filter;
use row::{Prepared, columns};

#[cfg(test)]
pub(crate) use {
    export::STATEMENTS as EXPORT_STATEMENTS, feedback::STATEMENTS as FEEDBACK_STATEMENTS,
    graph::STATEMENTS as GRAPH_STATEMENTS,
};

/// The most records of one page.
const PAGE: u32 = 1_000;

/// How many records are looked at at a time where not all of them will do.
const CHUNK: u32 = 1_000;

statements! {
    // A batch that is written again, since nobody knew whether it was, does no harm.
    INSERT = concat!("INSERT INTO logs (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
        $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27) \
        ON CONFLICT (workspace_id, id) DO NOTHING");
    INSERT_BODIES = "INSERT INTO log_bodies (workspace_id, id, request_body, response_body) \
        VALUES ($1, $2, $3, $4)";
    GET = concat!("SELECT ", columns!(), " FROM logs WHERE workspace_id = $1 AND id = $2");
    GET_BODIES = "SELECT request_body, response_body FROM log_bodies \
        WHERE workspace_id = $1 AND id = $2";
    LIST_ASC = concat!("SELECT ", columns!(), " FROM logs WHERE ", filter!(),
        " ORDER BY id LIMIT $17");
    LIST_DESC = concat!("SELECT ", columns!(), " FROM logs WHERE ", filter!(),
        " ORDER BY id DESC LIMIT $17");
    NEXT_WORKSPACE = "SELECT workspace_id FROM logs WHERE workspace_id > $1 \
        ORDER BY workspace_id, id LIMIT 1";
    PURGE_EDGE = "SELECT id FROM logs WHERE workspace_id = $1 AND id < $2 \
        ORDER BY id LIMIT 1 OFFSET $3";
    PURGE = "DELETE FROM logs WHERE workspace_id = $1 AND id < $2";
    PURGE_BODIES = "DELETE FROM log_bodies WHERE workspace_id = $1 AND id < $2";
}

/// The logs of a [`crate::Store`], and the feedback on them.
#[derive(Debug)]
pub struct Logs<'s>(pub(crate) &'s Pool);

impl Logs<'_> {
    /// Keeps records, of any workspaces, in one transaction, and returns how many were new: those
    /// that are there already stay as they are. Costs lie in batches: some hundred records are the
    /// right size.
    ///
    /// Error: [`Error::Driver`] if an id does not carry the time of its record; then nothing was
    /// written.
    pub async fn insert(
        &self,
        records: Vec<LogRecord>,
        receipt: Option<OwnReceipt>,
    ) -> Result<usize, Error> {
        // Encoded here and not in the job: the thread that writes has better things to do.
        let rows = records.into_iter().map(Prepared::new);
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        self.0
            .write(move |tx| {
                receipts::keep_with_logs(tx, receipt.as_ref())?;
                let values: Vec<_> = rows.iter().map(|row| row.values().to_vec()).collect();
                let inserted = tx.execute_all(INSERT, &values)?;
                let new = || rows.iter().zip(&inserted).filter(|(_, count)| **count > 0);
                let bodies = new().filter_map(|(row, _)| row.bodies());
                let bodies: Vec<_> = bodies.map(|values| values.to_vec()).collect();
                if !bodies.is_empty() {
                    tx.execute_all(INSERT_BODIES, &bodies)?;
                }
                Ok(new().count())
            })
            .await
    }

    /// A record.
    pub async fn get(&self, ws: &WorkspaceId, id: &LogId) -> Result<Option<LogRecord>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read(move |tx| {
                let found = tx.row(GET, values![&ws, &id], row::read)?;
                found.map(|record| complete(tx, record)).transpose()
            })
            .await
    }

    /// A page of a workspace's records in the order of their times, 1000 at most. A cursor is a
    /// place in time: the record that it names may be gone.
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        filter: LogFilter,
        request: PageRequest<LogId>,
    ) -> Result<Page<LogRecord>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| list(tx, &ws, &filter, &request))
            .await
    }

    /// Removes the records of all workspaces that began before a time, oldest first, and the
    /// feedback given before it; `most` of each at most. Returns how many in all: as long as it is
    /// not 0, there may be more.
    pub async fn purge(&self, before_ms: i64, most: usize) -> Result<usize, Error> {
        self.0
            .write(move |tx| {
                let logs = purge(tx, before_ms, most)?;
                Ok(logs + feedback::purge(tx, before_ms, most)?)
            })
            .await
    }
}

fn list(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    filter: &LogFilter,
    request: &PageRequest<LogId>,
) -> Result<Page<LogRecord>, Error> {
    let limit = request.limit.clamp(1, PAGE) as usize;
    let (sql, after, before) = match request.order {
        Order::Asc => (LIST_ASC, &request.after, &request.before),
        Order::Desc => (LIST_DESC, &request.before, &request.after),
    };
    let mut window = filter.window();
    window.narrow(after.as_ref(), before.as_ref());
    let chunk = match filter.metadata {
        None => request.limit.clamp(1, PAGE) + 1,
        Some(_) => CHUNK,
    };
    let mut items = Vec::new();
    loop {
        let mut seen = 0;
        let mut last: Option<LogId> = None;
        let mut values = filter.values(ws, &window);
        values.push(i64::from(chunk).into());
        tx.visit(sql, &values, &mut |row| {
            seen += 1;
            last = Some(row.id(1)?);
            if filter.matches(row.text(row::METADATA)?)? {
                items.push(row::read(row)?);
            }
            Ok(if items.len() > limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        if items.len() > limit || seen < chunk {
            break;
        }
        match request.order {
            Order::Asc => window.narrow(last.as_ref(), None),
            Order::Desc => window.narrow(None, last.as_ref()),
        }
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let items = items.into_iter().map(|record| complete(tx, record));
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        has_more,
    })
}

/// Adds the bodies, if any were kept.
fn complete(tx: &mut dyn Tx, record: LogRecord) -> Result<LogRecord, Error> {
    let key = values![&record.workspace, &record.id];
    let bodies = tx.row(GET_BODIES, key, row::bodies)?;
    let (request_body, response_body) = bodies.unwrap_or_default();
    Ok(LogRecord {
        request_body,
        response_body,
        ..record
    })
}

fn purge(tx: &mut dyn Tx, before_ms: i64, most: usize) -> Result<usize, Error> {
    let cutoff = log_id_prefix(before_ms);
    let mut removed = 0;
    let mut ws = String::new();
    while removed < most {
        let next = tx.row(NEXT_WORKSPACE, values![&ws], |row| {
            Ok(row.text(0)?.to_owned())
        })?;
        let Some(next) = next else { break };
        ws = next;
        let left = i64::try_from(most - removed).unwrap_or(i64::MAX);
        let edge = tx.row(PURGE_EDGE, values![&ws, &cutoff, left], |row| {
            Ok(row.text(0)?.to_owned())
        })?;
        let end = edge.as_ref().unwrap_or(&cutoff);
        removed += tx.execute(PURGE, values![&ws, end])?;
        tx.execute(PURGE_BODIES, values![&ws, end])?;
    }
    Ok(removed)
}

/// The first possible log id, and the first possible text behind all of them.
fn all_ids() -> (String, String) {
    let first = LogKind::PREFIX;
    (first.to_owned(), format!("{first}\u{7f}"))
}
