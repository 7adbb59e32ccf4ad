//! Errors of the admin API: Portkey's form and the usual one in one body, so that clients of both
//! kinds can read them (contract portkey.md section 1).

use axum::{
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use loomgate_wire::error::ErrorDetail;
use serde::Serialize;

use super::ApiError;

/// The documented text of every 403; the reason stands in `error.message`.
const NO_PERMISSION: &str = "You do not have enough permissions to execute this request";

/// `{"success":false,"data":{"message","errorCode"},"error":{"message","type","param","code"}}` and
/// its status.
#[derive(Debug)]
pub struct AdminError(ApiError);

impl AdminError {
    /// What was wrong, in whole sentences.
    pub(crate) fn message(&self) -> &str {
        self.0.message()
    }
}

impl<E: Into<ApiError>> From<E> for AdminError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
struct AdminBody<'a> {
    success: bool,
    data: AdminData<'a>,
    error: &'a ErrorDetail<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminData<'a> {
    message: &'a str,
    error_code: &'static str,
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response<Body> {
        let status = self.0.status();
        self.0.respond(|body| {
            let message = if status == StatusCode::FORBIDDEN {
                NO_PERMISSION
            } else {
                body.error.message
            };
            let body = AdminBody {
                success: false,
                data: AdminData {
                    message,
                    error_code: code(status),
                },
                error: &body.error,
            };
            // Strings alone can not fail to become JSON.
            serde_json::to_vec(&body).unwrap_or_default()
        })
    }
}

/// Portkey's code for a status.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "AB05",
        StatusCode::FORBIDDEN => "AB03",
        StatusCode::NOT_FOUND => "AB08",
        StatusCode::CONFLICT => "AB07",
        StatusCode::TOO_MANY_REQUESTS => "AB06",
        status if status.is_server_error() => "AB04",
        _ => "AB01",
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(error: ApiError) -> (u16, String) {
        let response = AdminError::from(error).into_response();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn both_forms_are_in_one_body() {
        let error = ApiError::invalid("no good").param("name");
        let expected = r#"{"success":false,"data":{"message":"no good","errorCode":"AB01"},"error":{"message":"no good","type":"invalid_request_error","param":"name","code":null}}"#;
        assert_eq!(body(error).await, (400, expected.to_owned()));
    }

    #[tokio::test]
    async fn a_403_has_the_documented_text_and_its_reason() {
        let (status, body) = body(ApiError::forbidden("because")).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 403);
        assert_eq!(body["data"]["message"], NO_PERMISSION);
        assert_eq!(body["data"]["errorCode"], "AB03");
        assert_eq!(body["error"]["message"], "because");
    }

    #[tokio::test]
    async fn every_status_has_its_code() {
        for (error, status, code) in [
            (ApiError::unauthorized("x"), 401, "AB05"),
            (ApiError::missing("x"), 404, "AB08"),
            (ApiError::conflict("x"), 409, "AB07"),
            (ApiError::too_many_requests("x"), 429, "AB06"),
            (ApiError::internal_logged(), 500, "AB04"),
            (ApiError::body_too_large(1), 413, "AB01"),
        ] {
            let (got, body) = body(error).await;
            assert_eq!(got, status);
            assert!(body.contains(code), "{body}");
        }
    }
}
