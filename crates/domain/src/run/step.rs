//! Run steps (contract section 9).

use serde::{Deserialize, Serialize};

use crate::{
    AssistantId, CallId, FileId, MessageId, RunId, StepId, ThreadId, Timestamp, Usage,
    run::LastError, tool::RankingOptions, vector_store::Attributes,
};

/// A stored step: one model turn, or one message of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// What a step did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// A search in vector stores, carried out here.
    FileSearch {
        /// The call's id.
        id: CallId,
        /// What was looked for, and what was found.
        file_search: FileSearchCall,
        /// As of a function.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

impl ToolCall {
    /// The call's id.
    pub fn id(&self) -> &CallId {
        match self {
            Self::Function { id, .. } | Self::FileSearch { id, .. } => id,
        }
    }
}

/// A search and its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSearchCall {
    /// What the marks of citations begin with: where the results stand in the conversation, the
    /// instructions being at 0 (contract section 7.5).
    pub block: u32,
    /// What was looked for.
    pub queries: Vec<String>,
    /// How it was ranked.
    pub ranking_options: RankingOptions,
    /// What was found, best first; none until the search has ended.
    pub results: Option<Vec<SearchResult>>,
}

/// A chunk that a search found. Its place among the results is what citations name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// Its file.
    pub file_id: FileId,
    /// The file's name.
    pub file_name: String,
    /// How well it fits: 0 to 1.
    pub score: f64,
    /// What the client said of the file.
    pub attributes: Attributes,
    /// Its words.
    pub text: String,
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
