//! Run steps (contract section 9).

use loomgate_domain::{
    self as domain, AssistantId, CallId, FileId, Metadata, RunId, StepId, ThreadId, Timestamp,
    run::{
        ErrorCode, FileSearchCall, FunctionToolCall, LastError, SearchResult, StepDetails,
        StepStatus, ToolCall, step::MessageCreation,
    },
    tool,
    vector_store::Attributes,
};
use serde::Serialize;

use super::{
    TIME,
    assistant::NUMBER,
    kind,
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

/// A call; the id stands before the type, as recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Call<'a> {
    /// The call's id.
    pub id: &'a CallId,
    /// `function` or `file_search`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// A function: what was called, and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<&'a FunctionToolCall>,
    /// A search: how it was ranked, and what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_search: Option<Searched<'a>>,
}

/// A search.
#[derive(Debug, Clone, Serialize)]
pub struct Searched<'a> {
    /// How it was ranked.
    pub ranking_options: Ranking<'a>,
    /// What was found, best first.
    pub results: Vec<Found<'a>>,
}

/// How a search was ranked; other than in a tool's declaration, without `hybrid_search`.
#[derive(Debug, Clone, Serialize)]
pub struct Ranking<'a> {
    /// The ranker's name.
    pub ranker: &'a str,
    /// Results of a lower score were left out.
    pub score_threshold: f64,
}

impl<'a> From<&'a tool::RankingOptions> for Ranking<'a> {
    fn from(options: &'a tool::RankingOptions) -> Self {
        Self {
            ranker: &options.ranker,
            score_threshold: options.score_threshold,
        }
    }
}

/// A chunk that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Found<'a> {
    /// Its file.
    pub file_id: &'a FileId,
    /// The file's name.
    pub file_name: &'a str,
    /// How well it fits: 0 to 1.
    pub score: f64,
    /// What the client said of the file.
    pub attributes: &'a Attributes,
    /// Its words, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<[FoundText<'a>; 1]>,
}

/// The words of a chunk.
#[derive(Debug, Clone, Serialize)]
pub struct FoundText<'a> {
    /// `text`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The words.
    pub text: &'a str,
}

impl<'a> Details<'a> {
    fn of(details: &'a StepDetails, with_content: bool) -> Self {
        match details {
            StepDetails::MessageCreation { message_creation } => {
                Self::MessageCreation { message_creation }
            }
            StepDetails::ToolCalls { tool_calls } => Self::ToolCalls {
                tool_calls: tool_calls
                    .iter()
                    .map(|call| Call::of(call, with_content))
                    .collect(),
            },
        }
    }
}

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall, with_content: bool) -> Self {
        match call {
            ToolCall::Function { id, function, .. } => Self {
                id,
                kind: "function",
                function: Some(function),
                file_search: None,
            },
            ToolCall::FileSearch {
                id, file_search, ..
            } => Self {
                id,
                kind: "file_search",
                function: None,
                file_search: Some(Searched::of(file_search, with_content)),
            },
        }
    }
}

impl<'a> Searched<'a> {
    fn of(search: &'a FileSearchCall, with_content: bool) -> Self {
        let results = search.results.iter().flatten();
        Self {
            ranking_options: (&search.ranking_options).into(),
            results: results
                .map(|found| Found::of(found, with_content))
                .collect(),
        }
    }
}

impl<'a> Found<'a> {
    fn of(found: &'a SearchResult, with_content: bool) -> Self {
        Self {
            file_id: &found.file_id,
            file_name: &found.file_name,
            score: found.score,
            attributes: &found.attributes,
            content: with_content.then_some([FoundText {
                kind: "text",
                text: &found.text,
            }]),
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
    pub fn listed(record: &'a domain::RunStep, with_content: bool) -> Self {
        let mut step = Self::event(record, with_content);
        if record.status != StepStatus::InProgress {
            step.expires_at = None;
        }
        step
    }

    /// As stream events carry it: `expires_at` is always a number. The words of what searches found
    /// are only shown to whoever asks for them.
    pub fn event(record: &'a domain::RunStep, with_content: bool) -> Self {
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
            step_details: Details::of(&record.details, with_content),
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
    variants: &[
        Variant {
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
        },
        Variant {
            tag: "file_search",
            doc: "A search in vector stores, carried out here.",
            fields: &[
                Field::required("id", &STRING, "The call's id."),
                Field::required("file_search", &SEARCHED, "What was found."),
            ],
        },
    ],
});

pub(super) static SEARCHED: Shape = inline(&[
    Field::required(
        "ranking_options",
        &inline(&[
            Field::required("ranker", &STRING, "The ranker's name."),
            Field::required(
                "score_threshold",
                &NUMBER,
                "Results of a lower score were left out.",
            ),
        ]),
        "How it was ranked.",
    ),
    Field::required("results", &list(&FOUND), "What was found, best first."),
]);

static FOUND: Shape = inline(&[
    Field::required("file_id", &STRING, "The file."),
    Field::required("file_name", &STRING, "Its name."),
    Field::required("score", &NUMBER, "How well it fits: 0 to 1."),
    Field::required(
        "attributes",
        &Shape::Attributes,
        "What the client said of the file.",
    ),
    Field::optional(
        "content",
        &list(&inline(&[
            Field::required("type", &kind(&["text"]), "What this is."),
            Field::required("text", &STRING, "The words."),
        ])),
        "Its words, where `include[]` asks for them.",
    ),
]);
