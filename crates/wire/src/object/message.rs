//! Messages (contract section 7).

use loomgate_domain::{
    self as domain, AssistantId, MessageId, Metadata, RunId, ThreadId, Timestamp,
    message::{Attachment, Content, IncompleteReason, MessageStatus, Role},
};
use serde::Serialize;

use super::{TIME, kind, list::Identified};
use crate::shape::{Field, STRING, Shape, Tagged, Variant, inline, list, object, one_of};

/// A message, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct Message<'a> {
    pub id: &'a MessageId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub assistant_id: Option<&'a AssistantId>,
    pub thread_id: &'a ThreadId,
    pub run_id: Option<&'a RunId>,
    pub status: &'static str,
    pub incomplete_details: Option<IncompleteDetails>,
    pub incomplete_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub role: Role,
    pub content: &'a [Content],
    pub attachments: &'a [Attachment],
    pub metadata: &'a Metadata,
}

/// Why a message was cut off.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct IncompleteDetails {
    /// One of five.
    pub reason: IncompleteReason,
}

impl<'a> From<&'a domain::Message> for Message<'a> {
    fn from(record: &'a domain::Message) -> Self {
        let mut message = Self {
            id: &record.id,
            object: "thread.message",
            created_at: record.created_at,
            assistant_id: record.assistant_id.as_ref(),
            thread_id: &record.thread_id,
            run_id: record.run_id.as_ref(),
            status: "in_progress",
            incomplete_details: None,
            incomplete_at: None,
            completed_at: None,
            role: record.role,
            content: &record.content,
            attachments: &record.attachments,
            metadata: &record.metadata,
        };
        match record.status {
            MessageStatus::InProgress => {}
            MessageStatus::Completed { completed_at } => {
                message.status = "completed";
                message.completed_at = Some(completed_at);
            }
            MessageStatus::Incomplete {
                incomplete_at,
                reason,
            } => {
                message.status = "incomplete";
                message.incomplete_details = Some(IncompleteDetails { reason });
                message.incomplete_at = Some(incomplete_at);
            }
        }
        message
    }
}

impl Identified for Message<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// The shape of a message.
pub static SHAPE: Shape = object(
    "Message",
    "A message of a thread.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["thread.message"]), "What this is."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required(
            "assistant_id",
            &STRING,
            "The assistant that wrote it in a run.",
        )
        .nullable(),
        Field::required("thread_id", &STRING, "The thread it stands in."),
        Field::required("run_id", &STRING, "The run that wrote it.").nullable(),
        Field::required(
            "status",
            &one_of(&["in_progress", "incomplete", "completed"]),
            "How far it is.",
        ),
        Field::required(
            "incomplete_details",
            &inline(&[Field::required(
                "reason",
                &one_of(&[
                    "content_filter",
                    "max_tokens",
                    "run_cancelled",
                    "run_expired",
                    "run_failed",
                ]),
                "The reason.",
            )]),
            "Why it was cut off.",
        )
        .nullable(),
        Field::required("incomplete_at", &TIME, "When it was cut off.").nullable(),
        Field::required("completed_at", &TIME, "When it became whole.").nullable(),
        Field::required(
            "role",
            &one_of(&["user", "assistant"]),
            "Whose words these are.",
        ),
        Field::required("content", &list(&CONTENT), "The parts, in order."),
        Field::required("attachments", &list(&ATTACHMENT), "Files handed to tools."),
        Field::required("metadata", &Shape::Metadata, "The client's own pairs."),
    ],
);

static CONTENT: Shape = Shape::Tagged(Tagged {
    name: "MessageContent",
    doc: "A part of a message.",
    variants: &[
        Variant {
            tag: "text",
            doc: "Words.",
            fields: &[Field::required(
                "text",
                &inline(&[
                    Field::required("value", &STRING, "The words, markers included."),
                    Field::required(
                        "annotations",
                        &list(&ANNOTATION),
                        "Citations and file links, in text order.",
                    ),
                ]),
                "The words and their annotations.",
            )],
        },
        Variant {
            tag: "refusal",
            doc: "The model declined.",
            fields: &[Field::required("refusal", &STRING, "Its words.")],
        },
        Variant {
            tag: "image_file",
            doc: "A picture among the stored files.",
            fields: &[Field::required(
                "image_file",
                &inline(&[
                    Field::required("file_id", &STRING, "The file's id."),
                    DETAIL,
                ]),
                "Which picture.",
            )],
        },
        Variant {
            tag: "image_url",
            doc: "A picture at an address.",
            fields: &[Field::required(
                "image_url",
                &inline(&[Field::required("url", &STRING, "The address."), DETAIL]),
                "Which picture.",
            )],
        },
    ],
});

const DETAIL: Field = Field::required(
    "detail",
    &one_of(&["auto", "low", "high"]),
    "How closely to look.",
);

static ANNOTATION: Shape = Shape::Tagged(Tagged {
    name: "Annotation",
    doc: "A place in a text that points to a file. Offsets count code points, end exclusive.",
    variants: &[
        Variant {
            tag: "file_citation",
            doc: "The model cites a file.",
            fields: &[
                MARKER,
                START,
                END,
                Field::required("file_citation", &FILE, "What is cited."),
            ],
        },
        Variant {
            tag: "file_path",
            doc: "The model links a file that it made.",
            fields: &[
                MARKER,
                START,
                END,
                Field::required("file_path", &FILE, "What is linked."),
            ],
        },
    ],
});

pub(super) const MARKER: Field =
    Field::required("text", &STRING, "The marker as it stands in the value.");
pub(super) const START: Field = Field::required("start_index", &super::COUNT, "First code point.");
pub(super) const END: Field =
    Field::required("end_index", &super::COUNT, "One past the last code point.");
pub(super) const FILE_ID: Field = Field::required("file_id", &STRING, "The file's id.");
static FILE: Shape = inline(&[FILE_ID]);

static ATTACHMENT: Shape = inline(&[
    Field::optional("file_id", &STRING, "The file's id."),
    Field::required(
        "tools",
        &list(&Shape::Tagged(Tagged {
            name: "AttachmentTool",
            doc: "A tool that may use an attachment.",
            variants: &[
                Variant {
                    tag: "code_interpreter",
                    doc: "The code interpreter.",
                    fields: &[],
                },
                Variant {
                    tag: "file_search",
                    doc: "Search in the thread's vector store.",
                    fields: &[],
                },
            ],
        })),
        "The tools that may use it.",
    ),
]);
