//! All operations of this release.

use super::{
    operation::{
        Answer::{Json, Open, Stream, Streamable, Text},
        Operation,
    },
    parameter::Query::{Include, Page, Place, Run as RunId},
};
use crate::{
    object::{assistant, deleted, list, message, model, run, step, thread},
    request::{
        CreateAssistant, CreateMessage, CreateRun, CreateThread, CreateThreadAndRun,
        ModifyAssistant, ModifyMessage, ModifyRun, ModifyThread, Request, SubmitToolOutputs,
    },
    shape::{Field, STRING, Shape, object},
};

/// Groups of operations.
pub(super) const TAGS: [(&str, &str); 6] = [
    ("Assistants", "A model with instructions and tools."),
    ("Threads", "Conversations."),
    ("Messages", "What is said in a thread."),
    ("Runs", "An assistant at work on a thread."),
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
