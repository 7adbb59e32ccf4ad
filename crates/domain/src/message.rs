//! Messages (contract section 7).

use serde::{Deserialize, Serialize};

use crate::{AssistantId, MessageId, Metadata, RunId, ThreadId, Timestamp};

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The thread it stands in.
    pub thread_id: ThreadId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whose words these are.
    pub role: Role,
    /// The content parts, in order.
    pub content: Vec<Content>,
    /// Files handed to tools with this message.
    pub attachments: Vec<Attachment>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// The assistant that wrote it in a run; none for messages made through the API.
    pub assistant_id: Option<AssistantId>,
    /// The run that wrote it; none for messages made through the API.
    pub run_id: Option<RunId>,
    /// How far it is.
    pub status: MessageStatus,
}

/// Whose words a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Life of a message. Messages made through the API are complete at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum MessageStatus {
    /// The model is writing it.
    InProgress,
    /// It is whole.
    Completed {
        /// When it became whole.
        completed_at: Timestamp,
    },
    /// It was cut off.
    Incomplete {
        /// When.
        incomplete_at: Timestamp,
        /// Why.
        reason: IncompleteReason,
    },
}

/// Why a message was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncompleteReason {
    /// The provider's filter stopped it.
    ContentFilter,
    /// A token limit was reached.
    MaxTokens,
    /// The run was cancelled.
    RunCancelled,
    /// The run expired.
    RunExpired,
    /// The run failed.
    RunFailed,
}

/// One part of a message, in the form in which responses carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Words.
    Text {
        /// The words and their annotations.
        text: Text,
    },
    /// The model declined.
    Refusal {
        /// Its words.
        refusal: String,
    },
    /// A picture among the stored files.
    ImageFile {
        /// Which, and how closely to look.
        image_file: ImageFile,
    },
    /// A picture at an address.
    ImageUrl {
        /// Where, and how closely to look.
        image_url: ImageUrl,
    },
}

impl Content {
    /// A text part without annotations.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text {
            text: Text {
                value: value.into(),
                annotations: Vec::new(),
            },
        }
    }
}

/// Words with annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The words, markers included.
    pub value: String,
    /// Citations and file links, in text order.
    pub annotations: Vec<Annotation>,
}

/// A place in a text that points to a file (contract section 7.5). Offsets count code points of
/// the value, end exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Annotation {
    /// The model cites a file.
    FileCitation {
        /// The marker as it stands in the value.
        text: String,
        /// First code point.
        start_index: u32,
        /// One past the last code point.
        end_index: u32,
        /// What is cited.
        file_citation: FileRef,
    },
    /// The model links a file that it made.
    FilePath {
        /// The link as it stands in the value.
        text: String,
        /// First code point.
        start_index: u32,
        /// One past the last code point.
        end_index: u32,
        /// What is linked.
        file_path: FileRef,
    },
}

impl Annotation {
    /// Its place in the value, as it stands there.
    pub fn text(&self) -> &str {
        match self {
            Self::FileCitation { text, .. } | Self::FilePath { text, .. } => text,
        }
    }
}

/// A file, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The file's id.
    pub file_id: String,
}

/// How closely a model looks at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageDetail {
    /// The model's choice.
    #[default]
    Auto,
    /// Few tokens.
    Low,
    /// Many tokens.
    High,
}

/// A picture among the stored files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// The file's id.
    pub file_id: String,
    /// How closely to look.
    #[serde(default)]
    pub detail: ImageDetail,
}

/// A picture at an http(s) or data address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUrl {
    /// The address.
    pub url: String,
    /// How closely to look.
    #[serde(default)]
    pub detail: ImageDetail,
}

impl Message {
    /// The files that are attached for the code interpreter.
    pub fn code_interpreter_files(&self) -> Vec<&str> {
        attached(&self.attachments, AttachmentTool::CodeInterpreter).collect()
    }

    /// The files that are attached for search.
    pub fn file_search_files(&self) -> Vec<&str> {
        attached(&self.attachments, AttachmentTool::FileSearch).collect()
    }
}

/// The files among attachments that are meant for a tool, as often as they are named.
pub fn attached(attachments: &[Attachment], tool: AttachmentTool) -> impl Iterator<Item = &str> {
    let attached = attachments
        .iter()
        .filter(move |attachment| attachment.tools.contains(&tool));
    attached.filter_map(|it| it.file_id.as_deref())
}

/// A file handed to tools with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// The tools that may use it.
    #[serde(default)]
    pub tools: Vec<AttachmentTool>,
}

/// A tool that an attachment is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AttachmentTool {
    /// The code interpreter.
    CodeInterpreter,
    /// Search in the thread's store.
    FileSearch,
}
