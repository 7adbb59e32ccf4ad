//! Feedback: what people thought of what a trace holds.

use std::{collections::BTreeMap, ops::ControlFlow};

use loomgate_domain::{FeedbackId, WorkspaceId, feedback::Feedback};

use super::Logs;
use crate::{
    Error, OwnReceipt, receipts,
    tx::{Row, Tx, statements, to_json, values},
};

/// The most feedback of one trace that is shown.
const OF_TRACE: i64 = 1_000;

/// The most points of a graph.
const POINTS: i64 = 1_000;

statements! {
    INSERT = "INSERT INTO feedback (workspace_id, id, trace_id, created_at, record) \
        VALUES ($1, $2, $3, $4, $5)";
    GET = "SELECT record FROM feedback WHERE workspace_id = $1 AND id = $2";
    UPDATE = "UPDATE feedback SET record = $1 WHERE workspace_id = $2 AND id = $3";
    LIST_OF_TRACE = "SELECT record FROM feedback WHERE workspace_id = $1 AND trace_id = $2 \
        ORDER BY seq LIMIT $3";
    LIST_OF_TIME = "SELECT record FROM feedback WHERE workspace_id = $1 \
        AND created_at >= $2 AND created_at < $3";
    NEXT_WORKSPACE = "SELECT workspace_id FROM feedback WHERE workspace_id > $1 \
        ORDER BY workspace_id, created_at LIMIT 1";
    PURGE = "DELETE FROM feedback WHERE seq IN (SELECT seq FROM feedback \
        WHERE workspace_id = $1 AND created_at < $2 LIMIT $3)";
}

/// Feedback of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeedbackPoint {
    /// When it begins; milliseconds.
    pub start_ms: i64,
    /// How much feedback was given.
    pub count: u64,
    /// The sum of its values.
    pub sum: i64,
    /// The sum of its values, each times its weight.
    pub weighted_sum: f64,
    /// The sum of its weights.
    pub weights: f64,
}

impl FeedbackPoint {
    /// The mean value. None: there was no feedback.
    pub fn average(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (sum, count) = (self.sum as f64, self.count as f64);
        (self.count > 0).then(|| sum / count)
    }

    /// The mean value, where each counts by its weight. None: no feedback has any weight.
    pub fn weighted_average(&self) -> Option<f64> {
        (self.weights > 0.0).then(|| self.weighted_sum / self.weights)
    }
}

impl Logs<'_> {
    /// Keeps feedback, all of it or nothing. Error: [`Error::Duplicate`].
    pub async fn add_feedback(
        &self,
        feedback: Vec<Feedback>,
        receipt: Option<OwnReceipt>,
    ) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                receipts::keep_with_logs(tx, receipt.as_ref())?;
                for feedback in &feedback {
                    let values = values![
                        &feedback.workspace,
                        &feedback.id,
                        &feedback.trace_id,
                        feedback.created_at,
                        to_json(feedback)?,
                    ];
                    tx.execute(INSERT, values)?;
                }
                Ok(())
            })
            .await
    }

    /// Replaces what feedback says; its trace and time stay. False: there is none of this id.
    pub async fn update_feedback(
        &self,
        ws: &WorkspaceId,
        id: &FeedbackId,
        value: i8,
        weight: f64,
        metadata: BTreeMap<String, String>,
    ) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(before) = tx.lock(GET, values![&ws, &id], read)? else {
                    return Ok(false);
                };
                let after = Feedback {
                    value,
                    weight,
                    metadata: metadata.clone(),
                    ..before
                };
                tx.execute(UPDATE, values![to_json(&after)?, &ws, &id])?;
                Ok(true)
            })
            .await
    }

    /// The feedback on a trace, oldest first, 1000 at most.
    pub async fn feedback(&self, ws: &WorkspaceId, trace_id: &str) -> Result<Vec<Feedback>, Error> {
        let (ws, trace) = (ws.clone(), trace_id.to_owned());
        self.0
            .read_one(move |tx| tx.rows(LIST_OF_TRACE, values![&ws, &trace, OF_TRACE], read))
            .await
    }

    /// The feedback of a span of time (milliseconds, the end exclusive) per stretch of it, those
    /// without any too. The length of a stretch is raised to a whole second, and where there would
    /// be more than 1000 of them. Feedback knows its second only: it counts from there.
    pub async fn feedback_graph(
        &self,
        ws: &WorkspaceId,
        from_ms: i64,
        to_ms: i64,
        bucket_ms: i64,
    ) -> Result<Vec<FeedbackPoint>, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| graph(tx, &ws, seconds(from_ms), seconds(to_ms), bucket_ms))
            .await
    }
}

fn graph(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    from: i64,
    to: i64,
    bucket_ms: i64,
) -> Result<Vec<FeedbackPoint>, Error> {
    let bucket = (bucket_ms / 1000)
        .max((to - from + POINTS - 1) / POINTS)
        .max(1);
    let mut points = Vec::new();
    let mut start = from;
    while start < to {
        points.push(FeedbackPoint {
            start_ms: start * 1000,
            ..FeedbackPoint::default()
        });
        start = start.saturating_add(bucket);
    }
    tx.visit(LIST_OF_TIME, values![ws, from, to], &mut |row| {
        let feedback = read(row)?;
        let index = usize::try_from((feedback.created_at.0 - from) / bucket).unwrap_or(usize::MAX);
        if let Some(point) = points.get_mut(index) {
            point.count += 1;
            point.sum += i64::from(feedback.value);
            point.weighted_sum += f64::from(feedback.value) * feedback.weight;
            point.weights += feedback.weight;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(points)
}

/// The first whole second that is not before a time.
fn seconds(ms: i64) -> i64 {
    (ms.clamp(0, 1 << 50) + 999) / 1000
}

/// Removes what was given before a time, in every workspace.
pub(super) fn purge(tx: &mut dyn Tx, before_ms: i64, most: usize) -> Result<usize, Error> {
    let before = seconds(before_ms);
    let mut removed = 0;
    let mut ws = String::new();
    while removed < most {
        let next = tx.row(NEXT_WORKSPACE, values![&ws], |row| {
            Ok(row.text(0)?.to_owned())
        })?;
        let Some(next) = next else { break };
        ws = next;
        let left = i64::try_from(most - removed).unwrap_or(i64::MAX);
        removed += tx.execute(PURGE, values![&ws, before, left])?;
    }
    Ok(removed)
}

fn read(row: &dyn Row) -> Result<Feedback, Error> {
    row.json(0)
}
