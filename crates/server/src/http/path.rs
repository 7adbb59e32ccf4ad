//! The ids in a path, checked by their prefixes before anything is looked up (contract section
//! 2.2).

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use loomgate_domain::{
    AssistantId, FileBatchId, FileId, Id, IdKind, MessageId, RunId, StepId, ThreadId, UploadId,
    VectorStoreId,
};

use crate::{App, error::ApiError};

/// `/assistants/{assistant_id}`
pub struct AssistantPath {
    /// The assistant.
    pub assistant: AssistantId,
}

/// `/threads/{thread_id}`
pub struct ThreadPath {
    /// The thread.
    pub thread: ThreadId,
}

/// `/threads/{thread_id}/messages/{message_id}`
pub struct MessagePath {
    /// The thread.
    pub thread: ThreadId,
    /// The message.
    pub message: MessageId,
}

/// `/threads/{thread_id}/runs/{run_id}`
pub struct RunPath {
    /// The thread.
    pub thread: ThreadId,
    /// The run.
    pub run: RunId,
}

/// `/threads/{thread_id}/runs/{run_id}/steps/{step_id}`
pub struct StepPath {
    /// The thread.
    pub thread: ThreadId,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
}

/// `/files/{file_id}`. Any text is taken: what does not look like an id is not found either.
pub struct FilePath {
    /// The file.
    pub file: FileId,
}

/// `/uploads/{upload_id}`
pub struct UploadPath {
    /// The upload.
    pub upload: UploadId,
}

impl FromRequestParts<App> for FilePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|error| ApiError::bad_path(&error.to_string()))?;
        let file = Id::trusted(text(&params, "file_id"));
        Ok(Self { file })
    }
}

/// `/vector_stores/{vector_store_id}`
pub struct VectorStorePath {
    /// The store.
    pub store: VectorStoreId,
}

/// `/vector_stores/{vector_store_id}/files/{file_id}`
pub struct VectorStoreFilePath {
    /// The store.
    pub store: VectorStoreId,
    /// The file in it.
    pub file: FileId,
}

/// `/vector_stores/{vector_store_id}/file_batches/{batch_id}`
pub struct FileBatchPath {
    /// The store.
    pub store: VectorStoreId,
    /// The batch.
    pub batch: FileBatchId,
}

macro_rules! path {
    ($path:ident { $($field:ident : $name:literal),+ }) => {
        impl FromRequestParts<App> for $path {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
                let params = RawPathParams::from_request_parts(parts, app)
                    .await
                    .map_err(|error| ApiError::bad_path(&error.to_string()))?;
                Ok(Self { $($field: id(&params, $name)?),+ })
            }
        }
    };
}

path!(AssistantPath {
    assistant: "assistant_id"
});
path!(ThreadPath {
    thread: "thread_id"
});
path!(MessagePath {
    thread: "thread_id",
    message: "message_id"
});
path!(UploadPath {
    upload: "upload_id"
});
path!(RunPath {
    thread: "thread_id",
    run: "run_id"
});
path!(StepPath {
    thread: "thread_id",
    run: "run_id",
    step: "step_id"
});
path!(VectorStorePath {
    store: "vector_store_id"
});
path!(VectorStoreFilePath {
    store: "vector_store_id",
    file: "file_id"
});
path!(FileBatchPath {
    store: "vector_store_id",
    batch: "batch_id"
});

fn id<K: IdKind>(params: &RawPathParams, name: &'static str) -> Result<Id<K>, ApiError> {
    let text = text(params, name);
    Id::parse(text).map_err(|error| ApiError::invalid_id(name, text, error.expected))
}

fn text<'a>(params: &'a RawPathParams, name: &str) -> &'a str {
    let mut found = params.iter().filter(|(known, _)| *known == name);
    found.next().map_or("", |(_, text)| text)
}
