//! The numbers of contract section 12. Those that an operator may change are fields; those that
//! are part of the wire format are constants.

use serde::{Deserialize, Serialize};

/// Longest assistant name, in characters.
pub const NAME_CHARS: usize = 256;
/// Longest assistant description, in characters.
pub const DESCRIPTION_CHARS: usize = 512;
/// Most tools of an assistant.
pub const ASSISTANT_TOOLS: usize = 128;
/// Most tools that a run may bring to override its assistant's.
pub const RUN_TOOLS: usize = 20;
/// Longest function name and `json_schema` name, in characters.
pub const FUNCTION_NAME_CHARS: usize = 64;
/// Smallest `max_prompt_tokens` and `max_completion_tokens`.
pub const MIN_TOKEN_CAP: u64 = 256;
/// Most files of a code interpreter.
pub const CODE_INTERPRETER_FILES: usize = 20;
/// Largest page of a list.
pub const LIST_LIMIT: u32 = 100;
/// Largest page of the list of files, and the one that is given when nobody says.
pub const FILE_LIST_LIMIT: u32 = 10_000;

/// Limits that the operator may change (`[limits]` in the config).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds from a run's creation to its expiry. Never extended.
    pub run_expiry_s: u32,
    /// Longest instructions, in characters.
    pub instructions_chars: usize,
    /// Longest text of a message, in characters.
    pub message_chars: usize,
    /// Most messages in one `POST /threads`, or in `additional_messages`.
    pub initial_messages: usize,
    /// Longest output of one tool call, in bytes.
    pub tool_output_bytes: usize,
    /// Largest JSON body, in bytes.
    pub body_bytes: usize,
    /// Largest body of a relayed call that is no JSON, such as an upload, in bytes.
    pub upload_bytes: usize,
    /// Largest file that comes as one, in bytes.
    pub file_bytes: u64,
    /// Largest part of an upload in parts, in bytes.
    pub upload_part_bytes: u64,
    /// Largest file that comes in parts, in bytes.
    pub upload_total_bytes: u64,
    /// Largest image file that is shown to a model, in bytes.
    pub image_bytes: u64,
    /// Most files of a vector store.
    pub vector_store_files: u64,
    /// Tokens that a model takes when its context window is not known.
    pub context_window_tokens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            run_expiry_s: 600,
            instructions_chars: 256_000,
            message_chars: 256_000,
            initial_messages: 512,
            tool_output_bytes: 512 * 1024,
            body_bytes: 16 * 1024 * 1024,
            upload_bytes: 512 * 1024 * 1024,
            file_bytes: 512 * 1024 * 1024,
            upload_part_bytes: 64 * 1024 * 1024,
            upload_total_bytes: 8 * 1024 * 1024 * 1024,
            image_bytes: 20 * 1024 * 1024,
            vector_store_files: 10_000,
            context_window_tokens: 128_000,
        }
    }
}
