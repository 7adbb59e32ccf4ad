//! The run state machine: every (state, input) pair, the event order of each end, and random
//! walks against what a stream's reader relies on.

#![expect(clippy::unwrap_used, reason = "a failing test says where")]

use std::collections::HashMap;

use loomgate_domain::{
    CallId, MessageId, StepId, Timestamp,
    message::IncompleteReason,
    run::{
        Effect, ErrorCode, Event, Failure, FunctionCall, Illegal, Input, LastError, MessageEnd,
        OpenStep, RunIncompleteReason, RunState, RunStatus, StepEnd, ToolOutput, machine::step,
    },
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_000);
const BEFORE: Timestamp = Timestamp(900);

fn call(id: &str) -> FunctionCall {
    FunctionCall {
        id: CallId::trusted(id),
        name: "f".to_owned(),
        arguments: "{}".to_owned(),
    }
}

fn output(id: &str) -> ToolOutput {
    ToolOutput {
        call_id: CallId::trusted(id),
        output: "ok".to_owned(),
    }
}

fn message() -> OpenStep {
    OpenStep::Message {
        step: StepId::trusted("step_m"),
        message: MessageId::trusted("msg_m"),
    }
}

fn tools(called: bool) -> OpenStep {
    OpenStep::Tools {
        step: StepId::trusted("step_t"),
        called,
    }
}

fn in_progress(open: Option<OpenStep>) -> RunState {
    RunState::InProgress {
        started_at: BEFORE,
        open,
    }
}

fn requires_action() -> RunState {
    RunState::RequiresAction {
        started_at: BEFORE,
        step: StepId::trusted("step_t"),
        calls: vec![call("call_a"), call("call_b")],
    }
}

fn error() -> LastError {
    LastError {
        code: ErrorCode::ServerError,
        message: "broken".to_owned(),
    }
}

fn failure() -> Failure {
    Failure {
        error: error(),
        message_reason: IncompleteReason::RunFailed,
    }
}

/// One state of each form.
fn states() -> Vec<(&'static str, RunState)> {
    vec![
        ("queued", RunState::Queued { started_at: None }),
        ("in_progress", in_progress(None)),
        ("in_progress+message", in_progress(Some(message()))),
        ("in_progress+tools", in_progress(Some(tools(false)))),
        ("in_progress+called", in_progress(Some(tools(true)))),
        ("requires_action", requires_action()),
        (
            "cancelling",
            RunState::Cancelling {
                started_at: None,
                open: Some(message()),
            },
        ),
        (
            "cancelled",
            RunState::Cancelled {
                started_at: None,
                cancelled_at: BEFORE,
            },
        ),
        (
            "failed",
            RunState::Failed {
                started_at: None,
                failed_at: BEFORE,
                error: error(),
            },
        ),
        (
            "completed",
            RunState::Completed {
                started_at: BEFORE,
                completed_at: BEFORE,
            },
        ),
        (
            "incomplete",
            RunState::Incomplete {
                started_at: BEFORE,
                reason: RunIncompleteReason::MaxPromptTokens,
            },
        ),
        ("expired", RunState::Expired { started_at: None }),
    ]
}

/// One input of each form.
fn inputs() -> Vec<(&'static str, Input)> {
    vec![
        ("start", Input::Start),
        (
            "open_message",
            Input::OpenMessage {
                step: StepId::trusted("step_1"),
                message: MessageId::trusted("msg_1"),
            },
        ),
        ("close_message", Input::CloseMessage),
        (
            "open_tools",
            Input::OpenTools {
                step: StepId::trusted("step_2"),
            },
        ),
        ("carry_out", Input::CarryOut),
        ("close_tools", Input::CloseTools),
        ("abandon", Input::Abandon),
        ("require_action", Input::RequireAction(vec![call("call_a")])),
        (
            "submit",
            Input::SubmitOutputs(vec![output("call_b"), output("call_a")]),
        ),
        ("complete", Input::Complete),
        (
            "incomplete",
            Input::Incomplete(RunIncompleteReason::MaxCompletionTokens),
        ),
        ("fail", Input::Fail(failure())),
        ("cancel", Input::Cancel),
        ("stop", Input::Stop),
        ("expire", Input::Expire),
    ]
}

