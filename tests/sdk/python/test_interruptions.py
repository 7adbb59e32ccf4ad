"""What happens around a stream: the next message inside a handler, cancel midway, a client that hangs up."""

from __future__ import annotations

from typing import Any

from clients import Client
from handler import recording_handler
from recording import Recorder
from scenario import MESSAGE_OPENS, RUN_STARTS, names, new_assistant, new_thread, settled, thread_texts
from test_streaming import finished

LONG = " ".join(f"word{n}" for n in range(200))


def test_the_next_message_inside_the_handler(client: Client) -> None:
    """The thread is free before `thread.run.completed` is sent (contract section 8.7)."""
    thread, assistant = new_thread(client, "first"), new_assistant(client)
    posted: list[Any] = []

    def reply(run: Any) -> None:
        posted.append(client.beta.threads.messages.create(thread_id=run.thread_id, role="user", content="second"))

    handler = recording_handler(client.EventHandler, {"thread.run.completed": reply})
    finished(client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, event_handler=handler))
    assert len(posted) == 1
    assert thread_texts(client, thread) == ["first", "first", "second"]
    run = client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant)
    assert settled(client, thread, run.id).status == "completed"


def test_submitting_inside_the_handler(client: Client) -> None:
    """Outputs are accepted as soon as `thread.run.requires_action` is seen."""
    thread, assistant = new_thread(client, '/echo call weather {"city":"Oslo"}'), new_assistant(client)
    statuses: list[str] = []

    def submit(run: Any) -> None:
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        outputs = [{"tool_call_id": call.id, "output": "rain"}]
        answered = client.beta.threads.runs.submit_tool_outputs(thread_id=thread, run_id=run.id, tool_outputs=outputs)
        statuses.append(answered.status)

    handler = recording_handler(client.EventHandler, {"thread.run.requires_action": submit})
    run = finished(
        client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, event_handler=handler)
    ).get_final_run()
    assert statuses == ["queued"]
    assert settled(client, thread, run.id).status == "completed"
    assert thread_texts(client, thread)[-1] == "weather returned rain"


def test_cancel_in_the_middle_of_a_stream(client: Client, recorder: Recorder) -> None:
    thread, assistant = new_thread(client, "/echo pace 50", LONG), new_assistant(client)
    cancelled: list[Any] = []

    def cancel(delta: Any) -> None:
        if not cancelled:
            run = client.beta.threads.runs.list(thread_id=thread).data[0].id
            cancelled.append(client.beta.threads.runs.cancel(thread_id=thread, run_id=run))

    handler = recording_handler(client.EventHandler, {"thread.message.delta": cancel})
    stream = finished(client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, event_handler=handler))
    events = recorder.last_stream.response_sse
    assert names(events) == [
        *RUN_STARTS,
        *MESSAGE_OPENS,
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]
    assert cancelled[0].status in ("cancelling", "cancelled")
    run = stream.get_final_run()
    assert (run.status, run.expires_at) == ("cancelled", None) and run.cancelled_at is not None
    (message,) = stream.get_final_messages()
    assert (message.status, message.incomplete_details.reason) == ("incomplete", "run_cancelled")
    streamed = "".join(e["data"]["delta"]["content"][0]["text"]["value"] for e in events if e["event"].endswith("message.delta"))
    assert message.content[0].text.value == streamed
    assert LONG.startswith(streamed.strip()) and len(streamed) < len(LONG)
    client.beta.threads.messages.create(thread_id=thread, role="user", content="The thread is free again.")


def test_a_client_that_hangs_up_does_not_stop_the_run(client: Client, recorder: Recorder) -> None:
    text = "These words go on without anybody listening to them."
    thread, assistant = new_thread(client, "/echo pace 20", text), new_assistant(client)
    manager = client.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=client.EventHandler()
    )
    with manager as stream:
        for event in stream:
            if event.event == "thread.message.delta":
                break
        run = stream.current_run
    assert not recorder.last_stream.complete
    assert settled(client, thread, run.id).status == "completed"
    assert thread_texts(client, thread)[-1] == text
