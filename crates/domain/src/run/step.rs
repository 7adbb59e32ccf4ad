//! Run steps (contract section 9).

use serde::{Deserialize, Serialize};

use crate::{
    AssistantId, CallId, MessageId, RunId, StepId, ThreadId, Timestamp, Usage, run::LastError,
};

/// A stored step: one model turn, or one message of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStep {
    /// Its id.
    pub id: StepId,
    /// Its run.
    pub run_id: RunId,
    /// The run's thread.
    pub thread_id: ThreadId,
    /// The run's assistant.
    pub assistant_id: AssistantId,
    /// When it was begun.
    pub created_at: Timestamp,
    /// The run's expiry; shown while the step is open, and in stream events.
    pub expires_at: Timestamp,
    /// How far it is.
    pub status: StepStatus,
    /// What was done.
    pub details: StepDetails,
    /// Tokens of its model turn. Shown to clients once the step has ended.
    pub usage: Option<Usage>,
}

/// Life of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each holds when it came about, and why")]
pub enum StepStatus {
    InProgress,
    Cancelled {
        cancelled_at: Timestamp,
    },
    Failed {
        failed_at: Timestamp,
        error: LastError,
    },
    Completed {
        completed_at: Timestamp,
    },
    Expired {
        expired_at: Timestamp,
    },
}

/// What a step did, in the form in which responses carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepDetails {
    /// It wrote a message.
    MessageCreation {
        /// Which.
        message_creation: MessageCreation,
    },
    /// It called tools.
    ToolCalls {
        /// Which, in the model's order.
        tool_calls: Vec<ToolCall>,
    },
}

impl StepDetails {
    /// Details of a step that writes `message_id`.
    pub fn message(message_id: MessageId) -> Self {
        Self::MessageCreation {
            message_creation: MessageCreation { message_id },
        }
    }
}

/// The message that a step wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCreation {
    /// Its id.
    pub message_id: MessageId,
}

/// A tool call within a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolCall {
    /// A function that the client carries out.
    Function {
        /// The call's id.
        id: CallId,
        /// What was called, and what came of it.
        function: FunctionToolCall,
        /// What the provider wants back with the call; clients are not shown it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

/// A function call and its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionToolCall {
    /// The function.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
    /// What the client answered; none until it did.
    pub output: Option<String>,
}
