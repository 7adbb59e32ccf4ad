//! All operations of this release.

use super::{
    operation::{
        Answer::{Bytes, Json, Open, Stream, Streamable, Text},
        Operation,
    },
    parameter::Query::{Files, Include, Page, Place, Run as RunId, Status},
};
use crate::{
    object::{
        assistant, deleted, file, list, message, model, run, step, thread, upload, vector_store,
    },
    request::{
        CompleteUpload, CreateAssistant, CreateFileBatch, CreateMessage, CreateRun, CreateThread,
        CreateThreadAndRun, CreateUpload, CreateVectorStore, CreateVectorStoreFile,
        ModifyAssistant, ModifyMessage, ModifyRun, ModifyThread, ModifyVectorStore,
        ModifyVectorStoreFile, Request, SearchVectorStore, SubmitToolOutputs,
        file::{FILE_FORM, PART_FORM},
    },
    shape::{Field, STRING, Shape, object},
};

/// Groups of operations.
pub(super) const TAGS: [(&str, &str); 9] = [
    ("Assistants", "A model with instructions and tools."),
    ("Threads", "Conversations."),
    ("Messages", "What is said in a thread."),
    ("Runs", "An assistant at work on a thread."),
    ("Files", "What tools and messages may use."),
    ("Uploads", "Large files, in parts."),
    ("Vector stores", "Files that can be searched."),
    ("Models", "What runs can use."),
    ("Server", "The server itself."),
];

static STATUS: Shape = object(
    "Status",
    "How the server is.",
    &[Field::required(
        "status",
        &STRING,
        "`ok`, or what is wrong.",
    )],
);

const BLANK: Operation = Operation {
    method: "get",
    path: "/",
    id: "",
    summary: "",
    tag: "Server",
    query: &[],
    body: None,
    is_form: false,
    answer: Open(&STATUS),
    calls_model: false,
};

const ASSISTANT: Operation = Operation {
    tag: "Assistants",
    ..BLANK
};
const THREAD: Operation = Operation {
    tag: "Threads",
    ..BLANK
};
const MESSAGE: Operation = Operation {
    tag: "Messages",
    ..BLANK
};
const RUN: Operation = Operation {
    tag: "Runs",
    ..BLANK
};
const VECTOR_STORE: Operation = Operation {
    tag: "Vector stores",
    ..BLANK
};

const FILE: Operation = Operation {
    tag: "Files",
    ..BLANK
};
const UPLOAD: Operation = Operation {
    method: "post",
    tag: "Uploads",
    answer: Json(&upload::SHAPE),
    ..BLANK
};

