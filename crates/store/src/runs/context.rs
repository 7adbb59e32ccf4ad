//! What a model turn is made from.

use std::ops::ControlFlow;

use loomgate_domain::{Message, RunId, RunStep, ThreadId, WorkspaceId};

use crate::{Error, Runs, messages, steps};

/// How much of a thread to read; whatever is older is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContextLimits {
    /// The most messages.
    pub messages: Option<u32>,
    /// The most bytes of stored message content. The newest message always comes.
    pub bytes: Option<usize>,
}

/// A thread and a run, as a model turn needs them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunContext {
    /// The thread's messages in order, without those that are in progress.
    pub messages: Vec<Message>,
    /// The run's steps in order.
    pub steps: Vec<RunStep>,
}

impl Runs<'_> {
    /// The newest messages of a thread, and all steps of a run on it. Both are empty when there
    /// is no such thread or run.
    pub async fn context(
        &self,
        ws: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        limits: ContextLimits,
    ) -> Result<RunContext, Error> {
        let (ws, thread, run) = (ws.clone(), thread.clone(), run.clone());
        self.0
            .read(move |tx| {
                let mut found = Vec::new();
                let mut room = limits.bytes.unwrap_or(usize::MAX);
                messages::newest(tx, &ws, &thread, limits.messages, &mut |row| {
                    let bytes = messages::content_bytes(row)?;
                    if bytes > room && !found.is_empty() {
                        return Ok(ControlFlow::Break(()));
                    }
                    room = room.saturating_sub(bytes);
                    found.push(messages::read(row)?);
                    Ok(ControlFlow::Continue(()))
                })?;
                found.reverse();
                Ok(RunContext {
                    messages: found,
                    steps: steps::all(tx, &ws, &run)?,
                })
            })
            .await
    }
}
