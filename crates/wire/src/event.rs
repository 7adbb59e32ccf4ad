//! The frames of a run's stream (contract section 10): `event: NAME`, `data: ONE LINE OF JSON`,
//! an empty line. Deltas keep the rules of section 10.9: ids and names are sent once.
//!
//! What a run's journal keeps also has an id, an addition to the contract: see [`identified`].

use bytes::Bytes;
use loomgate_domain::{
    self as domain, CallId, MessageId, StepId,
    message::Annotation,
    run::{Event, EventId, MessageEvent, RunEvent, StepEvent},
    tool::RankingOptions,
};
use serde::Serialize;

use crate::{error::ErrorBody, object};

mod delta;

use delta::{AnnotationDelta, Delta, MessageDelta, Part, StepDelta, TextDelta, ToolDelta};

/// Any event.
pub fn frame(name: &str, data: &impl Serialize) -> Bytes {
    let mut frame = Vec::with_capacity(256);
    write(&mut frame, name, data);
    frame.into()
}

fn write(frame: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(name.as_bytes());
    frame.extend_from_slice(b"\ndata: ");
    // JSON text holds no line breaks. Nothing here fails to serialise: keys are strings and
    // numbers finite; an empty frame, which clients skip, would stand for it.
    if serde_json::to_writer(&mut *frame, data).is_err() {
        frame.clear();
        return;
    }
    frame.extend_from_slice(b"\n\n");
}

fn sized(capacity: usize, name: &str, data: &impl Serialize) -> Bytes {
    let mut frame = Vec::with_capacity(capacity);
    write(&mut frame, name, data);
    frame.into()
}

/// A frame with its id, which a stream can be reopened with: `id: ATTEMPT.NUMBER`. It stands
/// first, so that `data` still follows `event` and ends the frame; clients skip fields that they do
/// not know. An event that only one reader is told has none.
pub fn identified(id: EventId, frame: &[u8]) -> Bytes {
    use std::io::Write as _;
    let mut whole = Vec::with_capacity(frame.len() + 16);
    // Writing to a vector can not fail.
    let _ = writeln!(whole, "id: {id}");
    whole.extend_from_slice(frame);
    whole.into()
}

/// `thread.run.*`
pub fn run(event: RunEvent, run: &domain::Run) -> Bytes {
    sized(1536, Event::Run(event).name(), &object::Run::from(run))
}

/// `thread.run.step.*`
pub fn step(event: StepEvent, step: &domain::RunStep, with_content: bool) -> Bytes {
    let name = Event::Step(step.id.clone(), event).name();
    sized(1024, name, &object::RunStep::event(step, with_content))
}

/// `thread.message.*`
pub fn message(event: MessageEvent, message: &domain::Message) -> Bytes {
    let name = Event::Message(message.id.clone(), event).name();
    sized(1024, name, &object::Message::from(message))
}

/// `thread.created`, only from `POST /threads/runs`
pub fn thread_created(thread: &domain::Thread) -> Bytes {
    frame("thread.created", &object::Thread::from(thread))
}

/// More words of a text part. The first delta of a part also opens its list of annotations.
pub fn text_delta(id: &MessageId, index: usize, value: &str, first: bool) -> Bytes {
    message_delta(
        id,
        Part::Text {
            index,
            text: TextDelta {
                value,
                annotations: first.then(Vec::new),
            },
        },
    )
}

/// A mark in a text part with what it points to, in one piece.
pub fn citation(id: &MessageId, index: usize, number: usize, annotation: &Annotation) -> Bytes {
    message_delta(
        id,
        Part::Text {
            index,
            text: TextDelta {
                value: annotation.text(),
                annotations: Some(vec![AnnotationDelta::new(number, annotation)]),
            },
        },
    )
}

/// More words of a refusal part.
pub fn refusal_delta(id: &MessageId, index: usize, text: &str) -> Bytes {
    message_delta(
        id,
        Part::Refusal {
            index,
            refusal: text,
        },
    )
}

fn message_delta(id: &MessageId, part: Part<'_>) -> Bytes {
    let delta = Delta {
        id: id.as_str(),
        object: "thread.message.delta",
        changed: MessageDelta { content: [part] },
    };
    frame("thread.message.delta", &delta)
}

/// A function call begins: the one place where its id and name are sent.
pub fn call_started(step: &StepId, index: usize, call: &CallId, name: &str) -> Bytes {
    step_delta(step, ToolDelta::started(index, call.as_str(), name))
}

/// A search begins: its results come with the step's end.
pub fn search_started(
    step: &StepId,
    index: usize,
    call: &CallId,
    ranking: &RankingOptions,
) -> Bytes {
    step_delta(step, ToolDelta::searching(index, call.as_str(), ranking))
}

/// More of a call's arguments.
pub fn call_arguments(step: &StepId, index: usize, text: &str) -> Bytes {
    step_delta(step, ToolDelta::arguments(index, text))
}

fn step_delta(step: &StepId, call: ToolDelta<'_>) -> Bytes {
    let delta = Delta {
        id: step.as_str(),
        object: "thread.run.step.delta",
        changed: StepDelta::new(call),
    };
    frame("thread.run.step.delta", &delta)
}

/// A fault of the server in the middle of a stream; [`done`] follows (contract section 10.7).
pub fn error(message: &str) -> Bytes {
    frame("error", &ErrorBody::new(message, "server_error"))
}

/// The end of every stream.
pub fn done() -> Bytes {
    Bytes::from_static(b"event: done\ndata: [DONE]\n\n")
}
