//! Answers that the gateway gives itself (contract portkey.md section 1, "Error matrix"). They suit
//! every client: OpenAI's read `error`, Portkey's read `status` and `message`.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{Answer, AnswerBody, Report},
    upload::Fault,
};
use crate::{guardrail::HookResult, meter::Refusal};

/// A failure in words that every client finds.
pub(super) fn failure(
    status: u16,
    kind: &str,
    (code, param): (Option<&str>, Option<&str>),
    message: &str,
) -> Answer {
    let body = json!({
        "status": "failure", "message": message,
        "error": {"message": message, "type": kind, "param": param, "code": code},
    });
    answer(status, &body, message)
}

/// 500: this side failed.
pub(super) fn exception(code: Option<&str>, message: &str) -> Answer {
    let mut answer = failure(500, "server_error", (code, None), message);
    answer.report.is_exception = true;
    answer
}

/// 400: what the caller asked for makes no sense.
pub(super) fn invalid(code: Option<&str>, message: &str) -> Answer {
    failure(400, "invalid_request_error", (code, None), message)
}

/// 400 or 413: the caller's body did not come to its end.
pub(super) fn no_body(fault: Fault) -> Answer {
    let (status, message) = match fault {
        Fault::TooLarge(most) => (
            413,
            format!("The body of your request is too large: the limit is {most} bytes."),
        ),
        Fault::BrokeOff => (400, "The body of your request broke off.".to_owned()),
    };
    failure(status, "invalid_request_error", (None, None), &message)
}

/// 408 from the rules of a config, or from the virtual key's patience.
pub(super) fn timed_out(milliseconds: u128) -> Answer {
    let message = format!("Request exceeded the timeout sent in the request: {milliseconds}ms");
    let body = json!({"error": {
        "message": message, "type": "timeout_error", "param": null, "code": null,
    }});
    answer(408, &body, &message)
}

/// 412 or 429: a limit of the virtual key.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let message = refusal.message();
    let (kind, code) = match refusal.status() {
        412 => ("insufficient_quota", "usage_limit_exceeded"),
        _ => ("rate_limit_error", "rate_limit_exceeded"),
    };
    let mut answer = failure(refusal.status(), kind, (Some(code), None), &message);
    for (name, value) in refusal.headers() {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers.insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// 446: a guardrail said no.
pub(super) fn denied(before: &[HookResult], after: &[HookResult]) -> Answer {
    let message = "The guardrail checks defined in the config failed. You can find more \
                   information in the `hook_results` object.";
    let body = json!({
        "error": {"message": message, "type": "hooks_failed", "param": null, "code": null},
        "hook_results": {"before_request_hooks": before, "after_request_hooks": after},
    });
    answer(446, &body, message)
}

fn answer(status: u16, body: &Value, error: &str) -> Answer {
    let json = HeaderValue::from_static("application/json");
    Answer {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
        body: AnswerBody::Whole(body.to_string().into()),
        report: Report {
            error: Some(error.to_owned()),
            ..Report::new()
        },
    }
}
