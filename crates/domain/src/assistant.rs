//! Assistants (contract section 5).

use serde::{Deserialize, Serialize};

use crate::{
    AssistantId, Metadata, Timestamp,
    tool::{ReasoningEffort, ResponseFormat, Tool, ToolResources},
};

/// A stored assistant. `None` for `temperature` and `top_p` means "not chosen": echoed as 1.0,
/// not sent to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assistant {
    /// Its id.
    pub id: AssistantId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Up to 256 characters.
    pub name: Option<String>,
    /// Up to 512 characters.
    pub description: Option<String>,
    /// The model as the client named it.
    pub model: String,
    /// The system prompt.
    pub instructions: Option<String>,
    /// Tools in their normalised form.
    pub tools: Vec<Tool>,
    /// Files and stores that its tools may use.
    pub tool_resources: ToolResources,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// For models that reason.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// What form an answer takes.
    pub response_format: ResponseFormat,
}