/// In the order of the document.
pub(super) static OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/assistants",
        id: "listAssistants",
        summary: "List assistants.",
        query: &[Page],
        answer: Json(&list::ASSISTANTS),
        ..ASSISTANT
    },
    Operation {
        method: "post",
        path: "/v1/assistants",
        id: "createAssistant",
        summary: "Create an assistant.",
        body: Some(CreateAssistant::shape),
        answer: Json(&assistant::SHAPE),
        ..ASSISTANT
    },
    Operation {
        path: "/v1/assistants/{assistant_id}",
        id: "getAssistant",
        summary: "Get an assistant.",
        answer: Json(&assistant::SHAPE),
        ..ASSISTANT
    },
    Operation {
        method: "post",
        path: "/v1/assistants/{assistant_id}",
        id: "modifyAssistant",
        summary: "Change an assistant.",
        body: Some(ModifyAssistant::shape),
        answer: Json(&assistant::SHAPE),
        ..ASSISTANT
    },
    Operation {
        method: "delete",
        path: "/v1/assistants/{assistant_id}",
        id: "deleteAssistant",
        summary: "Delete an assistant.",
        answer: Json(&deleted::ASSISTANT),
        ..ASSISTANT
    },
    Operation {
        method: "post",
        path: "/v1/threads",
        id: "createThread",
        summary: "Create a thread.",
        body: Some(CreateThread::shape),
        answer: Json(&thread::SHAPE),
        ..THREAD
    },
    Operation {
        path: "/v1/threads/{thread_id}",
        id: "getThread",
        summary: "Get a thread.",
        answer: Json(&thread::SHAPE),
        ..THREAD
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}",
        id: "modifyThread",
        summary: "Change a thread.",
        body: Some(ModifyThread::shape),
        answer: Json(&thread::SHAPE),
        ..THREAD
    },
    Operation {
        method: "delete",
        path: "/v1/threads/{thread_id}",
        id: "deleteThread",
        summary: "Delete a thread and all that is in it.",
        answer: Json(&deleted::THREAD),
        ..THREAD
    },
    Operation {
        path: "/v1/threads/{thread_id}/messages",
        id: "listMessages",
        summary: "List the messages of a thread.",
        query: &[Page, RunId],
        answer: Json(&list::MESSAGES),
        ..MESSAGE
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/messages",
        id: "createMessage",
        summary: "Add a message to a thread.",
        body: Some(CreateMessage::shape),
        answer: Json(&message::SHAPE),
        ..MESSAGE
    },
    Operation {
        path: "/v1/threads/{thread_id}/messages/{message_id}",
        id: "getMessage",
        summary: "Get a message.",
        answer: Json(&message::SHAPE),
        ..MESSAGE
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/messages/{message_id}",
        id: "modifyMessage",
        summary: "Change a message's metadata.",
        body: Some(ModifyMessage::shape),
        answer: Json(&message::SHAPE),
        ..MESSAGE
    },
    Operation {
        method: "delete",
        path: "/v1/threads/{thread_id}/messages/{message_id}",
        id: "deleteMessage",
        summary: "Delete a message.",
        answer: Json(&deleted::MESSAGE),
        ..MESSAGE
    },
    Operation {
        method: "post",
        path: "/v1/threads/runs",
        id: "createThreadAndRun",
        summary: "Create a thread and a run on it.",
        body: Some(CreateThreadAndRun::shape),
        answer: Streamable(&run::SHAPE),
        calls_model: true,
        ..RUN
    },
    Operation {
        path: "/v1/threads/{thread_id}/runs",
        id: "listRuns",
        summary: "List the runs of a thread.",
        query: &[Page],
        answer: Json(&list::RUNS),
        ..RUN
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/runs",
        id: "createRun",
        summary: "Create a run on a thread.",
        query: &[Include],
        body: Some(CreateRun::shape),
        answer: Streamable(&run::SHAPE),
        calls_model: true,
        ..RUN
    },
    Operation {
        path: "/v1/threads/{thread_id}/runs/{run_id}",
        id: "getRun",
        summary: "Get a run.",
        answer: Json(&run::SHAPE),
        ..RUN
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/runs/{run_id}",
        id: "modifyRun",
        summary: "Change a run's metadata, whatever its status.",
        body: Some(ModifyRun::shape),
        answer: Json(&run::SHAPE),
        ..RUN
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/runs/{run_id}/cancel",
        id: "cancelRun",
        summary: "Ask a run to stop.",
        answer: Json(&run::SHAPE),
        ..RUN
    },
    Operation {
        method: "post",
        path: "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        id: "submitToolOuputsToRun",
        summary: "Answer the function calls that a run waits for.",
        body: Some(SubmitToolOutputs::shape),
        answer: Streamable(&run::SHAPE),
        ..RUN
    },
    Operation {
        path: "/v1/threads/{thread_id}/runs/{run_id}/stream",
        id: "streamRun",
        summary: "Open a run's stream again: its newest leg, or what came after an event.",
        query: &[Place],
        answer: Stream,
        ..RUN
    },
    Operation {
        path: "/v1/threads/{thread_id}/runs/{run_id}/steps",
        id: "listRunSteps",
        summary: "List the steps of a run.",
        query: &[Page, Include],
        answer: Json(&list::STEPS),
        ..RUN
    },
    Operation {
        path: "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
        id: "getRunStep",
        summary: "Get a run step.",
        query: &[Include],
        answer: Json(&step::SHAPE),
        ..RUN
    },
    Operation {
        path: "/v1/files",
        id: "listFiles",
        summary: "List files.",
        query: &[Files],
        answer: Json(&list::FILES),
        ..FILE
    },
    Operation {
        method: "post",
        path: "/v1/files",
        id: "createFile",
        summary: "Upload a file.",
        body: Some(|| &FILE_FORM),
        is_form: true,
        answer: Json(&file::SHAPE),
        ..FILE
    },
    Operation {
        path: "/v1/files/{file_id}",
        id: "retrieveFile",
        summary: "Get a file, without its bytes.",
        answer: Json(&file::SHAPE),
        ..FILE
    },
    Operation {
        method: "delete",
        path: "/v1/files/{file_id}",
        id: "deleteFile",
        summary: "Delete a file.",
        answer: Json(&deleted::FILE),
        ..FILE
    },
    Operation {
        path: "/v1/files/{file_id}/content",
        id: "downloadFile",
        summary: "Get the bytes of a file.",
        answer: Bytes,
        ..FILE
    },
    Operation {
        path: "/v1/uploads",
        id: "createUpload",
        summary: "Begin an upload in parts.",
        body: Some(CreateUpload::shape),
        ..UPLOAD
    },
    Operation {
        path: "/v1/uploads/{upload_id}/parts",
        id: "addUploadPart",
        summary: "Add a part to an upload.",
        body: Some(|| &PART_FORM),
        is_form: true,
        answer: Json(&upload::PART),
        ..UPLOAD
    },
    Operation {
        path: "/v1/uploads/{upload_id}/complete",
        id: "completeUpload",
        summary: "Make an upload a file.",
        body: Some(CompleteUpload::shape),
        ..UPLOAD
    },
    Operation {
        path: "/v1/uploads/{upload_id}/cancel",
        id: "cancelUpload",
        summary: "Give an upload up.",
        ..UPLOAD
    },
    Operation {
        path: "/v1/vector_stores",
        id: "listVectorStores",
        summary: "List vector stores.",
        query: &[Page],
        answer: Json(&list::VECTOR_STORES),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores",
        id: "createVectorStore",
        summary: "Create a vector store.",
        body: Some(CreateVectorStore::shape),
        answer: Json(&vector_store::SHAPE),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}",
        id: "getVectorStore",
        summary: "Get a vector store.",
        answer: Json(&vector_store::SHAPE),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}",
        id: "modifyVectorStore",
        summary: "Change a vector store.",
        body: Some(ModifyVectorStore::shape),
        answer: Json(&vector_store::SHAPE),
        ..VECTOR_STORE
    },
    Operation {
        method: "delete",
        path: "/v1/vector_stores/{vector_store_id}",
        id: "deleteVectorStore",
        summary: "Delete a vector store; its files stay.",
        answer: Json(&deleted::VECTOR_STORE),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}/search",
        id: "searchVectorStore",
        summary: "Search a vector store.",
        body: Some(SearchVectorStore::shape),
        answer: Json(&vector_store::RESULTS),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}/files",
        id: "listVectorStoreFiles",
        summary: "List the files in a vector store.",
        query: &[Page, Status],
        answer: Json(&list::VECTOR_STORE_FILES),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}/files",
        id: "createVectorStoreFile",
        summary: "Put a file into a vector store.",
        body: Some(CreateVectorStoreFile::shape),
        answer: Json(&vector_store::FILE),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        id: "getVectorStoreFile",
        summary: "Get a file in a vector store.",
        answer: Json(&vector_store::FILE),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        id: "updateVectorStoreFileAttributes",
        summary: "Change what is said of a file in a vector store.",
        body: Some(ModifyVectorStoreFile::shape),
        answer: Json(&vector_store::FILE),
        ..VECTOR_STORE
    },
    Operation {
        method: "delete",
        path: "/v1/vector_stores/{vector_store_id}/files/{file_id}",
        id: "deleteVectorStoreFile",
        summary: "Take a file out of a vector store; the file stays.",
        answer: Json(&deleted::VECTOR_STORE_FILE),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}/files/{file_id}/content",
        id: "retrieveVectorStoreFileContent",
        summary: "Get the text of a file in a vector store.",
        answer: Json(&vector_store::CONTENT),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}/file_batches",
        id: "createVectorStoreFileBatch",
        summary: "Put files into a vector store.",
        body: Some(CreateFileBatch::shape),
        answer: Json(&vector_store::BATCH),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}",
        id: "getVectorStoreFileBatch",
        summary: "Get a batch of files.",
        answer: Json(&vector_store::BATCH),
        ..VECTOR_STORE
    },
    Operation {
        method: "post",
        path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel",
        id: "cancelVectorStoreFileBatch",
        summary: "Stop a batch of files.",
        answer: Json(&vector_store::BATCH),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
        id: "listFilesInVectorStoreBatch",
        summary: "List the files of a batch.",
        query: &[Page, Status],
        answer: Json(&list::VECTOR_STORE_FILES),
        ..VECTOR_STORE
    },
    Operation {
        path: "/v1/models",
        id: "listModels",
        summary: "List the models that runs can use.",
        tag: "Models",
        answer: Json(&model::MODELS),
        ..BLANK
    },
    Operation {
        path: "/v1/models/{model}",
        id: "retrieveModel",
        summary: "Get a model.",
        tag: "Models",
        answer: Json(&model::SHAPE),
        ..BLANK
    },
    Operation {
        path: "/health",
        id: "health",
        summary: "Whether the process is up.",
        ..BLANK
    },
    Operation {
        path: "/ready",
        id: "ready",
        summary: "Whether requests can be served.",
        ..BLANK
    },
    Operation {
        path: "/metrics",
        id: "metrics",
        summary: "Counters, in the Prometheus text format.",
        answer: Text("text/plain"),
        ..BLANK
    },
    Operation {
        path: "/openapi.json",
        id: "openapi",
        summary: "This document.",
        answer: Open(&Shape::AnyObject),
        ..BLANK
    },
];
