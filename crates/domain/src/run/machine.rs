//! The run state machine: `step(state, now, input) -> (state, events, effects)`, a pure function.
//!
//! The legal transitions are the table of contract section 8.6; the order of the events is that
//! of section 10. Whoever calls [`step`] applies the effects to the records, commits state,
//! records and events in one transaction, and only then tells anybody.
//!
//! Invariant: terminal states accept no input.
//! Invariant: whatever was open is closed by the transition that ends the run.

use crate::{
    CallId, MessageId, StepId, Timestamp,
    message::IncompleteReason,
    run::{
        Event, FunctionCall, LastError, MessageEvent, OpenStep, RunEvent, RunIncompleteReason,
        RunState, RunStatus, StepEvent,
    },
};

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A worker takes the run up, for the first time or after another worker was lost.
    Start,
    /// The model begins to write a message.
    OpenMessage {
        /// The new step.
        step: StepId,
        /// The new message.
        message: MessageId,
    },
    /// The model has written the message to its end.
    CloseMessage,
    /// The model begins to call tools.
    OpenTools {
        /// The new step.
        step: StepId,
    },
    /// The model's turn ended with calls of which some are to be carried out here.
    CarryOut,
    /// All calls were carried out here; the model goes on.
    CloseTools,
    /// The model's stream broke; the turn will be asked for again.
    Abandon,
    /// The model's turn ended with function calls for the client.
    RequireAction(Vec<FunctionCall>),
    /// The client brings the outputs.
    SubmitOutputs(Vec<ToolOutput>),
    /// The model has answered.
    Complete,
    /// A token limit was reached.
    Incomplete(RunIncompleteReason),
    /// The run can not go on.
    Fail(Failure),
    /// The client asks to stop.
    Cancel,
    /// The worker has stopped, as asked.
    Stop,
    /// The run's time is over.
    Expire,
}

/// Why a run can not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the run, and its open step, will say.
    pub error: LastError,
    /// What the open message will say: `RunFailed`, or `ContentFilter`.
    pub message_reason: IncompleteReason,
}

/// What a client answers to one function call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// Which call.
    pub call_id: CallId,
    /// What came of it.
    pub output: String,
}

/// What an accepted input leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The new state.
    pub state: RunState,
    /// What streams report, in order.
    pub events: Vec<Event>,
    /// What else has to be done, in the same transaction or right after it.
    pub effects: Vec<Effect>,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// In the transaction: end this message.
    EndMessage(MessageId, MessageEnd),
    /// In the transaction: end this step.
    EndStep(StepId, StepEnd),
    /// In the transaction: write the outputs into this step's calls.
    FillOutputs(StepId, Vec<ToolOutput>),
    /// After it: a worker is wanted.
    Wake,
    /// After it: stop the model call that is under way.
    StopModel,
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEnd {
    /// Whole.
    Completed,
    /// Cut off, and kept.
    Incomplete(IncompleteReason),
    /// Cut off, and taken out of the thread: another takes its place. Streams see it end with
    /// this reason.
    Removed(IncompleteReason),
}

/// How a step ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    /// Done.
    Completed,
    /// Broken.
    Failed(LastError),
    /// Stopped.
    Cancelled,
    /// Out of time.
    Expired,
}

/// An input that the state does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Not in this state.
    #[error("a run in status {0:?} does not accept this")]
    Status(RunStatus),
    /// The outputs are not those of the pending calls.
    #[error("outputs do not match the pending calls")]
    Outputs {
        /// The pending calls, in the model's order.
        expected: Vec<CallId>,
        /// The calls that outputs came for, in the client's order.
        got: Vec<CallId>,
    },
}

