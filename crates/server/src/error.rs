//! What a caller is told when something went wrong. The only place that knows status codes.

mod accounts;
mod admin;
mod conflicts;
mod files;
mod lookups;

use std::{borrow::Cow, error::Error as StdError};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
    response::IntoResponse,
};
use loomgate_wire::{ErrorBody, Problem};

pub use admin::AdminError;

use crate::headers::{HEAD_BYTES, MOST_HEADERS};

/// The text of every 5xx that is our own fault; its cause is in the log.
const SERVER_ERROR: &str =
    "The server had an error while processing your request. Sorry about that!";
const INVALID_REQUEST: &str = "invalid_request_error";

/// An error answer: `{"error":{"message","type","param","code"}}` and its status
/// (contract section 1.4).
#[derive(Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    kind: &'static str,
    message: Cow<'static, str>,
    param: Option<Cow<'static, str>>,
    code: Option<&'static str>,
    cause: Option<Cause>,
    /// More of the answer's head.
    headers: Vec<(&'static str, String)>,
    /// All that is wrong, where it is more than one thing.
    errors: Vec<String>,
    /// Portkey's form goes around it.
    is_gateways: bool,
    /// Somebody else created it under the same idempotency key: not for clients.
    is_repeated: bool,
}

/// Travels beside the response to a creation that took place already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeated;

/// Why a request failed on our side, with the causes of the cause. Travels beside the response, to
/// be logged once, with the request's id.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

impl Cause {
    fn of(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Self(text)
    }
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            status,
            kind,
            message: message.into(),
            param: None,
            code: None,
            cause: None,
            headers: Vec::new(),
            errors: Vec::new(),
            is_gateways: false,
            is_repeated: false,
        }))
    }

    /// 400: the request can not be carried out as it is.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message)
    }

    /// 401: no key, or a wrong one.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, INVALID_REQUEST, message)
    }

    /// 403: it is there, but nobody may do that with it.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, INVALID_REQUEST, message)
    }

    /// 409: what is to be made is there already.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, INVALID_REQUEST, message)
    }

    /// 404: whatever was asked for is not there.
    pub fn missing(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, message)
    }

    /// 405. The router adds `Allow` where it knows a path's methods.
    pub fn method_not_allowed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, message)
            .code("method_not_supported")
    }

    /// 405 for a method that no path has; `allow` are those that paths may have.
    pub fn never_allowed(method: &Method, allow: &str) -> Self {
        let mut error = Self::method_not_allowed(format!("Not allowed to {method} anything."));
        error.0.headers = vec![("allow", allow.to_owned())];
        error
    }

    /// 408: the body did not come in time.
    pub fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            INVALID_REQUEST,
            "The body of your request did not arrive in time.",
        )
    }

    /// 413: the body is larger than `limit` bytes.
    pub fn body_too_large(limit: u64) -> Self {
        let message = format!("The body of your request is too large: the limit is {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, message)
    }

    /// 415: the body is something else than JSON.
    pub fn unsupported_content_type(got: &str) -> Self {
        let message = format!(
            "Unsupported content type: '{got}'. This API method only accepts 'application/json' \
             requests, but you specified the header 'Content-Type: {got}'. Please try again with \
             a supported content type."
        );
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, message)
            .code("unsupported_content_type")
    }

    /// 429: more at once than is allowed.
    pub fn too_many_requests(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "requests", message).code("rate_limit_exceeded")
    }

    /// 403: the key does not allow it. Portkey's clients read `data`, OpenAI's `error`.
    pub fn missing_scope(scope: loomgate_domain::Scope) -> Self {
        Self::forbidden(format!(
            "You do not have enough permissions to execute this request: your API key lacks the \
             scope '{}'.",
            scope.as_str()
        ))
        .code("AB03")
    }

    /// 412 or 429: a limit of the key.
    pub fn refused(refusal: &loomgate_gateway::meter::Refusal) -> Self {
        let (kind, code) = match refusal.status() {
            412 => ("insufficient_quota", "usage_limit_exceeded"),
            _ => ("requests", "rate_limit_exceeded"),
        };
        let status =
            StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let mut error = Self::new(status, kind, refusal.message())
            .code(code)
            .of_gateway();
        error.0.headers = refusal.headers();
        error
    }

    /// 400: a config that makes no sense, with all that is wrong in it.
    pub fn config(invalid: &loomgate_gateway::config::Invalid) -> Self {
        let mut error = Self::invalid(invalid.message.clone())
            .param("x-portkey-config")
            .code("invalid_config");
        error.0.errors.clone_from(&invalid.errors);
        error
    }

    /// 431: a head of more bytes than the server takes.
    pub fn head_too_large() -> Self {
        Self::refused_head(format!(
            "The head of your request is too large: the limit is {HEAD_BYTES} bytes."
        ))
    }

    /// 431: a head of more lines than the server takes.
    pub fn too_many_headers() -> Self {
        Self::refused_head(format!(
            "Your request has too many headers: the limit is {MOST_HEADERS}."
        ))
    }

    fn refused_head(message: String) -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, INVALID_REQUEST, message)
    }

    /// 500 with the fixed text; the cause is logged with the request's id.
    pub fn internal(cause: &dyn StdError) -> Self {
        let mut error = Self::internal_logged();
        error.0.cause = Some(Cause::of(cause));
        error
    }

    /// 500 whose cause is in the log already.
    pub fn internal_logged() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            SERVER_ERROR,
        )
    }

    /// 502: a provider did not do its part. The message tells no header and no key of it.
    pub fn upstream(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "server_error", message)
    }

    /// 504: a provider did not answer in time.
    pub fn upstream_timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", message)
    }

    /// 503: not ready, or stopping.
    pub fn unavailable(cause: &dyn StdError) -> Self {
        let message = "The server is not able to take your request at the moment. Please retry.";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
        error.0.cause = Some(Cause::of(cause));
        error
    }

    /// 503: the process stops before what was asked for could be done. Another takes it.
    pub fn stopping() -> Self {
        let message = "The server is shutting down, and your request was not carried out: retry.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message).code("shutting_down")
    }

    /// 503: the process only carries runs out.
    pub fn of_worker() -> Self {
        let message = "This process only carries runs out (role \"worker\"): send requests to one \
                       whose role is \"api\" or \"all\".";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message).code("worker_only")
    }

    /// 503: the disk of the database is full, or takes no writes.
    fn no_room(cause: &dyn StdError) -> Self {
        let message = "The server's disk takes no more data, so your request was not carried out, and \
                       nothing was changed. Whoever runs the server has to make room.";
        let mut error = Self::unavailable(cause).code("storage_full");
        error.0.message = Cow::Borrowed(message);
        error
    }

    /// 503, which no client sees: the idempotency layer answers from the receipt instead.
    fn repeated(cause: &dyn StdError) -> Self {
        let mut error = Self::unavailable(cause);
        error.0.is_repeated = true;
        error
    }

    /// The same with a code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    /// The same with the part of the request that it is about.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// The same in the form of the gateway's errors, which Portkey's clients read.
    #[must_use]
    pub fn of_gateway(mut self) -> Self {
        self.0.is_gateways = true;
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its text.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let mut error = Self::invalid(problem.message);
        error.0.param = problem.param.map(Cow::Owned);
        error.0.code = problem.code;
        error
    }
}

