//! The states of a run, with the data that each one has (contract sections 8.5 and 8.6).

use serde::{Deserialize, Serialize};

use crate::{CallId, MessageId, StepId, Timestamp};

/// Where a run stands. `started_at` is that of the latest resumption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for a worker: new, or resumed by tool outputs.
    Queued {
        /// Kept from before the resumption.
        started_at: Option<Timestamp>,
    },
    /// A worker has it.
    InProgress {
        /// When the worker took it up.
        started_at: Timestamp,
        /// The step that is being written.
        open: Option<OpenStep>,
    },
    /// The client has to carry out functions.
    RequiresAction {
        /// When a worker last took it up.
        started_at: Timestamp,
        /// The step that waits for the outputs.
        step: StepId,
        /// What to carry out.
        calls: Vec<FunctionCall>,
    },
    /// The client asked to stop; the worker has not confirmed yet.
    Cancelling {
        /// When a worker last took it up.
        started_at: Option<Timestamp>,
        /// The step that was being written, or that waited.
        open: Option<OpenStep>,
    },
    /// Stopped by the client.
    Cancelled {
        /// When a worker last took it up.
        started_at: Option<Timestamp>,
        /// When it stopped.
        cancelled_at: Timestamp,
    },
    /// Ended by an error.
    Failed {
        /// When a worker last took it up.
        started_at: Option<Timestamp>,
        /// When it failed.
        failed_at: Timestamp,
        /// Why.
        error: LastError,
    },
    /// Ended with an answer.
    Completed {
        /// When a worker last took it up.
        started_at: Timestamp,
        /// When it ended.
        completed_at: Timestamp,
    },
    /// Ended at a token limit.
    Incomplete {
        /// When a worker last took it up.
        started_at: Timestamp,
        /// Which limit.
        reason: RunIncompleteReason,
    },
    /// Ended because its time was over.
    Expired {
        /// When a worker last took it up.
        started_at: Option<Timestamp>,
    },
}

/// The name of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the states are documented on RunState")]
pub enum RunStatus {
    Queued,
    InProgress,
    RequiresAction,
    Cancelling,
    Cancelled,
    Failed,
    Completed,
    Incomplete,
    Expired,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::InProgress,
        Self::RequiresAction,
        Self::Cancelling,
        Self::Cancelled,
        Self::Failed,
        Self::Completed,
        Self::Incomplete,
        Self::Expired,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::RequiresAction => "requires_action",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Expired => "expired",
        }
    }

    /// Whether a leg of the run ends with this status, and with it a stream: the run has ended, or
    /// waits for its client.
    pub fn ends_leg(self) -> bool {
        self == Self::RequiresAction || !self.is_active()
    }

    /// Whether a run in this status locks its thread.
    pub fn is_active(self) -> bool {
        match self {
            Self::Queued | Self::InProgress | Self::RequiresAction | Self::Cancelling => true,
            Self::Cancelled | Self::Failed | Self::Completed | Self::Incomplete | Self::Expired => {
                false
            }
        }
    }
}

impl RunState {
    /// The state's name.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Queued { .. } => RunStatus::Queued,
            Self::InProgress { .. } => RunStatus::InProgress,
            Self::RequiresAction { .. } => RunStatus::RequiresAction,
            Self::Cancelling { .. } => RunStatus::Cancelling,
            Self::Cancelled { .. } => RunStatus::Cancelled,
            Self::Failed { .. } => RunStatus::Failed,
            Self::Completed { .. } => RunStatus::Completed,
            Self::Incomplete { .. } => RunStatus::Incomplete,
            Self::Expired { .. } => RunStatus::Expired,
        }
    }

    /// When a worker last took the run up.
    pub fn started_at(&self) -> Option<Timestamp> {
        match self {
            Self::Queued { started_at }
            | Self::Cancelling { started_at, .. }
            | Self::Cancelled { started_at, .. }
            | Self::Failed { started_at, .. }
            | Self::Expired { started_at } => *started_at,
            Self::InProgress { started_at, .. }
            | Self::RequiresAction { started_at, .. }
            | Self::Completed { started_at, .. }
            | Self::Incomplete { started_at, .. } => Some(*started_at),
        }
    }
}

/// The step that a run has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OpenStep {
    /// The model writes a message.
    Message {
        /// Its step.
        step: StepId,
        /// The message.
        message: MessageId,
    },
    /// The model calls tools.
    Tools {
        /// Its step.
        step: StepId,
        /// Whether the model's turn has ended: then some of its calls are being carried out here.
        #[serde(default)]
        called: bool,
    },
}

/// A function that the client has to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// The call's id, unique within the run.
    pub id: CallId,
    /// The function.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

/// Why a run or a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// The codes that clients know (contract section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Something broke here or at the provider.
    ServerError,
    /// The provider's rate or quota is used up.
    RateLimitExceeded,
    /// The provider refused the request itself. Only on runs.
    InvalidPrompt,
}

/// Which limit ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIncompleteReason {
    /// `max_completion_tokens`, or the model's own output limit.
    MaxCompletionTokens,
    /// `max_prompt_tokens`.
    MaxPromptTokens,
}
