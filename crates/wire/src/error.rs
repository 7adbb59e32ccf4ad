//! The one form of every error answer (contract section 1.4).

use serde::Serialize;

use crate::Problem;

/// `{"error":{"message","type","param","code"}}`; errors of the gateway have Portkey's form around
/// it, so that clients of both kinds find their words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// `failure`, in Portkey's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a str>,
    /// What went wrong, in Portkey's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// All that is wrong, where that is more than one thing.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub errors: &'a [String],
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
            status: None,
            message: None,
            errors: &[],
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
            status: None,
            message: None,
            errors: &[],
            error: ErrorDetail {
                message: &problem.message,
                kind: "invalid_request_error",
                param: problem.param.as_deref(),
                code: problem.code,
            },
        }
    }
}