impl From<loomgate_store::Error> for ApiError {
    fn from(error: loomgate_store::Error) -> Self {
        use loomgate_store::Error;
        match error {
            Error::NoSuchCursor(cursor) => {
                Self::invalid(format!("No object found with id '{cursor}'."))
            }
            Error::NoSuchFiles(ids) => Self::no_such_files(&ids),
            Error::StoreExpired(store) => Self::expired(&store),
            Error::StoreFull => Self::store_full(),
            // Whoever sends for so long without a sign of life that it is swept tries again, too.
            Error::Unavailable(_) | Error::Interrupted | Error::Swept => Self::unavailable(&error),
            Error::Repeated => Self::repeated(&error),
            Error::Full | Error::ReadOnly => Self::no_room(&error),
            Error::TooManyFiles => Self::too_many_files(),
            Error::UploadClosed(status) => Self::upload_closed(status),
            Error::NoSuchParts(ids) => Self::no_such_parts(&ids),
            Error::DuplicateParts(id) => Self::duplicate_part(&id),
            Error::PartsTooLarge { most } => Self::parts_too_large(most),
            Error::UploadSize { expected, got } => Self::upload_size(expected, got),
            // The engine turns a locked thread into the text that its action calls for.
            Error::ActiveRun { .. }
            | Error::QueueFull
            | Error::Duplicate
            | Error::Connect { .. }
            | Error::OldServer { .. }
            | Error::InUse(_)
            | Error::OlderSchema { .. }
            | Error::Unfinished
            | Error::Missing(_)
            | Error::Locked { .. }
            | Error::NewerSchema { .. }
            | Error::Corrupt { .. }
            | Error::Driver(_) => Self::internal(&error),
        }
    }
}

impl ApiError {
    /// The answer, with a body that `render` makes of the usual one.
    fn respond(self, render: impl FnOnce(&ErrorBody<'_>) -> Vec<u8>) -> Response<Body> {
        let Parts {
            status,
            kind,
            message,
            param,
            code,
            cause,
            headers,
            errors,
            is_gateways,
            is_repeated,
        } = *self.0;
        let mut body = ErrorBody::new(&message, kind);
        body.error.param = param.as_deref();
        body.error.code = code;
        body.errors = &errors;
        if is_gateways {
            body.status = Some("failure");
            body.message = Some(&message);
        }
        let mut response = Response::new(Body::from(render(&body)));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if status == StatusCode::PAYLOAD_TOO_LARGE || status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body is not read, so the connection can not be used again.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        }
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        if is_repeated {
            response.extensions_mut().insert(Repeated);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        // Strings alone can not fail to become JSON.
        self.respond(|body| serde_json::to_vec(body).unwrap_or_default())
    }
}