/// Every pair that is legal, with the status it leads to. All others are refused.
const LEGAL: &[(&str, &str, RunStatus)] = &[
    ("queued", "start", RunStatus::InProgress),
    ("queued", "fail", RunStatus::Failed),
    ("queued", "cancel", RunStatus::Cancelling),
    ("queued", "expire", RunStatus::Expired),
    ("in_progress", "start", RunStatus::InProgress),
    ("in_progress", "open_message", RunStatus::InProgress),
    ("in_progress", "open_tools", RunStatus::InProgress),
    ("in_progress", "abandon", RunStatus::InProgress),
    ("in_progress", "complete", RunStatus::Completed),
    ("in_progress", "incomplete", RunStatus::Incomplete),
    ("in_progress", "fail", RunStatus::Failed),
    ("in_progress", "cancel", RunStatus::Cancelling),
    ("in_progress", "expire", RunStatus::Expired),
    ("in_progress+message", "start", RunStatus::InProgress),
    (
        "in_progress+message",
        "close_message",
        RunStatus::InProgress,
    ),
    ("in_progress+message", "abandon", RunStatus::InProgress),
    ("in_progress+message", "incomplete", RunStatus::Incomplete),
    ("in_progress+message", "fail", RunStatus::Failed),
    ("in_progress+message", "cancel", RunStatus::Cancelling),
    ("in_progress+message", "expire", RunStatus::Expired),
    ("in_progress+tools", "start", RunStatus::InProgress),
    ("in_progress+tools", "abandon", RunStatus::InProgress),
    ("in_progress+tools", "carry_out", RunStatus::InProgress),
    (
        "in_progress+tools",
        "require_action",
        RunStatus::RequiresAction,
    ),
    ("in_progress+tools", "incomplete", RunStatus::Incomplete),
    ("in_progress+tools", "fail", RunStatus::Failed),
    ("in_progress+tools", "cancel", RunStatus::Cancelling),
    ("in_progress+tools", "expire", RunStatus::Expired),
    ("in_progress+called", "start", RunStatus::InProgress),
    ("in_progress+called", "close_tools", RunStatus::InProgress),
    (
        "in_progress+called",
        "require_action",
        RunStatus::RequiresAction,
    ),
    ("in_progress+called", "incomplete", RunStatus::Incomplete),
    ("in_progress+called", "fail", RunStatus::Failed),
    ("in_progress+called", "cancel", RunStatus::Cancelling),
    ("in_progress+called", "expire", RunStatus::Expired),
    ("requires_action", "submit", RunStatus::Queued),
    ("requires_action", "cancel", RunStatus::Cancelling),
    ("requires_action", "expire", RunStatus::Expired),
    ("cancelling", "start", RunStatus::Cancelling),
    ("cancelling", "stop", RunStatus::Cancelled),
];

#[test]
fn every_pair_of_state_and_input_is_as_listed() {
    for (state_name, state) in states() {
        for (input_name, input) in inputs() {
            let listed = LEGAL
                .iter()
                .find(|(from, by, _)| (*from, *by) == (state_name, input_name));
            let got = step(&state, NOW, input).map(|transition| transition.state.status());
            match listed {
                Some((_, _, to)) => assert_eq!(got, Ok(*to), "{state_name} x {input_name}"),
                None => assert_eq!(
                    got,
                    Err(Illegal::Status(state.status())),
                    "{state_name} x {input_name}"
                ),
            }
        }
    }
}

#[test]
fn the_states_listed_are_all_there_are() {
    for status in RunStatus::ALL {
        assert!(states().iter().any(|(_, state)| state.status() == status));
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            serde_json::json!(status.as_str())
        );
    }
}

fn names(state: &RunState, input: Input) -> Vec<&'static str> {
    let transition = step(state, NOW, input).unwrap();
    transition.events.iter().map(Event::name).collect()
}

#[test]
fn abnormal_ends_close_the_message_then_the_step_then_the_run() {
    let open = in_progress(Some(message()));
    assert_eq!(
        names(&open, Input::Fail(failure())),
        [
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.failed"
        ]
    );
    assert_eq!(
        names(&open, Input::Expire),
        [
            "thread.message.incomplete",
            "thread.run.step.expired",
            "thread.run.expired"
        ]
    );
    assert_eq!(
        names(
            &open,
            Input::Incomplete(RunIncompleteReason::MaxCompletionTokens)
        ),
        [
            "thread.message.incomplete",
            "thread.run.step.completed",
            "thread.run.incomplete"
        ]
    );
    let cancelling = step(&open, NOW, Input::Cancel).unwrap();
    assert_eq!(cancelling.effects, [Effect::StopModel]);
    assert_eq!(
        names(&cancelling.state, Input::Stop),
        [
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled"
        ]
    );
    assert_eq!(
        names(&in_progress(None), Input::Fail(failure())),
        ["thread.run.failed"]
    );
}

#[test]
fn a_resumed_run_keeps_its_old_start_until_it_is_taken_up() {
    let submitted = step(
        &requires_action(),
        NOW,
        Input::SubmitOutputs(vec![output("call_a"), output("call_b")]),
    )
    .unwrap();
    assert_eq!(submitted.state.started_at(), Some(BEFORE));
    let names: Vec<_> = submitted.events.iter().map(Event::name).collect();
    assert_eq!(names, ["thread.run.step.completed", "thread.run.queued"]);
    let taken_up = step(&submitted.state, NOW, Input::Start).unwrap();
    assert_eq!(taken_up.state.started_at(), Some(NOW));
}

#[test]
fn outputs_must_answer_every_pending_call_once() {
    let ids = |ids: &[&str]| {
        ids.iter()
            .map(|id| CallId::trusted(*id))
            .collect::<Vec<_>>()
    };
    for wrong in [
        &[][..],
        &["call_a"],
        &["call_a", "call_a"],
        &["call_a", "call_c"],
        &["call_a", "call_b", "call_c"],
        &["call_a", "call_b", "call_b"],
    ] {
        let outputs = wrong.iter().map(|id| output(id)).collect();
        assert_eq!(
            step(&requires_action(), NOW, Input::SubmitOutputs(outputs)),
            Err(Illegal::Outputs {
                expected: ids(&["call_a", "call_b"]),
                got: ids(wrong),
            })
        );
    }
}

