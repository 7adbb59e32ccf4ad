//! Bodies of the thread operations (contract section 6).

use loomgate_domain::{Limits, Metadata, Patch, tool::ToolResources};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Request, convert,
    message::{MESSAGE, MessageBody, NewMessage},
    resources::{NEW_RESOURCES, RESOURCES, ResourcesBody},
    vector_store::CreateVectorStore,
};
use crate::{
    Problem,
    shape::{Cap, Field, Shape, list_of, object, read},
};

/// `POST /threads`, and the thread of `POST /threads/runs`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateThread {
    /// The messages to start with, oldest first.
    pub messages: Vec<NewMessage>,
    /// Files and stores that tools may use on this thread.
    pub tool_resources: ToolResources,
    /// A vector store to make, which its resources are to name.
    pub vector_store: Option<CreateVectorStore>,
    /// The client's own pairs.
    pub metadata: Metadata,
}

/// `POST /threads/{thread_id}`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModifyThread {
    /// The client's own pairs: the whole map is replaced.
    pub metadata: Patch<Metadata>,
    /// Files and stores that tools may use on this thread.
    pub tool_resources: Patch<ToolResources>,
}

pub(super) static CREATE: Shape = object(
    "CreateThreadRequest",
    "A new thread.",
    &[
        Field::optional("messages", &INITIAL_MESSAGES, "The messages to start with.").or("[]"),
        Field::optional(
            "tool_resources",
            &NEW_RESOURCES,
            "Files and stores that tools may use on this thread.",
        )
        .nullable(),
        Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
    ],
);

/// Messages that come with another object.
pub(super) static INITIAL_MESSAGES: Shape =
    list_of(&MESSAGE, Cap::Limit(|limits| limits.initial_messages));

static MODIFY: Shape = object(
    "ModifyThreadRequest",
    "Fields left out keep their value; null empties them.",
    &[
        Field::optional(
            "tool_resources",
            &RESOURCES,
            "Files and stores that tools may use on this thread.",
        )
        .nullable(),
        Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
    ],
);

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct CreateBody {
    messages: Vec<MessageBody>,
    tool_resources: Option<ResourcesBody>,
    metadata: Option<Metadata>,
}

impl From<CreateBody> for CreateThread {
    fn from(body: CreateBody) -> Self {
        let (tool_resources, vector_store) = body.tool_resources.unwrap_or_default().with_store();
        Self {
            messages: body.messages.into_iter().map(NewMessage::from).collect(),
            tool_resources,
            vector_store,
            metadata: body.metadata.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ModifyBody {
    metadata: Patch<Metadata>,
    tool_resources: Patch<ResourcesBody>,
}

impl Request for CreateThread {
    fn shape() -> &'static Shape {
        &CREATE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        read::<CreateBody>(&CREATE, value, limits).map(Self::from)
    }
}

impl Request for ModifyThread {
    fn shape() -> &'static Shape {
        &MODIFY
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: ModifyBody = read(&MODIFY, value, limits)?;
        Ok(Self {
            metadata: body.metadata,
            tool_resources: convert(body.tool_resources, ToolResources::from),
        })
    }
}
