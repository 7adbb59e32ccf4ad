//! The `OpenAI-Beta` header (contract section 2.1). Without one the request is served; whoever
//! asks for something else than version 2 of the Assistants API is told.

use axum::http::{HeaderName, request::Parts};

use crate::error::ApiError;

const HEADER: HeaderName = HeaderName::from_static("openai-beta");
const ASSISTANTS: &str = "assistants";
const VERSION: &str = "v2";

/// Looks at requests under `/v1/assistants` and `/v1/threads`; others may say what they like.
pub(crate) fn check(parts: &Parts) -> Result<(), ApiError> {
    let path = parts.uri.path();
    if !["/v1/assistants", "/v1/threads"]
        .iter()
        .any(|root| path.starts_with(root))
    {
        return Ok(());
    }
    let mut problem = None;
    for value in parts.headers.get_all(HEADER) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for token in value
            .split(',')
            .map(str::trim)
            .filter(|token| !token.is_empty())
        {
            match token.split_once('=') {
                Some((ASSISTANTS, VERSION)) => return Ok(()),
                Some((ASSISTANTS, _)) => problem.get_or_insert_with(other_version),
                Some((feature, _)) => problem.get_or_insert_with(|| unknown(feature)),
                None => problem.get_or_insert_with(|| malformed(token)),
            };
        }
    }
    problem.map_or(Ok(()), Err)
}

fn other_version() -> ApiError {
    invalid(
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again \
         by setting the header 'OpenAI-Beta: assistants=v2'."
            .to_owned(),
    )
}

fn unknown(feature: &str) -> ApiError {
    invalid(format!("Unknown beta requested: '{feature}'."))
}

fn malformed(token: &str) -> ApiError {
    invalid(format!(
        "Invalid beta header provided: '{token}'. The header should be in the format \
         'OpenAI-Beta: example_beta=v1'."
    ))
}

fn invalid(message: String) -> ApiError {
    ApiError::invalid(message).code("invalid_beta")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn checked(path: &str, headers: &[&str]) -> Option<String> {
        let mut request = Request::get(path);
        for value in headers {
            request = request.header(HEADER, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts).err().map(|error| error.message().to_owned())
    }

    #[test]
    fn version_2_and_nothing_are_accepted() {
        for headers in [
            &[][..],
            &[""],
            &["assistants=v2"],
            &["realtime=v1, assistants=v2"],
            &["realtime=v1", "assistants=v2"],
            &["v1,assistants=v2"],
        ] {
            assert_eq!(
                checked("/v1/threads/thread_1", headers),
                None,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn other_betas_are_named() {
        let message = |value| checked("/v1/assistants", &[value]).unwrap();
        assert!(message("assistants=v1").contains("'OpenAI-Beta: assistants=v2'"));
        assert_eq!(
            message("vector_stores=v1"),
            "Unknown beta requested: 'vector_stores'."
        );
        assert!(message("v1").starts_with("Invalid beta header provided: 'v1'. The header"));
    }

    #[test]
    fn only_the_assistants_api_has_a_beta() {
        assert_eq!(checked("/v1/models", &["assistants=v1"]), None);
        assert_eq!(checked("/health", &["v1"]), None);
    }
}