/// Moves a run on.
pub fn step(state: &RunState, now: Timestamp, input: Input) -> Result<Transition, Illegal> {
    match input {
        Input::Start => start(state, now),
        Input::OpenMessage { step, message } => open(state, OpenStep::Message { step, message }),
        Input::OpenTools { step } => open(
            state,
            OpenStep::Tools {
                step,
                called: false,
            },
        ),
        Input::CarryOut => carry_out(state),
        Input::CloseTools => close_tools(state),
        Input::CloseMessage => close_message(state),
        Input::Abandon => abandon(state),
        Input::RequireAction(calls) => require_action(state, calls),
        Input::SubmitOutputs(outputs) => submit_outputs(state, outputs),
        Input::Complete => complete(state, now),
        Input::Incomplete(reason) => incomplete(state, reason),
        Input::Fail(failure) => fail(state, now, failure),
        Input::Cancel => cancel(state),
        Input::Stop => stop(state, now),
        Input::Expire => expire(state),
    }
}

fn illegal<T>(state: &RunState) -> Result<T, Illegal> {
    Err(Illegal::Status(state.status()))
}

fn start(state: &RunState, now: Timestamp) -> Result<Transition, Illegal> {
    match state {
        RunState::Queued { .. } => Ok(Transition {
            state: RunState::InProgress {
                started_at: now,
                open: None,
            },
            events: vec![Event::Run(RunEvent::InProgress)],
            effects: Vec::new(),
        }),
        // The worker that had it is gone: what the model has called is not asked for again. And whoever
        // takes up a cancelled run has only to stop it.
        RunState::InProgress {
            open: Some(OpenStep::Tools { called: true, .. }),
            ..
        }
        | RunState::Cancelling { .. } => Ok(Transition {
            state: state.clone(),
            events: Vec::new(),
            effects: Vec::new(),
        }),
        // What it had begun otherwise is begun again.
        RunState::InProgress { .. } => abandon(state),
        RunState::RequiresAction { .. }
        | RunState::Cancelled { .. }
        | RunState::Failed { .. }
        | RunState::Completed { .. }
        | RunState::Incomplete { .. }
        | RunState::Expired { .. } => illegal(state),
    }
}

fn open(state: &RunState, open: OpenStep) -> Result<Transition, Illegal> {
    let RunState::InProgress {
        started_at,
        open: None,
    } = state
    else {
        return illegal(state);
    };
    let (OpenStep::Message { step, .. } | OpenStep::Tools { step, .. }) = &open;
    let mut events = vec![
        Event::Step(step.clone(), StepEvent::Created),
        Event::Step(step.clone(), StepEvent::InProgress),
    ];
    if let OpenStep::Message { message, .. } = &open {
        events.push(Event::Message(message.clone(), MessageEvent::Created));
        events.push(Event::Message(message.clone(), MessageEvent::InProgress));
    }
    Ok(Transition {
        state: RunState::InProgress {
            started_at: *started_at,
            open: Some(open),
        },
        events,
        effects: Vec::new(),
    })
}

fn close_message(state: &RunState) -> Result<Transition, Illegal> {
    let RunState::InProgress {
        started_at,
        open: Some(open @ OpenStep::Message { .. }),
    } = state
    else {
        return illegal(state);
    };
    Ok(close(
        Some(open),
        MessageEnd::Completed,
        &StepEnd::Completed,
        RunState::InProgress {
            started_at: *started_at,
            open: None,
        },
        None,
    ))
}

fn carry_out(state: &RunState) -> Result<Transition, Illegal> {
    let RunState::InProgress {
        started_at,
        open: Some(OpenStep::Tools {
            step,
            called: false,
        }),
    } = state
    else {
        return illegal(state);
    };
    Ok(Transition {
        state: RunState::InProgress {
            started_at: *started_at,
            open: Some(OpenStep::Tools {
                step: step.clone(),
                called: true,
            }),
        },
        events: Vec::new(),
        effects: Vec::new(),
    })
}

fn close_tools(state: &RunState) -> Result<Transition, Illegal> {
    let RunState::InProgress {
        started_at,
        open: Some(open @ OpenStep::Tools { called: true, .. }),
    } = state
    else {
        return illegal(state);
    };
    Ok(close(
        Some(open),
        MessageEnd::Completed,
        &StepEnd::Completed,
        RunState::InProgress {
            started_at: *started_at,
            open: None,
        },
        None,
    ))
}

