//! What a run says when its model turn went wrong (contract section 2.5).

use loomgate_domain::{
    VectorStoreId,
    message::IncompleteReason,
    run::{ErrorCode, Failure, LastError},
};

use crate::model::{ModelError, ModelErrorKind};

/// The failure of a run whose model turn ended in `error`.
pub(crate) fn of_model(error: &ModelError) -> Failure {
    let detail = error.message.trim();
    let with = |sentence: &str| match detail {
        "" => sentence.to_owned(),
        detail => format!("{sentence} {detail}"),
    };
    let (code, message) = match error.kind {
        ModelErrorKind::InvalidRequest => (
            ErrorCode::InvalidPrompt,
            with("The model provider refused the request."),
        ),
        ModelErrorKind::Unauthorized => (
            ErrorCode::ServerError,
            with("The model provider refused the credential of this virtual key."),
        ),
        ModelErrorKind::RateLimited => (
            ErrorCode::RateLimitExceeded,
            match detail {
                "" => "The model provider's rate limit was reached.".to_owned(),
                detail => detail.to_owned(),
            },
        ),
        ModelErrorKind::Denied => (
            ErrorCode::InvalidPrompt,
            match detail {
                "" => "A guardrail denied the request.".to_owned(),
                detail => detail.to_owned(),
            },
        ),
        ModelErrorKind::Server => (
            ErrorCode::ServerError,
            with("Sorry, something went wrong at the model provider."),
        ),
        ModelErrorKind::Timeout => (
            ErrorCode::ServerError,
            with("The model provider did not answer in time."),
        ),
        ModelErrorKind::Unreachable => (
            ErrorCode::ServerError,
            with("The model provider could not be reached."),
        ),
        ModelErrorKind::Broken => (
            ErrorCode::ServerError,
            with("The model's answer broke off, more than once."),
        ),
        ModelErrorKind::Misconfigured => (
            ErrorCode::ServerError,
            with("There is no way to a model for this run."),
        ),
    };
    failed(code, message)
}

/// The provider's filter stopped the answer.
pub(crate) fn content_filter() -> Failure {
    Failure {
        message_reason: IncompleteReason::ContentFilter,
        ..failed(
            ErrorCode::ServerError,
            "The model's answer was stopped by the provider's content filter.".to_owned(),
        )
    }
}

/// The thread's vector store can not be searched any more.
pub(crate) fn expired_store(store: &VectorStoreId) -> Failure {
    failed(
        ErrorCode::ServerError,
        format!(
            "Vector store '{store}' has expired. Attach the files again, or give the thread another one."
        ),
    )
}

/// Something broke on our side; the cause is in the log.
pub(crate) fn internal() -> Failure {
    failed(
        ErrorCode::ServerError,
        "Sorry, something went wrong.".to_owned(),
    )
}

fn failed(code: ErrorCode, message: String) -> Failure {
    Failure {
        error: LastError { code, message },
        message_reason: IncompleteReason::RunFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_faults_are_told_apart() {
        let kinds = [
            ModelErrorKind::InvalidRequest,
            ModelErrorKind::Unauthorized,
            ModelErrorKind::RateLimited,
            ModelErrorKind::Denied,
            ModelErrorKind::Server,
            ModelErrorKind::Timeout,
            ModelErrorKind::Unreachable,
            ModelErrorKind::Broken,
            ModelErrorKind::Misconfigured,
        ];
        let says = |kind| {
            of_model(&ModelError {
                kind,
                message: String::new(),
            })
            .error
        };
        for (n, kind) in kinds.iter().enumerate() {
            for other in &kinds[n + 1..] {
                assert_ne!(says(*kind).message, says(*other).message);
            }
        }
        assert_eq!(
            says(ModelErrorKind::InvalidRequest).code,
            ErrorCode::InvalidPrompt
        );
        assert_eq!(
            says(ModelErrorKind::RateLimited).code,
            ErrorCode::RateLimitExceeded
        );
    }

    #[test]
    fn the_providers_words_are_kept() {
        let failure = of_model(&ModelError {
            kind: ModelErrorKind::RateLimited,
            message: "You exceeded your current quota.".to_owned(),
        });
        assert_eq!(failure.error.message, "You exceeded your current quota.");
    }
}
