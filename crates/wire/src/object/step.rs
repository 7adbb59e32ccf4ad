//! Run steps (contract section 9).

use loomgate_domain::{
    self as domain, AssistantId, CallId, Metadata, RunId, StepId, ThreadId, Timestamp,
    run::{
        ErrorCode, FunctionToolCall, LastError, StepDetails, StepStatus, ToolCall,
        step::MessageCreation,
    },
};
use serde::Serialize;

use super::{
    TIME, kind,
    list::Identified,
    usage::{self, Usage},
};
use crate::shape::{Field, STRING, Shape, Tagged, Variant, inline, list, object, one_of};

/// A run step, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct RunStep<'a> {
    pub id: &'a StepId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub run_id: &'a RunId,
    pub assistant_id: &'a AssistantId,
    pub thread_id: &'a ThreadId,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub status: &'static str,
    pub cancelled_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub expired_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub last_error: Option<StepError<'a>>,
    pub step_details: Details<'a>,
    pub usage: Option<Usage>,
    pub metadata: Metadata,
}

/// What a step did.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Details<'a> {
    /// It wrote a message.
    MessageCreation {
        /// Which.
        message_creation: &'a MessageCreation,
    },
    /// It called tools.
    ToolCalls {
        /// Which, in the model's order.
        tool_calls: Vec<Call<'a>>,
    },
}

/// A function call; the id stands before the type, as recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Call<'a> {
    /// The call's id.
    pub id: &'a CallId,
    /// `function`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What was called, and what came of it.
    pub function: &'a FunctionToolCall,
}

impl<'a> From<&'a StepDetails> for Details<'a> {
    fn from(details: &'a StepDetails) -> Self {
        match details {
            StepDetails::MessageCreation { message_creation } => {
                Self::MessageCreation { message_creation }
            }
            StepDetails::ToolCalls { tool_calls } => Self::ToolCalls {
                tool_calls: tool_calls.iter().map(Call::from).collect(),
            },
        }
    }
}

impl<'a> From<&'a ToolCall> for Call<'a> {
    fn from(call: &'a ToolCall) -> Self {
        match call {
            ToolCall::Function { id, function, .. } => Self {
                id,
                kind: "function",
                function,
            },
        }
    }
}

/// Why a step failed. Steps know two codes only.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StepError<'a> {
    /// `server_error` or `rate_limit_exceeded`
    pub code: ErrorCode,
    /// For people.
    pub message: &'a str,
}

impl<'a> From<&'a LastError> for StepError<'a> {
    fn from(error: &'a LastError) -> Self {
        Self {
            code: match error.code {
                ErrorCode::RateLimitExceeded => ErrorCode::RateLimitExceeded,
                ErrorCode::ServerError | ErrorCode::InvalidPrompt => ErrorCode::ServerError,
            },
            message: &error.message,
        }
    }
}

impl<'a> RunStep<'a> {
    /// As GET answers it: `expires_at` is null once the step has ended.
    pub fn listed(record: &'a domain::RunStep) -> Self {
        let mut step = Self::event(record);
        if record.status != StepStatus::InProgress {
            step.expires_at = None;
        }
        step
    }

    /// As stream events carry it: `expires_at` is always a number.
    pub fn event(record: &'a domain::RunStep) -> Self {
        let mut step = Self {
            id: &record.id,
            object: "thread.run.step",
            created_at: record.created_at,
            run_id: &record.run_id,
            assistant_id: &record.assistant_id,
            thread_id: &record.thread_id,
            kind: match record.details {
                StepDetails::MessageCreation { .. } => "message_creation",
                StepDetails::ToolCalls { .. } => "tool_calls",
            },
            status: "in_progress",
            cancelled_at: None,
            completed_at: None,
            expires_at: Some(record.expires_at),
            expired_at: None,
            failed_at: None,
            last_error: None,
            step_details: (&record.details).into(),
            usage: None,
            metadata: Metadata::default(),
        };
        match &record.status {
            StepStatus::InProgress => return step,
            StepStatus::Cancelled { cancelled_at } => {
                step.status = "cancelled";
                step.cancelled_at = Some(*cancelled_at);
            }
            StepStatus::Failed { failed_at, error } => {
                step.status = "failed";
                step.failed_at = Some(*failed_at);
                step.last_error = Some(error.into());
            }
            StepStatus::Completed { completed_at } => {
                step.status = "completed";
                step.completed_at = Some(*completed_at);
            }
            StepStatus::Expired { expired_at } => {
                step.status = "expired";
                step.expired_at = Some(*expired_at);
            }
        }
        step.usage = record.usage.map(Usage::from);
        step
    }
}

impl Identified for RunStep<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The shape of a run step.
pub static SHAPE: Shape = object(
    "RunStep",
    "A step of a run: a message written, or tools called.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["thread.run.step"]), "What this is."),
        Field::required("created_at", &TIME, "When it was begun, in unix seconds."),
        Field::required("run_id", &STRING, "Its run."),
        Field::required("assistant_id", &STRING, "The run's assistant."),
        Field::required("thread_id", &STRING, "The run's thread."),
        Field::required(
            "type",
            &one_of(&["message_creation", "tool_calls"]),
            "What it did.",
        ),
        Field::required(
            "status",
            &one_of(&["in_progress", "cancelled", "failed", "completed", "expired"]),
            "How far it is.",
        ),
        Field::required("cancelled_at", &TIME, "When it was stopped.").nullable(),
        Field::required("completed_at", &TIME, "When it was done.").nullable(),
        Field::required(
            "expires_at",
            &TIME,
            "When its run expires; null once it has ended, but for stream events.",
        )
        .nullable(),
        Field::required("expired_at", &TIME, "When its time was over.").nullable(),
        Field::required("failed_at", &TIME, "When it failed.").nullable(),
        Field::required(
            "last_error",
            &inline(&[
                Field::required(
                    "code",
                    &one_of(&["server_error", "rate_limit_exceeded"]),
                    "For programs.",
                ),
                Field::required("message", &STRING, "For people."),
            ]),
            "Why it failed.",
        )
        .nullable(),
        Field::required("step_details", &DETAILS, "The message, or the calls."),
        Field::required(
            "usage",
            &usage::SHAPE,
            "Token counts; null until it has ended.",
        )
        .nullable(),
        Field::required(
            "metadata",
            &Shape::Metadata,
            "Empty: steps can not be modified.",
        ),
    ],
);

static DETAILS: Shape = Shape::Tagged(Tagged {
    name: "StepDetails",
    doc: "What a step did.",
    variants: &[
        Variant {
            tag: "message_creation",
            doc: "It wrote a message.",
            fields: &[Field::required(
                "message_creation",
                &inline(&[Field::required("message_id", &STRING, "The message.")]),
                "Which message.",
            )],
        },
        Variant {
            tag: "tool_calls",
            doc: "It called tools.",
            fields: &[Field::required(
                "tool_calls",
                &list(&CALL),
                "In the model's order.",
            )],
        },
    ],
});

static CALL: Shape = Shape::Tagged(Tagged {
    name: "ToolCall",
    doc: "A tool call within a step.",
    variants: &[Variant {
        tag: "function",
        doc: "A function that the client carries out.",
        fields: &[
            Field::required("id", &STRING, "The call's id."),
            Field::required(
                "function",
                &inline(&[
                    Field::required("name", &STRING, "The function's name."),
                    Field::required("arguments", &STRING, "JSON text."),
                    Field::required("output", &STRING, "What the client answered.").nullable(),
                ]),
                "What was called, and what came of it.",
            ),
        ],
    }],
});