fn abandon(state: &RunState) -> Result<Transition, Illegal> {
    let RunState::InProgress { started_at, open } = state else {
        return illegal(state);
    };
    if let Some(OpenStep::Tools { called: true, .. }) = open {
        return illegal(state);
    }
    Ok(close(
        open.as_ref(),
        MessageEnd::Removed(IncompleteReason::RunFailed),
        &StepEnd::Failed(LastError {
            code: crate::run::ErrorCode::ServerError,
            message: "The model's answer broke off and was asked for again.".to_owned(),
        }),
        RunState::InProgress {
            started_at: *started_at,
            open: None,
        },
        None,
    ))
}

fn require_action(state: &RunState, calls: Vec<FunctionCall>) -> Result<Transition, Illegal> {
    match state {
        RunState::InProgress {
            started_at,
            open: Some(OpenStep::Tools { step, .. }),
        } if !calls.is_empty() => Ok(Transition {
            state: RunState::RequiresAction {
                started_at: *started_at,
                step: step.clone(),
                calls,
            },
            events: vec![Event::Run(RunEvent::RequiresAction)],
            effects: Vec::new(),
        }),
        other => illegal(other),
    }
}

fn submit_outputs(state: &RunState, outputs: Vec<ToolOutput>) -> Result<Transition, Illegal> {
    let RunState::RequiresAction {
        started_at,
        step,
        calls,
    } = state
    else {
        return illegal(state);
    };
    let same = outputs.len() == calls.len()
        && calls.iter().all(|call| {
            let answers = outputs.iter().filter(|output| output.call_id == call.id);
            answers.count() == 1
        });
    if !same {
        return Err(Illegal::Outputs {
            expected: calls.iter().map(|call| call.id.clone()).collect(),
            got: outputs.into_iter().map(|output| output.call_id).collect(),
        });
    }
    Ok(Transition {
        state: RunState::Queued {
            started_at: Some(*started_at),
        },
        events: vec![
            Event::Step(step.clone(), StepEvent::Completed),
            Event::Run(RunEvent::Queued),
        ],
        effects: vec![
            Effect::FillOutputs(step.clone(), outputs),
            Effect::EndStep(step.clone(), StepEnd::Completed),
            Effect::Wake,
        ],
    })
}

fn complete(state: &RunState, now: Timestamp) -> Result<Transition, Illegal> {
    let RunState::InProgress {
        started_at,
        open: None,
    } = state
    else {
        return illegal(state);
    };
    Ok(Transition {
        state: RunState::Completed {
            started_at: *started_at,
            completed_at: now,
        },
        events: vec![Event::Run(RunEvent::Completed)],
        effects: Vec::new(),
    })
}

fn incomplete(state: &RunState, reason: RunIncompleteReason) -> Result<Transition, Illegal> {
    let RunState::InProgress { started_at, open } = state else {
        return illegal(state);
    };
    // A message that was cut off is kept, and its step is done; calls that were cut off can not
    // be carried out.
    let step_end = match open {
        Some(OpenStep::Tools { .. }) => StepEnd::Cancelled,
        Some(OpenStep::Message { .. }) | None => StepEnd::Completed,
    };
    Ok(close(
        open.as_ref(),
        MessageEnd::Incomplete(IncompleteReason::MaxTokens),
        &step_end,
        RunState::Incomplete {
            started_at: *started_at,
            reason,
        },
        Some(RunEvent::Incomplete),
    ))
}

fn fail(state: &RunState, now: Timestamp, failure: Failure) -> Result<Transition, Illegal> {
    let open = match state {
        RunState::Queued { .. } => None,
        RunState::InProgress { open, .. } => open.as_ref(),
        RunState::RequiresAction { .. }
        | RunState::Cancelling { .. }
        | RunState::Cancelled { .. }
        | RunState::Failed { .. }
        | RunState::Completed { .. }
        | RunState::Incomplete { .. }
        | RunState::Expired { .. } => return illegal(state),
    };
    // Steps know two codes only (contract section 2.5).
    let step_error = LastError {
        code: match failure.error.code {
            crate::run::ErrorCode::InvalidPrompt => crate::run::ErrorCode::ServerError,
            code => code,
        },
        message: failure.error.message.clone(),
    };
    Ok(close(
        open,
        MessageEnd::Incomplete(failure.message_reason),
        &StepEnd::Failed(step_error),
        RunState::Failed {
            started_at: state.started_at(),
            failed_at: now,
            error: failure.error,
        },
        Some(RunEvent::Failed),
    ))
}

