//! What a provider's refusal says.

use std::time::Duration;

use reqwest::{Response, header::HeaderMap};
use secrecy::SecretString;
use serde_json::Value;

use super::body;
use crate::error::{Error, Failure, Who, presentable};

/// The most bytes of an error body that are read.
const BODY_BYTES: usize = 64 * 1024;

/// A response whose status is no success.
pub(super) async fn of_response(
    response: Response,
    key: Option<&SecretString>,
    idle: Duration,
) -> Failure {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let error = if response.status().is_redirection() {
        Error::status(
            status,
            format!("The provider answered with a redirect ({status}), which is not followed."),
        )
    } else {
        // A body that cannot be read takes nothing from what the status says.
        let body = body::whole(response, BODY_BYTES, idle)
            .await
            .unwrap_or_default();
        of_status(status, &body, key)
    };
    Failure { error, retry_after }
}

fn of_status(status: u16, body: &[u8], key: Option<&SecretString>) -> Error {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let message = message(&body).map_or_else(
        || format!("The provider answered with status {status}."),
        |message| presentable(&message, key),
    );
    let mut error = Error::status(status, message);
    // The account is empty: nothing will change within seconds.
    if body["error"]["code"] == "insufficient_quota" {
        error.retryable = false;
    }
    error
}

/// An error where an answer should be: in a stream, or in a body of status 200.
pub(super) fn of_embedded(body: &Value, key: Option<&SecretString>) -> Error {
    let detail = &body["error"];
    let text = message(body).unwrap_or_else(|| "The provider reported an error.".to_owned());
    let message = presentable(&text, key);
    let status = [&detail["code"], &detail["status"], &body["code"]]
        .into_iter()
        .find_map(|status| match status {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        })
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (400..600).contains(status));
    if let Some(status) = status {
        return Error::status(status, message);
    }
    let final_kind = [
        "invalid_request_error",
        "authentication_error",
        "permission_error",
    ]
    .into_iter()
    .any(|kind| detail["type"] == kind);
    Error::new(Who::Upstream, !final_kind, message)
}

/// The message, in the shapes that servers give it.
fn message(body: &Value) -> Option<String> {
    [
        &body["error"]["message"],
        &body["error"],
        &body["message"],
        &body["detail"],
    ]
    .into_iter()
    .find_map(Value::as_str)
    .map(str::to_owned)
    // A list of what is wrong with which field.
    .or_else(|| {
        body["detail"]
            .is_array()
            .then(|| body["detail"].to_string())
    })
    .filter(|message| !message.trim().is_empty())
}

/// How long to wait: `retry-after-ms`, or `retry-after` in seconds. The form with a date is not
/// read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name, unit: f64| {
        let text = headers.get(name)?.to_str().ok()?;
        let seconds = text.trim().parse::<f64>().ok()? * unit;
        Duration::try_from_secs_f64(seconds).ok()
    };
    number("retry-after-ms", 0.001).or_else(|| number("retry-after", 1.0))
}

/// A request that got no response.
pub(super) fn of_transport(error: reqwest::Error) -> Error {
    let who = if error.is_timeout() {
        Who::Timeout
    } else if error.is_builder() {
        Who::Local
    } else {
        Who::Network
    };
    let what = match who {
        Who::Local => "The request to the provider could not be made",
        _ if error.is_connect() => "The provider could not be reached",
        _ => "The connection to the provider broke",
    };
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Error::new(who, who != Who::Local, format!("{what}: {cause}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(body: &Value) -> String {
        of_status(500, body.to_string().as_bytes(), None).message
    }

    #[test]
    fn messages_are_found_in_every_usual_shape() {
        assert_eq!(shown(&json!({"error": {"message": "a"}})), "a");
        assert_eq!(shown(&json!({"error": "b"})), "b");
        assert_eq!(shown(&json!({"object": "error", "message": "c"})), "c");
        assert_eq!(shown(&json!({"detail": "d"})), "d");
        assert_eq!(
            shown(&json!({"detail": [{"msg": "e"}]})),
            r#"[{"msg":"e"}]"#
        );
        let none = "The provider answered with status 500.";
        assert_eq!(shown(&json!({"error": {"message": ""}})), none);
        assert_eq!(shown(&json!([])), none);
        assert_eq!(of_status(500, b"<html>", None).message, none);
    }

    #[test]
    fn an_empty_account_is_no_passing_fault() {
        let body = json!({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}});
        assert!(!of_status(429, body.to_string().as_bytes(), None).retryable);
        assert!(of_status(429, b"{}", None).retryable);
    }

    #[test]
    fn embedded_errors_are_told_apart() {
        let error = |detail| of_embedded(&json!({ "error": detail }), None);
        let busy = error(json!({"message": "busy", "code": 503}));
        assert_eq!((busy.status, busy.retryable), (Some(503), true));
        let wrong = error(json!({"message": "wrong", "code": "400"}));
        assert_eq!((wrong.status, wrong.retryable), (Some(400), false));
        let server = error(json!({"message": "oops", "type": "server_error", "code": null}));
        assert_eq!((server.status, server.retryable), (None, true));
        let request = error(json!({"message": "no", "type": "invalid_request_error"}));
        assert_eq!((request.status, request.retryable), (None, false));
        assert_eq!(error(json!({})).message, "The provider reported an error.");
    }

    #[test]
    fn retry_after_is_read_in_both_units() {
        let read = |name: &'static str, value: &'static str| {
            retry_after(&HeaderMap::from_iter([(
                name.parse().unwrap(),
                value.parse().unwrap(),
            )]))
        };
        assert_eq!(
            read("retry-after-ms", "250"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(
            read("retry-after", "1.5"),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(read("retry-after", "-1"), None);
        assert_eq!(read("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
