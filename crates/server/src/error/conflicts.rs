//! Commands that the state of a thread or run does not allow (contract section 2.3). Always 400:
//! clients repeat a 409 on their own.

use loomgate_domain::{RunId, ThreadId};
use loomgate_engine::{Action, Error};
use loomgate_store::WAITING_MAX;

use super::ApiError;

impl ApiError {
    /// A message for a thread that a run has locked. Clients read the ids out of this text.
    pub fn locked_for_messages(thread: &ThreadId, run: &RunId) -> Self {
        Self::invalid(format!(
            "Can't add messages to {thread} while a run {run} is active."
        ))
    }

    /// A run for a thread that a run has locked. Clients read the ids out of this text.
    pub fn locked_for_runs(thread: &ThreadId, run: &RunId) -> Self {
        Self::invalid(format!("Thread {thread} already has an active run {run}."))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::NoAssistant(id) => Self::not_found(&id),
            Error::NoThread(id) => Self::not_found(&id),
            Error::NoRun(id) => Self::not_found(&id),
            Error::NoEvent(id) => {
                Self::invalid(format!("The run's stream has no event with the id '{id}'."))
            }
            Error::ThreadLocked { thread, run } => Self::locked_for_runs(&thread, &run),
            Error::QueueFull(thread) => Self::invalid(format!(
                "Thread {thread} has {WAITING_MAX} messages and runs waiting for it already: wait \
                 until some of them had their turn, or cancel runs that wait."
            ))
            .code("thread_queue_full"),
            Error::Stopping => Self::stopping(),
            // The quotes differ, as they did in the original.
            Error::WrongStatus { action, status } => Self::invalid(match action {
                Action::Cancel => format!("Cannot cancel run with status '{}'.", status.as_str()),
                Action::SubmitToolOutputs => format!(
                    "Runs in status \"{}\" do not accept tool outputs.",
                    status.as_str()
                ),
            }),
            Error::WrongOutputs { expected, got } => Self::invalid(format!(
                "Expected tool outputs for call_ids {}, got {}",
                list(&expected),
                list(&got)
            )),
            Error::UnsupportedTool(tool) => Self::invalid(format!(
                "The tool '{tool}' is not built yet: the run was not created. docs/status.md \
                 tells what this release has."
            ))
            .param("tools")
            .code("unsupported_tool"),
            Error::UnknownToolChoice(name) => Self::invalid(format!(
                "Invalid value for 'tool_choice': '{name}' is not among the tools of the run."
            ))
            .param("tool_choice")
            .code("invalid_value"),
            Error::Store(error) => error.into(),
        }
    }
}

/// `['call_a', 'call_b']`
fn list(ids: &[loomgate_domain::CallId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("[{}]", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use loomgate_domain::{CallId, run::RunStatus};

    use super::*;

    #[test]
    fn texts_are_those_that_clients_match_on() {
        let calls = |ids: &[&str]| ids.iter().map(|id| CallId::trusted(*id)).collect();
        let thread = ThreadId::trusted("thread_1");
        let run = RunId::trusted("run_1");
        let wrong = |action| Error::WrongStatus {
            action,
            status: RunStatus::Completed,
        };
        for (error, text) in [
            (
                wrong(Action::Cancel),
                "Cannot cancel run with status 'completed'.",
            ),
            (
                wrong(Action::SubmitToolOutputs),
                "Runs in status \"completed\" do not accept tool outputs.",
            ),
            (
                Error::ThreadLocked {
                    thread: thread.clone(),
                    run: run.clone(),
                },
                "Thread thread_1 already has an active run run_1.",
            ),
            (
                Error::WrongOutputs {
                    expected: calls(&["call_a", "call_b"]),
                    got: calls(&["call_a"]),
                },
                "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']",
            ),
            (
                Error::NoThread(thread.clone()),
                "No thread found with id 'thread_1'.",
            ),
        ] {
            assert_eq!(ApiError::from(error).message(), text);
        }
        assert_eq!(
            ApiError::locked_for_messages(&thread, &run).message(),
            "Can't add messages to thread_1 while a run run_1 is active."
        );
    }
}
