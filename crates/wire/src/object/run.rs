//! Runs (contract section 8.1).

use loomgate_domain::{
    self as domain, AssistantId, Metadata, RunId, ThreadId, Timestamp,
    run::{FunctionCall, LastError, RunIncompleteReason, RunState},
    tool::{ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolResources},
};
use serde::Serialize;

use super::{
    COUNT, TIME,
    assistant::NUMBER,
    kind,
    list::Identified,
    tool::{RESOURCES, TOOLS},
    usage::{self, Usage},
};
use crate::{
    request::turn::{REASONING_EFFORT, RESPONSE_FORMAT, TOOL_CHOICE},
    shape::{Field, STRING, Shape, inline, list, object, one_of},
};

/// A run, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Run<'a> {
    pub id: &'a RunId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub assistant_id: &'a AssistantId,
    pub thread_id: &'a ThreadId,
    pub status: &'static str,
    pub started_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub required_action: Option<RequiredAction<'a>>,
    pub last_error: Option<&'a LastError>,
    pub model: &'a str,
    pub instructions: &'a str,
    pub tools: &'a [Tool],
    pub tool_resources: &'a ToolResources,
    pub metadata: &'a Metadata,
    pub temperature: f64,
    pub top_p: f64,
    pub reasoning_effort: Option<ReasoningEffort>,
    pub max_completion_tokens: Option<u64>,
    pub max_prompt_tokens: Option<u64>,
    pub truncation_strategy: Truncation,
    pub incomplete_details: Option<IncompleteDetails>,
    pub usage: Option<Usage>,
    pub response_format: &'a ResponseFormat,
    pub tool_choice: &'a ToolChoice,
    pub parallel_tool_calls: bool,
}

/// What the client has to do.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RequiredAction<'a> {
    /// Carry out functions.
    SubmitToolOutputs {
        /// Which.
        submit_tool_outputs: PendingCalls<'a>,
    },
}

/// The functions to carry out.
#[derive(Debug, Clone, Serialize)]
pub struct PendingCalls<'a> {
    /// In the model's order.
    pub tool_calls: Vec<PendingCall<'a>>,
}

/// A function to carry out.
#[derive(Debug, Clone, Serialize)]
pub struct PendingCall<'a> {
    /// The call's id.
    pub id: &'a str,
    /// `function`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name and arguments.
    pub function: CalledFunction<'a>,
}

/// A function, as the model called it.
#[derive(Debug, Clone, Serialize)]
pub struct CalledFunction<'a> {
    /// Its name.
    pub name: &'a str,
    /// JSON text.
    pub arguments: &'a str,
}

/// How the thread is cut down; both fields always present.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Truncation {
    /// `auto` or `last_messages`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many are kept.
    pub last_messages: Option<u32>,
}

/// Which limit ended a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct IncompleteDetails {
    /// One of two.
    pub reason: RunIncompleteReason,
}

impl<'a> From<&'a domain::Run> for Run<'a> {
    fn from(record: &'a domain::Run) -> Self {
        let settings = &record.settings;
        let status = record.state.status();
        let active = status.is_active();
        let mut run = Self {
            id: &record.id,
            object: "thread.run",
            created_at: record.created_at,
            assistant_id: &record.assistant_id,
            thread_id: &record.thread_id,
            status: status.as_str(),
            started_at: record.state.started_at(),
            expires_at: active.then_some(settings.expires_at),
            cancelled_at: None,
            failed_at: None,
            completed_at: None,
            required_action: None,
            last_error: None,
            model: &settings.model,
            instructions: &settings.instructions,
            tools: &settings.tools,
            tool_resources: &settings.tool_resources,
            metadata: &record.metadata,
            temperature: settings.temperature.unwrap_or(1.0),
            top_p: settings.top_p.unwrap_or(1.0),
            reasoning_effort: settings.reasoning_effort,
            max_completion_tokens: settings.max_completion_tokens,
            max_prompt_tokens: settings.max_prompt_tokens,
            truncation_strategy: settings.truncation.into(),
            incomplete_details: None,
            usage: (!active).then(|| record.usage.into()),
            response_format: &settings.response_format,
            tool_choice: &settings.tool_choice,
            parallel_tool_calls: settings.parallel_tool_calls,
        };
        match &record.state {
            RunState::Queued { .. }
            | RunState::InProgress { .. }
            | RunState::Cancelling { .. }
            | RunState::Expired { .. } => {}
            RunState::RequiresAction { calls, .. } => run.required_action = Some(calls.into()),
            RunState::Cancelled { cancelled_at, .. } => run.cancelled_at = Some(*cancelled_at),
            RunState::Failed {
                failed_at, error, ..
            } => {
                run.failed_at = Some(*failed_at);
                run.last_error = Some(error);
            }
            RunState::Completed { completed_at, .. } => run.completed_at = Some(*completed_at),
            RunState::Incomplete { reason, .. } => {
                run.incomplete_details = Some(IncompleteDetails { reason: *reason });
            }
        }
        run
    }
}

