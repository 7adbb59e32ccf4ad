//! Runs: the record, its steps, its states and the machine that moves them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ApiKeyId, AssistantId, Metadata, RunId, ThreadId, Timestamp, Usage,
    tool::{ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolResources, Truncation},
};

pub mod event;
pub mod journal;
pub mod machine;
pub mod state;
pub mod step;

pub use event::{Event, MessageEvent, RunEvent, StepEvent};
pub use journal::{EventId, InvalidEventId, Journal};
pub use machine::{Effect, Failure, Illegal, Input, MessageEnd, StepEnd, ToolOutput, Transition};
pub use state::{
    ErrorCode, FunctionCall, LastError, OpenStep, RunIncompleteReason, RunState, RunStatus,
};
pub use step::{
    FileSearchCall, FunctionToolCall, RunStep, SearchResult, StepDetails, StepStatus, ToolCall,
};

/// A stored run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The thread it reads and writes.
    pub thread_id: ThreadId,
    /// The assistant whose settings were copied into it.
    pub assistant_id: AssistantId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Everything that was fixed when it was made.
    pub settings: RunSettings,
    /// The client's own pairs: the one thing that Modify Run changes.
    pub metadata: Metadata,
    /// Where it stands.
    pub state: RunState,
    /// Tokens of all finished model turns. Shown to clients once the run has ended.
    pub usage: Usage,
}

/// What a run copied from its assistant and its request when it was made. Never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The model as the client named it.
    pub model: String,
    /// Effective instructions, the additional ones included. Empty where there are none.
    pub instructions: String,
    /// Effective tools.
    pub tools: Vec<Tool>,
    /// Resources given with `POST /threads/runs`.
    #[serde(default)]
    pub tool_resources: ToolResources,
    /// 0 to 2; none: not sent to the model.
    pub temperature: Option<f64>,
    /// 0 to 1; none: not sent to the model.
    pub top_p: Option<f64>,
    /// For models that reason.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Prompt tokens over all model turns.
    pub max_prompt_tokens: Option<u64>,
    /// Completion tokens over all model turns.
    pub max_completion_tokens: Option<u64>,
    /// How the thread is cut to fit.
    pub truncation: Truncation,
    /// What form an answer takes.
    pub response_format: ResponseFormat,
    /// Whether, and which, tools must be called.
    pub tool_choice: ToolChoice,
    /// Whether one model turn may call several functions.
    pub parallel_tool_calls: bool,
    /// When it expires unless it has ended. Fixed at creation.
    pub expires_at: Timestamp,
    /// Whether its first request asked for a stream: such runs commit a message when it is begun.
    pub stream: bool,
    /// Whether its streams show what searches have found word by word: `include[]` of its request.
    #[serde(default)]
    pub include_results: bool,
    /// The vector stores of its assistant; those of its thread are looked up when it searches.
    #[serde(default)]
    pub vector_stores: Vec<String>,
    /// Which way its model calls go: a reference, never a credential.
    pub route: Route,
    /// On whose behalf its model calls are made; none in runs of older releases.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// Which way model calls go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through the virtual key of this slug.
    VirtualKey(String),
    /// Through the saved config of this slug.
    Config(String),
    /// As the request said: a config or a credential of its own, sealed beside the run and erased
    /// when the run ends.
    Sealed,
}

/// On whose behalf model calls are made: what limits and logs go by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose limits they count against.
    pub api_key: ApiKeyId,
    /// `x-portkey-trace-id` of the request that made the run.
    pub trace_id: String,
    /// The span that the request named as its own.
    #[serde(default)]
    pub span_id: Option<String>,
    /// `x-portkey-metadata` of that request, the key's own pairs included.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}
