//! Frames of a stream, byte for byte (contract section 10).

use loomgate_domain::{
    CallId, MessageId, StepId,
    message::MessageStatus,
    run::{EventId, MessageEvent, RunEvent, RunState, StepEvent, StepStatus},
};
use loomgate_wire::event;

use crate::records::{self, LATER};

fn parts(frame: &[u8]) -> (String, serde_json::Value) {
    let text = std::str::from_utf8(frame).unwrap();
    let (name, rest) = text
        .strip_prefix("event: ")
        .and_then(|rest| rest.split_once("\ndata: "))
        .unwrap();
    let data = rest.strip_suffix("\n\n").unwrap();
    assert!(!data.contains('\n'));
    (name.to_owned(), serde_json::from_str(data).unwrap())
}

#[test]
fn deltas_as_recorded() {
    let (message, step) = (MessageId::trusted("msg_1"), StepId::trusted("step_1"));
    let call = CallId::trusted("call_1");
    for (frame, expected) in [
        (
            event::text_delta(&message, 0, "Since\n", true),
            "event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":\"Since\\n\",\"annotations\":[]}}]}}\n\n",
        ),
        (
            event::text_delta(&message, 0, " it's", false),
            "event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":\" it's\"}}]}}\n\n",
        ),
        (
            event::refusal_delta(&message, 1, "No"),
            "event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\"delta\":{\"content\":[{\"index\":1,\"type\":\"refusal\",\"refusal\":\"No\"}]}}\n\n",
        ),
        (
            event::call_started(&step, 0, &call, "f"),
            "event: thread.run.step.delta\ndata: {\"id\":\"step_1\",\"object\":\"thread.run.step.delta\",\"delta\":{\"step_details\":{\"type\":\"tool_calls\",\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\",\"output\":null}}]}}}\n\n",
        ),
        (
            event::call_arguments(&step, 1, "{\"loc"),
            "event: thread.run.step.delta\ndata: {\"id\":\"step_1\",\"object\":\"thread.run.step.delta\",\"delta\":{\"step_details\":{\"type\":\"tool_calls\",\"tool_calls\":[{\"index\":1,\"type\":\"function\",\"function\":{\"arguments\":\"{\\\"loc\"}}]}}}\n\n",
        ),
        (
            event::error("Sorry"),
            "event: error\ndata: {\"error\":{\"message\":\"Sorry\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
        ),
        (event::done(), "event: done\ndata: [DONE]\n\n"),
        (
            event::identified(EventId::START.later(3), &event::done()),
            "id: 0.3\nevent: done\ndata: [DONE]\n\n",
        ),
    ] {
        assert_eq!(std::str::from_utf8(&frame).unwrap(), expected);
    }
}

#[test]
fn objects_go_bare() {
    let run = records::run(RunState::Queued { started_at: None });
    let (name, data) = parts(&event::run(RunEvent::Created, &run));
    assert_eq!(
        (&*name, &data["object"]),
        ("thread.run.created", &"thread.run".into())
    );

    let step = records::step(StepStatus::Completed {
        completed_at: LATER,
    });
    let (name, data) = parts(&event::step(StepEvent::Completed, &step, false));
    assert_eq!(name, "thread.run.step.completed");
    // In events of both legs the expiry stays a number.
    assert!(data["expires_at"].is_number());

    let message = records::message(MessageStatus::InProgress);
    let (name, data) = parts(&event::message(MessageEvent::Created, &message));
    assert_eq!(
        (&*name, &data["id"]),
        ("thread.message.created", &"msg_1".into())
    );

    let (name, data) = parts(&event::thread_created(&records::thread()));
    assert_eq!(
        (&*name, &data["object"]),
        ("thread.created", &"thread".into())
    );
}