impl<'a> From<&'a Vec<FunctionCall>> for RequiredAction<'a> {
    fn from(calls: &'a Vec<FunctionCall>) -> Self {
        let call = |call: &'a FunctionCall| PendingCall {
            id: call.id.as_str(),
            kind: "function",
            function: CalledFunction {
                name: &call.name,
                arguments: &call.arguments,
            },
        };
        Self::SubmitToolOutputs {
            submit_tool_outputs: PendingCalls {
                tool_calls: calls.iter().map(call).collect(),
            },
        }
    }
}

impl From<domain::tool::Truncation> for Truncation {
    fn from(truncation: domain::tool::Truncation) -> Self {
        use domain::tool::Truncation as Stored;
        let (kind, last_messages) = match truncation {
            Stored::Auto => ("auto", None),
            Stored::LastMessages { last_messages } => ("last_messages", Some(last_messages)),
        };
        Self {
            kind,
            last_messages,
        }
    }
}

impl Identified for Run<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The shape of a run.
pub static SHAPE: Shape = object(
    "Run",
    "An assistant at work on a thread.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["thread.run"]), "What this is."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required("assistant_id", &STRING, "Who does the work."),
        Field::required("thread_id", &STRING, "The thread it reads and writes."),
        Field::required("status", &STATUS, "Where it stands."),
        Field::required("started_at", &TIME, "When a worker last took it up.").nullable(),
        Field::required(
            "expires_at",
            &TIME,
            "When it expires; null once it has ended.",
        )
        .nullable(),
        Field::required("cancelled_at", &TIME, "When it was stopped.").nullable(),
        Field::required("failed_at", &TIME, "When it failed.").nullable(),
        Field::required("completed_at", &TIME, "When it ended with an answer.").nullable(),
        Field::required(
            "required_action",
            &REQUIRED_ACTION,
            "What the client has to do for the run to go on.",
        )
        .nullable(),
        Field::required("last_error", &LAST_ERROR, "Why it failed.").nullable(),
        Field::required("model", &STRING, "The model that does the work."),
        Field::required(
            "instructions",
            &STRING,
            "Effective instructions; may be empty.",
        ),
        Field::required("tools", &TOOLS, "Effective tools."),
        Field::required(
            "tool_resources",
            &RESOURCES,
            "Resources given with the run.",
        ),
        Field::required("metadata", &Shape::Metadata, "The client's own pairs."),
        Field::required("temperature", &NUMBER, "Sampling temperature."),
        Field::required("top_p", &NUMBER, "Nucleus sampling."),
        Field::required(
            "reasoning_effort",
            &REASONING_EFFORT,
            "How hard a reasoning model thinks.",
        )
        .nullable(),
        Field::required(
            "max_completion_tokens",
            &COUNT,
            "Completion tokens over all model turns.",
        )
        .nullable(),
        Field::required(
            "max_prompt_tokens",
            &COUNT,
            "Prompt tokens over all model turns.",
        )
        .nullable(),
        Field::required(
            "truncation_strategy",
            &TRUNCATION,
            "How the thread is cut down to fit the model.",
        ),
        Field::required("incomplete_details", &INCOMPLETE, "Which limit ended it.").nullable(),
        Field::required(
            "usage",
            &usage::SHAPE,
            "Token counts; null until it has ended.",
        )
        .nullable(),
        Field::required(
            "response_format",
            &RESPONSE_FORMAT,
            "What form an answer takes.",
        ),
        Field::required(
            "tool_choice",
            &TOOL_CHOICE,
            "Whether, and which, tools must be called.",
        ),
        Field::required(
            "parallel_tool_calls",
            &Shape::Boolean,
            "Whether one model turn may call several functions.",
        ),
    ],
);

static STATUS: Shape = one_of(&[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]);

static REQUIRED_ACTION: Shape = inline(&[
    Field::required("type", &kind(&["submit_tool_outputs"]), "What to do."),
    Field::required(
        "submit_tool_outputs",
        &inline(&[Field::required(
            "tool_calls",
            &list(&inline(&[
                Field::required("id", &STRING, "The call's id."),
                Field::required("type", &kind(&["function"]), "What is called."),
                Field::required(
                    "function",
                    &inline(&[
                        Field::required("name", &STRING, "The function's name."),
                        Field::required("arguments", &STRING, "JSON text."),
                    ]),
                    "Name and arguments.",
                ),
            ])),
            "In the model's order.",
        )]),
        "The functions to carry out.",
    ),
]);

static LAST_ERROR: Shape = inline(&[
    Field::required(
        "code",
        &one_of(&["server_error", "rate_limit_exceeded", "invalid_prompt"]),
        "For programs.",
    ),
    Field::required("message", &STRING, "For people."),
]);

static TRUNCATION: Shape = inline(&[
    Field::required("type", &one_of(&["auto", "last_messages"]), "The strategy."),
    Field::required("last_messages", &COUNT, "How many are kept.").nullable(),
]);

static INCOMPLETE: Shape = inline(&[Field::required(
    "reason",
    &one_of(&["max_completion_tokens", "max_prompt_tokens"]),
    "The limit.",
)]);
