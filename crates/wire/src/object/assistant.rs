//! Assistants (contract section 5).

use std::borrow::Cow;

use loomgate_domain::{
    self as domain, AssistantId, Metadata, Timestamp,
    tool::{CodeInterpreterResources, ReasoningEffort, ResponseFormat, Tool, ToolResources},
};
use serde::Serialize;

use super::{
    TIME, kind,
    list::Identified,
    tool::{RESOURCES, TOOLS},
};
use crate::{
    request::turn::{REASONING_EFFORT, RESPONSE_FORMAT},
    shape::{Field, STRING, Shape, object},
};

/// An assistant, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Assistant<'a> {
    pub id: &'a AssistantId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub name: Option<&'a str>,
    pub description: Option<&'a str>,
    pub model: &'a str,
    pub instructions: Option<&'a str>,
    pub tools: &'a [Tool],
    pub top_p: f64,
    pub temperature: f64,
    pub reasoning_effort: Option<ReasoningEffort>,
    pub tool_resources: Cow<'a, ToolResources>,
    pub metadata: &'a Metadata,
    pub response_format: &'a ResponseFormat,
}

impl<'a> From<&'a domain::Assistant> for Assistant<'a> {
    fn from(record: &'a domain::Assistant) -> Self {
        Self {
            id: &record.id,
            object: "assistant",
            created_at: record.created_at,
            name: record.name.as_deref(),
            description: record.description.as_deref(),
            model: &record.model,
            instructions: record.instructions.as_deref(),
            tools: &record.tools,
            top_p: record.top_p.unwrap_or(1.0),
            temperature: record.temperature.unwrap_or(1.0),
            reasoning_effort: record.reasoning_effort,
            tool_resources: resources(&record.tools, &record.tool_resources),
            metadata: &record.metadata,
            response_format: &record.response_format,
        }
    }
}

/// An assistant with a code interpreter shows its files, also where there are none.
fn resources<'a>(tools: &[Tool], resources: &'a ToolResources) -> Cow<'a, ToolResources> {
    if resources.code_interpreter.is_none() && tools.contains(&Tool::CodeInterpreter) {
        Cow::Owned(ToolResources {
            code_interpreter: Some(CodeInterpreterResources::default()),
            file_search: resources.file_search.clone(),
        })
    } else {
        Cow::Borrowed(resources)
    }
}

impl Identified for Assistant<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The shape of an assistant.
pub static SHAPE: Shape = object(
    "Assistant",
    "A model with instructions and tools.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["assistant"]), "What this is."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required("name", &STRING, "Its name.").nullable(),
        Field::required("description", &STRING, "What it is for.").nullable(),
        Field::required("model", &STRING, "The model that does the work."),
        Field::required("instructions", &STRING, "The system prompt.").nullable(),
        Field::required("tools", &TOOLS, "The tools it may use."),
        Field::required("top_p", &NUMBER, "Nucleus sampling."),
        Field::required("temperature", &NUMBER, "Sampling temperature."),
        Field::required(
            "reasoning_effort",
            &REASONING_EFFORT,
            "How hard a reasoning model thinks.",
        )
        .nullable(),
        Field::required(
            "tool_resources",
            &RESOURCES,
            "Files and stores that its tools may use.",
        ),
        Field::required("metadata", &Shape::Metadata, "The client's own pairs."),
        Field::required(
            "response_format",
            &RESPONSE_FORMAT,
            "What form an answer takes.",
        ),
    ],
);

pub(super) static NUMBER: Shape = Shape::Number {
    min: None,
    max: None,
};
