//! Why a command was not carried out, named for what the client is told.

use loomgate_domain::{
    AssistantId, CallId, RunId, ThreadId,
    run::{EventId, RunStatus},
};

/// A command that was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such assistant in the workspace.
    #[error("no assistant {0}")]
    NoAssistant(AssistantId),
    /// There is no such thread in the workspace.
    #[error("no thread {0}")]
    NoThread(ThreadId),
    /// There is no such run on the thread.
    #[error("no run {0}")]
    NoRun(RunId),
    /// No such event was told of the run.
    #[error("no event {0}")]
    NoEvent(EventId),
    /// Another run is active on the thread.
    #[error("thread {thread} is locked by {run}")]
    ThreadLocked {
        /// The thread.
        thread: ThreadId,
        /// The run that locks it.
        run: RunId,
    },
    /// As much waits for the thread as may.
    #[error("too much waits for thread {0}")]
    QueueFull(ThreadId),
    /// This process is about to stop.
    #[error("the server is shutting down")]
    Stopping,
    /// The run's status does not allow it.
    #[error("a run with status {status:?} does not allow {action:?}")]
    WrongStatus {
        /// What was asked for.
        action: Action,
        /// How the run stands.
        status: RunStatus,
    },
    /// The outputs are not those of the pending calls.
    #[error("outputs do not match the pending calls")]
    WrongOutputs {
        /// The pending calls.
        expected: Vec<CallId>,
        /// The calls that outputs came for.
        got: Vec<CallId>,
    },
    /// The run would need a tool that this release does not have.
    #[error("tool {0} is not built yet")]
    UnsupportedTool(&'static str),
    /// `tool_choice` names a tool that the run does not have.
    #[error("tool choice names {0}, which is not among the tools")]
    UnknownToolChoice(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] loomgate_store::Error),
}

/// What a client asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To cancel it.
    Cancel,
    /// To take tool outputs.
    SubmitToolOutputs,
}