fn cancel(state: &RunState) -> Result<Transition, Illegal> {
    let (open, effect) = match state {
        RunState::Queued { .. } => (None, Effect::Wake),
        RunState::InProgress { open, .. } => (open.clone(), Effect::StopModel),
        RunState::RequiresAction { step, .. } => (Some(waiting(step)), Effect::Wake),
        RunState::Cancelling { .. }
        | RunState::Cancelled { .. }
        | RunState::Failed { .. }
        | RunState::Completed { .. }
        | RunState::Incomplete { .. }
        | RunState::Expired { .. } => return illegal(state),
    };
    Ok(Transition {
        state: RunState::Cancelling {
            started_at: state.started_at(),
            open,
        },
        events: vec![Event::Run(RunEvent::Cancelling)],
        effects: vec![effect],
    })
}

fn stop(state: &RunState, now: Timestamp) -> Result<Transition, Illegal> {
    let RunState::Cancelling { started_at, open } = state else {
        return illegal(state);
    };
    Ok(close(
        open.as_ref(),
        MessageEnd::Incomplete(IncompleteReason::RunCancelled),
        &StepEnd::Cancelled,
        RunState::Cancelled {
            started_at: *started_at,
            cancelled_at: now,
        },
        Some(RunEvent::Cancelled),
    ))
}

fn expire(state: &RunState) -> Result<Transition, Illegal> {
    let open = match state {
        RunState::Queued { .. } => None,
        RunState::InProgress { open, .. } => open.clone(),
        RunState::RequiresAction { step, .. } => Some(waiting(step)),
        RunState::Cancelling { .. }
        | RunState::Cancelled { .. }
        | RunState::Failed { .. }
        | RunState::Completed { .. }
        | RunState::Incomplete { .. }
        | RunState::Expired { .. } => return illegal(state),
    };
    let mut transition = close(
        open.as_ref(),
        MessageEnd::Incomplete(IncompleteReason::RunExpired),
        &StepEnd::Expired,
        RunState::Expired {
            started_at: state.started_at(),
        },
        Some(RunEvent::Expired),
    );
    if let RunState::InProgress { .. } = state {
        transition.effects.push(Effect::StopModel);
    }
    Ok(transition)
}

/// The step whose calls wait for the client.
fn waiting(step: &StepId) -> OpenStep {
    OpenStep::Tools {
        step: step.clone(),
        called: true,
    }
}

/// Ends what is open: the message first, its step next, the run last (contract section 10.7).
fn close(
    open: Option<&OpenStep>,
    message_end: MessageEnd,
    step_end: &StepEnd,
    state: RunState,
    run_event: Option<RunEvent>,
) -> Transition {
    let mut events = Vec::new();
    let mut effects = Vec::new();
    if let Some(OpenStep::Message { message, .. }) = open {
        events.push(Event::Message(
            message.clone(),
            match message_end {
                MessageEnd::Completed => MessageEvent::Completed,
                MessageEnd::Incomplete(_) | MessageEnd::Removed(_) => MessageEvent::Incomplete,
            },
        ));
        effects.push(Effect::EndMessage(message.clone(), message_end));
    }
    if let Some(OpenStep::Message { step, .. } | OpenStep::Tools { step, .. }) = open {
        events.push(Event::Step(
            step.clone(),
            match step_end {
                StepEnd::Completed => StepEvent::Completed,
                StepEnd::Failed(_) => StepEvent::Failed,
                StepEnd::Cancelled => StepEvent::Cancelled,
                StepEnd::Expired => StepEvent::Expired,
            },
        ));
        effects.push(Effect::EndStep(step.clone(), step_end.clone()));
    }
    events.extend(run_event.map(Event::Run));
    Transition {
        state,
        events,
        effects,
    }
}
