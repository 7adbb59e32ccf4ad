//! Why a file has no text.

use serde::{Deserialize, Serialize};

/// Why a file has no text: what a vector store file's `last_error` holds
/// (`contract/behaviour.md`, section 2.5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// Whose fault it is.
    pub code: Code,
    /// A sentence for whoever uploaded the file: what is wrong, and how to mend it.
    pub message: String,
}

/// The values of `last_error.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The machine's fault: the same file may be read when it is tried again.
    ServerError,
    /// A kind of file that is not read.
    UnsupportedFile,
    /// A kind of file that is read, but this one cannot be.
    InvalidFile,
}

impl Code {
    /// The code as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerError => "server_error",
            Self::UnsupportedFile => "unsupported_file",
            Self::InvalidFile => "invalid_file",
        }
    }
}

impl Refusal {
    /// Whether the same file may be read when it is tried again.
    pub fn is_retryable(&self) -> bool {
        self.code == Code::ServerError
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(Code::ServerError, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::UnsupportedFile, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidFile, message)
    }

    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
