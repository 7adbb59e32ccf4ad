//! The one form of every error answer (contract section 1.4).

use serde::Serialize;

use crate::Problem;

/// `{"error":{"message","type","param","code"}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong.
    pub error: ErrorDetail<'a>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDetail<'a> {
    /// For people.
    pub message: &'a str,
    /// `invalid_request_error`, `server_error`, ...
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Which part of the request.
    pub param: Option<&'a str>,
    /// For programs.
    pub code: Option<&'a str>,
}

impl<'a> ErrorBody<'a> {
    /// An error that is about no part of the request.
    pub fn new(message: &'a str, kind: &'a str) -> Self {
        Self {
            error: ErrorDetail {
                message,
                kind,
                param: None,
                code: None,
            },
        }
    }

    /// The same with a code.
    #[must_use]
    pub fn code(mut self, code: &'a str) -> Self {
        self.error.code = Some(code);
        self
    }

    /// The same with the part of the request that it is about.
    #[must_use]
    pub fn param(mut self, param: &'a str) -> Self {
        self.error.param = Some(param);
        self
    }
}

impl<'a> From<&'a Problem> for ErrorBody<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            error: ErrorDetail {
                message: &problem.message,
                kind: "invalid_request_error",
                param: problem.param.as_deref(),
                code: problem.code,
            },
        }
    }
}
