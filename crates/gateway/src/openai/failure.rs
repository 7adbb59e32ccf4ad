//! What a provider's refusal says.

use secrecy::SecretString;
use serde_json::Value;

use crate::error::{Error, Who, presentable};

/// What a refusal with this status and body says. `key` is what it must not contain.
pub(crate) fn of_status(status: u16, body: &[u8], key: Option<&SecretString>) -> Error {
    if (300..400).contains(&status) {
        return Error::status(
            status,
            format!("The provider answered with a redirect ({status}), which is not followed."),
        );
    }
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
}
