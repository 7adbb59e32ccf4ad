//! Bodies of the message operations (contract section 7).

use loomgate_domain::{
    Limits, Metadata, Patch,
    message::{Attachment, Content, ImageDetail, ImageFile, ImageUrl, Role},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Request, quick};
use crate::{
    Problem,
    shape::{
        Array, Cap, Field, Format, STRING, Shape, Tagged, Variant, filled, inline, list, object,
        one_of, read,
    },
};

/// A message that a client adds: on its own, with a new thread, or with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Whose words these are.
    pub role: Role,
    /// At least one part.
    pub content: Vec<Content>,
    /// Files handed to tools.
    pub attachments: Vec<Attachment>,
    /// The client's own pairs.
    pub metadata: Metadata,
}

/// `POST /threads/{thread_id}/messages`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateMessage(pub NewMessage);

/// `POST /threads/{thread_id}/messages/{message_id}`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModifyMessage {
    /// The client's own pairs: the whole map is replaced.
    #[serde(default)]
    pub metadata: Patch<Metadata>,
}

/// A new message, also within other requests.
pub static MESSAGE: Shape = object(
    "CreateMessageRequest",
    "A new message.",
    &[
        Field::required(
            "role",
            &one_of(&["user", "assistant"]),
            "Whose words these are.",
        ),
        Field::required("content", &CONTENT, "A text, or a list of parts."),
        Field::optional("attachments", &list(&ATTACHMENT), "Files handed to tools.").nullable(),
        Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
    ],
);

static CONTENT: Shape = Shape::Union(&[&WORDS, &PARTS]);

static WORDS: Shape = filled(Cap::Limit(|limits| limits.message_chars), Format::Content);

static PARTS: Shape = Shape::Array(Array {
    items: &PART,
    min: 1,
    max: Cap::None,
    rule: None,
});

static PART: Shape = Shape::Tagged(Tagged {
    name: "MessageContentRequest",
    doc: "A part of a message.",
    variants: &[
        Variant {
            tag: "text",
            doc: "Words.",
            fields: &[Field::required("text", &WORDS, "The words.")],
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
                &inline(&[
                    Field::required(
                        "url",
                        &filled(Cap::None, Format::Url),
                        "An http, https or data address.",
                    ),
                    DETAIL,
                ]),
                "Which picture.",
            )],
        },
    ],
});

const DETAIL: Field = Field::optional(
    "detail",
    &one_of(&["auto", "low", "high"]),
    "How closely to look.",
)
.nullable()
.or("\"auto\"");

static ATTACHMENT: Shape = inline(&[
    Field::optional("file_id", &STRING, "The file's id."),
    Field::optional(
        "tools",
        &list(&ATTACHMENT_TOOL),
        "The tools that may use it.",
    ),
]);

static ATTACHMENT_TOOL: Shape = Shape::Tagged(Tagged {
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
});

static MODIFY: Shape = object(
    "ModifyMessageRequest",
    "The metadata is replaced as a whole; null empties it.",
    &[Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable()],
);

#[derive(Deserialize)]
pub(super) struct MessageBody {
    role: Role,
    content: ContentBody,
    attachments: Option<Vec<Attachment>>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContentBody {
    Words(String),
    Parts(Vec<PartBody>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PartBody {
    Text { text: String },
    ImageFile { image_file: ImageFileBody },
    ImageUrl { image_url: ImageUrlBody },
}

#[derive(Deserialize)]
struct ImageFileBody {
    file_id: String,
    detail: Option<ImageDetail>,
}

#[derive(Deserialize)]
struct ImageUrlBody {
    url: String,
    detail: Option<ImageDetail>,
}

impl From<PartBody> for Content {
    fn from(body: PartBody) -> Self {
        match body {
            PartBody::Text { text } => Self::text(text),
            PartBody::ImageFile { image_file } => Self::ImageFile {
                image_file: ImageFile {
                    file_id: image_file.file_id,
                    detail: image_file.detail.unwrap_or_default(),
                },
            },
            PartBody::ImageUrl { image_url } => Self::ImageUrl {
                image_url: ImageUrl {
                    url: image_url.url,
                    detail: image_url.detail.unwrap_or_default(),
                },
            },
        }
    }
}

impl From<MessageBody> for NewMessage {
    fn from(body: MessageBody) -> Self {
        Self {
            role: body.role,
            content: match body.content {
                ContentBody::Words(words) => vec![Content::text(words)],
                ContentBody::Parts(parts) => parts.into_iter().map(Content::from).collect(),
            },
            attachments: body.attachments.unwrap_or_default(),
            metadata: body.metadata.unwrap_or_default(),
        }
    }
}

impl Request for CreateMessage {
    fn shape() -> &'static Shape {
        &MESSAGE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        read::<MessageBody>(&MESSAGE, value, limits).map(|body| Self(body.into()))
    }
}

impl Request for ModifyMessage {
    fn shape() -> &'static Shape {
        &MODIFY
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        read(&MODIFY, value, limits)
    }

    fn quick(body: &[u8]) -> Option<Self> {
        quick(body)
    }
}