#[test]
fn what_was_called_is_carried_out_by_whoever_takes_the_run_up() {
    let called = step(&in_progress(Some(tools(false))), NOW, Input::CarryOut).unwrap();
    assert_eq!((called.events, called.effects), (vec![], vec![]));
    let taken_up = step(&called.state, NOW, Input::Start).unwrap();
    assert_eq!(taken_up.state, called.state);
    assert_eq!((taken_up.events, taken_up.effects), (vec![], vec![]));
    assert_eq!(
        names(&taken_up.state, Input::CloseTools),
        ["thread.run.step.completed"]
    );
    let closed = step(&taken_up.state, NOW, Input::CloseTools).unwrap();
    assert_eq!(closed.state, in_progress(None));
}

#[test]
fn a_turn_without_calls_can_not_require_action() {
    let got = step(
        &in_progress(Some(tools(false))),
        NOW,
        Input::RequireAction(Vec::new()),
    );
    assert_eq!(got, Err(Illegal::Status(RunStatus::InProgress)));
}

#[test]
fn a_lost_workers_half_message_is_taken_back() {
    let resumed = step(&in_progress(Some(message())), NOW, Input::Start).unwrap();
    assert_eq!(resumed.state, in_progress(None));
    assert!(resumed.effects.contains(&Effect::EndMessage(
        MessageId::trusted("msg_m"),
        MessageEnd::Removed(IncompleteReason::RunFailed)
    )));
    assert!(matches!(
        &resumed.effects[1],
        Effect::EndStep(_, StepEnd::Failed(_))
    ));
}

#[test]
fn steps_know_no_invalid_prompt() {
    let failure = Failure {
        error: LastError {
            code: ErrorCode::InvalidPrompt,
            message: "no".to_owned(),
        },
        message_reason: IncompleteReason::RunFailed,
    };
    let failed = step(&in_progress(Some(message())), NOW, Input::Fail(failure)).unwrap();
    let Some(Effect::EndStep(_, StepEnd::Failed(error))) = failed.effects.last() else {
        panic!("the step was not failed");
    };
    assert_eq!(error.code, ErrorCode::ServerError);
}

/// What a stream's reader knows: which objects are open, by the events alone.
#[derive(Default)]
struct Reader {
    open: HashMap<String, &'static str>,
    known: Vec<String>,
}

impl Reader {
    fn read(&mut self, event: &Event) {
        let name = event.name();
        let id = match event {
            Event::Run(_) => return,
            Event::Step(id, _) => id.as_str().to_owned(),
            Event::Message(id, _) => id.as_str().to_owned(),
        };
        if name.ends_with("created") {
            assert!(!self.known.contains(&id), "{id} created twice");
            let messages = self.open.values().filter(|kind| **kind == "message");
            if matches!(event, Event::Message(..)) {
                assert_eq!(messages.count(), 0, "one open message at a time");
            }
            let kind = match event {
                Event::Message(..) => "message",
                _ => "step",
            };
            self.open.insert(id.clone(), kind);
            self.known.push(id);
        } else if name.ends_with("in_progress") {
            assert!(self.open.contains_key(&id));
        } else {
            assert!(self.open.remove(&id).is_some(), "{name} of {id}, not open");
        }
    }
}

fn some_input() -> impl Strategy<Value = (usize, u8)> {
    (0..inputs().len(), any::<u8>())
}

proptest! {
    #[test]
    fn random_walks_keep_what_readers_rely_on(walk in prop::collection::vec(some_input(), 1..60)) {
        let mut state = RunState::Queued { started_at: None };
        let mut reader = Reader::default();
        let mut ended = false;
        for (n, (kind, fresh)) in walk.into_iter().enumerate() {
            let now = Timestamp(i64::try_from(n).unwrap());
            let input = match inputs().swap_remove(kind).1 {
                Input::OpenMessage { .. } => Input::OpenMessage {
                    step: StepId::trusted(format!("step_{n}_{fresh}")),
                    message: MessageId::trusted(format!("msg_{n}_{fresh}")),
                },
                Input::OpenTools { .. } => Input::OpenTools {
                    step: StepId::trusted(format!("step_{n}_{fresh}")),
                },
                Input::SubmitOutputs(_) => Input::SubmitOutputs(vec![output("call_a")]),
                other => other,
            };
            match step(&state, now, input) {
                Err(Illegal::Status(status)) => prop_assert_eq!(status, state.status()),
                Err(other) => prop_assert!(false, "{:?}", other),
                Ok(transition) => {
                    prop_assert!(!ended, "a terminal state was left");
                    transition.events.iter().for_each(|event| reader.read(event));
                    state = transition.state;
                    ended = !state.status().is_active();
                    if ended {
                        prop_assert!(reader.open.is_empty(), "left open: {:?}", reader.open);
                    }
                }
            }
        }
    }
}
