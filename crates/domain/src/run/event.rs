//! The stream events of a run (contract section 10): which, about which object. The bodies are
//! made from the records when they are sent.

use serde::{Deserialize, Serialize};

use crate::{MessageId, StepId, run::RunStatus};

/// Something that became true, and that a stream reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// About the run.
    Run(RunEvent),
    /// About a step.
    Step(StepId, StepEvent),
    /// About a message.
    Message(MessageId, MessageEvent),
}

/// `thread.run.*`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum RunEvent {
    Created,
    Queued,
    InProgress,
    RequiresAction,
    Completed,
    Incomplete,
    Failed,
    Cancelling,
    Cancelled,
    Expired,
}

/// `thread.run.step.*`, deltas apart
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum StepEvent {
    Created,
    InProgress,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

/// `thread.message.*`, deltas apart
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum MessageEvent {
    Created,
    InProgress,
    Completed,
    Incomplete,
}

impl RunEvent {
    /// What a stream says of a run in this status.
    pub fn of(status: RunStatus) -> Self {
        match status {
            RunStatus::Queued => Self::Queued,
            RunStatus::InProgress => Self::InProgress,
            RunStatus::RequiresAction => Self::RequiresAction,
            RunStatus::Cancelling => Self::Cancelling,
            RunStatus::Cancelled => Self::Cancelled,
            RunStatus::Failed => Self::Failed,
            RunStatus::Completed => Self::Completed,
            RunStatus::Incomplete => Self::Incomplete,
            RunStatus::Expired => Self::Expired,
        }
    }
}

impl Event {
    /// The event's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(event) => match event {
                RunEvent::Created => "thread.run.created",
                RunEvent::Queued => "thread.run.queued",
                RunEvent::InProgress => "thread.run.in_progress",
                RunEvent::RequiresAction => "thread.run.requires_action",
                RunEvent::Completed => "thread.run.completed",
                RunEvent::Incomplete => "thread.run.incomplete",
                RunEvent::Failed => "thread.run.failed",
                RunEvent::Cancelling => "thread.run.cancelling",
                RunEvent::Cancelled => "thread.run.cancelled",
                RunEvent::Expired => "thread.run.expired",
            },
            Self::Step(_, event) => match event {
                StepEvent::Created => "thread.run.step.created",
                StepEvent::InProgress => "thread.run.step.in_progress",
                StepEvent::Completed => "thread.run.step.completed",
                StepEvent::Failed => "thread.run.step.failed",
                StepEvent::Cancelled => "thread.run.step.cancelled",
                StepEvent::Expired => "thread.run.step.expired",
            },
            Self::Message(_, event) => match event {
                MessageEvent::Created => "thread.message.created",
                MessageEvent::InProgress => "thread.message.in_progress",
                MessageEvent::Completed => "thread.message.completed",
                MessageEvent::Incomplete => "thread.message.incomplete",
            },
        }
    }
}
