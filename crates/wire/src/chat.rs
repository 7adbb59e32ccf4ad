//! What goes between Loomgate and a model: a chat-completions request, and the events of its
//! streamed answer. One form for all providers; the gateway turns it into each one's own.

use loomgate_domain::{
    Usage,
    message::ImageDetail,
    tool::{Function, ReasoningEffort, ResponseFormat, ToolChoice},
};
use serde::Serialize;

/// One model turn, asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model as the client named it; the gateway applies aliases.
    pub model: String,
    /// The conversation, system prompt first.
    pub messages: Vec<ChatMessage>,
    /// Functions that the model may call.
    pub tools: Vec<Function>,
    /// Sent only along with tools.
    pub tool_choice: ToolChoice,
    /// Sent only along with tools.
    pub parallel_tool_calls: bool,
    /// Sent unless it is `Auto`.
    pub response_format: ResponseFormat,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// For models that reason.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The most tokens that the model may write.
    pub max_completion_tokens: Option<u64>,
}

/// One message of the conversation, in the form of chat completions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum ChatMessage {
    /// Instructions.
    System {
        /// The text.
        content: String,
    },
    /// The person's words and pictures.
    User {
        /// A text, or parts.
        content: UserContent,
    },
    /// The model's words and calls.
    Assistant {
        /// The words; null where there were only calls.
        content: Option<String>,
        /// The calls.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ChatToolCall>,
    },
    /// What came of a call.
    Tool {
        /// Which call.
        tool_call_id: String,
        /// Its output.
        content: String,
    },
}

/// A plain text goes as a string, which every server takes; anything else as parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum UserContent {
    /// Words only.
    Text(String),
    /// Words and pictures.
    Parts(Vec<UserPart>),
}

/// One part of what a person sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UserPart {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture.
    ImageUrl {
        /// Where it is.
        image_url: ImageRef,
    },
    /// A picture among the stored files. Whoever calls a provider puts its bytes in its place.
    ImageFile {
        /// Which.
        image_file: FileImage,
    },
}

/// A picture among the stored files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileImage {
    /// The file's id.
    pub file_id: String,
    /// How closely to look.
    pub detail: ImageDetail,
}

/// A picture at an http(s) or data address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageRef {
    /// The address.
    pub url: String,
    /// How closely to look.
    pub detail: ImageDetail,
}

/// A call that the model made earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatToolCall {
    /// Of a function.
    Function {
        /// The call's id.
        id: String,
        /// Name and arguments.
        function: CalledFunction,
        /// What the provider wants back with it: see [`ChatEvent::CallStarted`]. Only goes to
        /// providers that know such signatures; others refuse fields that they do not know.
        #[serde(skip)]
        signature: Option<String>,
    },
}

/// A function, as called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CalledFunction {
    /// Its name.
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

/// Something that a model's stream brought. Calls come one after another, `index` counting up
/// from 0; `Finished` comes once, `Usage` at most once, before or after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// More words of the answer; never empty.
    Text(String),
    /// More words of a refusal; never empty.
    Refusal(String),
    /// A function call begins.
    CallStarted {
        /// Which call of this turn.
        index: usize,
        /// The provider's id for it.
        id: String,
        /// The function.
        name: String,
        /// Gemini's thought signature: a sealed text that goes back to it along with the call.
        signature: Option<String>,
    },
    /// More of a call's arguments; never empty.
    CallArguments {
        /// Which call of this turn.
        index: usize,
        /// The next piece of JSON text.
        text: String,
    },
    /// What the turn cost, as the provider counts.
    Usage(Usage),
    /// The model has ended its turn.
    Finished(FinishReason),
}

/// Why a model ended its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It had said what it had to say (also for reasons that no other variant tells).
    Stop,
    /// Its output limit was reached.
    Length,
    /// It calls tools.
    ToolCalls,
    /// The provider's filter stopped it.
    ContentFilter,
}
