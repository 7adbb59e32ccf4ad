"""Streams through the SDKs' event handlers: every callback, every event, final objects (contract section 10)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clients import Client
from handler import recording_handler
from recording import Recorder
from scenario import (
    AFTER_OUTPUTS,
    CALLS_WAIT,
    MESSAGE_OPENS,
    MESSAGE_STEP,
    RUN_STARTS,
    TEXT_RUN,
    function,
    names,
    new_assistant,
    new_thread,
    outputs_for,
    thread_texts,
)


def stream_of(client: Client, *lines: str, **fields: Any) -> tuple[str, Any]:
    """A thread with these lines and the stream manager of a run on it; enter it once."""
    thread = new_thread(client, *lines)
    fields.setdefault("event_handler", recording_handler(client.EventHandler))
    return thread, client.beta.threads.runs.stream(thread_id=thread, assistant_id=new_assistant(client), **fields)


def finished(manager: Any) -> Any:
    """The handler, after the stream has run to its end."""
    with manager as stream:
        stream.until_done()
    return stream


def text_deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e["data"]["delta"]["content"][0]["text"] for e in events if e["event"] == "thread.message.delta"]


def test_a_text_run(client: Client, recorder: Recorder) -> None:
    thread, manager = stream_of(client, "alpha beta gamma")
    stream = finished(manager)
    events = recorder.last_stream.response_sse

    assert names(events) == TEXT_RUN
    assert text_deltas(events) == [{"value": "alpha ", "annotations": []}, {"value": "beta "}, {"value": "gamma"}]
    assert stream.calls.names("on_event") == [
        *("on_run_step_created", "on_message_created"),
        *("on_text_created", "on_text_delta", "on_message_delta"),
        *("on_text_delta", "on_message_delta") * 2,
        *("on_text_done", "on_message_done", "on_run_step_done", "on_end"),
    ]
    assert [event.event for (event,) in stream.calls.arguments("on_event")] == [e["event"] for e in events[:-1]]
    assert [snapshot.value for _, snapshot in stream.calls.arguments("on_text_delta")] == [
        "alpha ",
        "alpha beta ",
        "alpha beta gamma",
    ]
    assert [text.value for (text,) in stream.calls.arguments("on_text_done")] == ["alpha beta gamma"]

    (message,) = stream.get_final_messages()
    (built,) = [snapshot for _, snapshot in stream.calls.arguments("on_message_delta")[-1:]]
    assert built.content[0].text.value == message.content[0].text.value == "alpha beta gamma"
    assert message.status == "completed"
    (step,) = stream.get_final_run_steps()
    assert step.step_details.message_creation.message_id == message.id
    run = stream.get_final_run()
    assert (run.status, run.usage.completion_tokens) == ("completed", 3)

    # What was streamed is what is stored.
    client.beta.threads.messages.retrieve(thread_id=thread, message_id=message.id)
    stored_message, sent = recorder.last.response_body, {e["event"]: e["data"] for e in events}
    assert stored_message == sent["thread.message.completed"]
    client.beta.threads.runs.retrieve(thread_id=thread, run_id=run.id)
    stored_run = recorder.last.response_body
    differing = {key for key in stored_run if stored_run[key] != sent["thread.run.completed"].get(key)}
    assert differing <= {"tool_resources"}  # contract section 10.2 lets the two forms differ here


def test_the_objects_of_a_text_run(client: Client, recorder: Recorder) -> None:
    finished(stream_of(client, "alpha beta")[1])
    sent = {event["event"]: event["data"] for event in recorder.last_stream.response_sse}
    created, working = sent["thread.run.created"], sent["thread.run.in_progress"]
    assert created == sent["thread.run.queued"] and (created["status"], created["started_at"]) == ("queued", None)
    assert working["status"] == "in_progress" and working["started_at"] >= created["created_at"]
    step = sent["thread.run.step.created"]
    assert step == sent["thread.run.step.in_progress"]
    assert (step["type"], step["status"], step["usage"]) == ("message_creation", "in_progress", None)
    message = sent["thread.message.created"]
    assert message == sent["thread.message.in_progress"]
    assert (message["status"], message["content"]) == ("in_progress", [])
    assert step["step_details"]["message_creation"]["message_id"] == message["id"]
    assert (message["run_id"], message["assistant_id"]) == (created["id"], created["assistant_id"])
    ended = sent["thread.run.step.completed"]
    assert ended["usage"]["total_tokens"] > 0 and ended["completed_at"] is not None
    final = sent["thread.run.completed"]
    assert final["usage"]["total_tokens"] == ended["usage"]["total_tokens"] and final["expires_at"] is None


def test_text_deltas(client: Client) -> None:
    _, manager = stream_of(client, "alpha beta gamma", event_handler=client.EventHandler())
    with manager as stream:
        assert list(stream.text_deltas) == ["alpha ", "beta ", "gamma"]


def test_words_of_every_script(client: Client) -> None:
    text = 'naïve 日本  🎉👩‍👩‍👧\n\ntwo\ttabs \u2028 "q" \\ data: [DONE]'
    thread, manager = stream_of(client, text)
    stream = finished(manager)
    (message,) = stream.get_final_messages()
    (built,) = [snapshot for _, snapshot in stream.calls.arguments("on_message_delta")[-1:]]
    assert built.content[0].text.value == message.content[0].text.value == text
    assert thread_texts(client, thread) == [text, text]


def test_an_empty_answer(client: Client, recorder: Recorder) -> None:
    """Every SDK finds a message with one, empty, part."""
    thread, manager = stream_of(client, "/echo pace 1")
    (message,) = finished(manager).get_final_messages()
    assert names(recorder.last_stream.response_sse) == TEXT_RUN
    assert (message.status, message.content[0].text.value) == ("completed", "")
    assert thread_texts(client, thread)[-1] == ""


def test_what_is_wrong_before_the_run_starts_is_no_stream(client: Client, recorder: Recorder) -> None:
    missing = "asst_" + "0" * 24
    thread = new_thread(client, "Hello")
    handler = client.EventHandler()
    with pytest.raises(client.errors.NotFoundError) as caught:
        finished(client.beta.threads.runs.stream(thread_id=thread, assistant_id=missing, event_handler=handler))
    assert caught.value.body["message"] == f"No assistant found with id '{missing}'."
    assert recorder.last.request_body["stream"] is True
    assert client.beta.threads.runs.list(thread_id=thread).data == []


def test_stream_as_an_argument(client: Client, recorder: Recorder) -> None:
    """`stream=True` without a helper: the older way, which most quick-start code uses."""
    assistant = new_assistant(client)
    threads = client.beta.threads
    for expected, events in (
        (TEXT_RUN, threads.runs.create(thread_id=new_thread(client, "alpha beta"), assistant_id=assistant, stream=True)),
        (
            ["thread.created", *TEXT_RUN],
            threads.create_and_run(
                assistant_id=assistant, thread={"messages": [{"role": "user", "content": "alpha beta"}]}, stream=True
            ),
        ),
    ):
        seen = list(events)
        assert names(recorder.last_stream.response_sse) == expected
        if client.name == "portkey":  # this SDK yields the lines of the stream
            assert [line for line in seen if line.startswith("event: ")][-1] == "event: done"
        else:
            assert [event.event for event in seen if not event.event.endswith(".delta")] == [
                name for name in expected[:-1] if not name.endswith(".delta")
            ]


def test_create_and_run_stream(client: Client, recorder: Recorder) -> None:
    handler = recording_handler(client.EventHandler)
    stream = finished(
        client.beta.threads.create_and_run_stream(
            assistant_id=new_assistant(client),
            thread={"messages": [{"role": "user", "content": "both at once"}], "metadata": {"made": "here"}},
            event_handler=handler,
        )
    )
    events = recorder.last_stream.response_sse
    assert names(events) == ["thread.created", *TEXT_RUN]
    run = stream.get_final_run()
    assert (events[0]["data"]["id"], events[0]["data"]["metadata"]) == (run.thread_id, {"made": "here"})
    assert thread_texts(client, run.thread_id) == ["both at once", "both at once"]


def test_parallel_calls_and_the_second_leg(client: Client, recorder: Recorder) -> None:
    thread, manager = stream_of(client, '/echo call weather {"city":"Oslo"}', '/echo call clock {"city":"Rome"}')
    stream = finished(manager)
    events = recorder.last_stream.response_sse
    assert names(events) == [*RUN_STARTS, *CALLS_WAIT]
    opened = next(event["data"] for event in events if event["event"] == "thread.run.step.created")
    assert opened["step_details"] == {"type": "tool_calls", "tool_calls": []}

    # Calls come one after the other; id and name once, arguments in pieces.
    pieces = [
        event["data"]["delta"]["step_details"]["tool_calls"] for event in events if event["event"] == "thread.run.step.delta"
    ]
    assert all(len(piece) == 1 for piece in pieces)
    for index, (name, arguments) in enumerate((("weather", {"city": "Oslo"}), ("clock", {"city": "Rome"}))):
        mine = [piece[0] for piece in pieces if piece[0]["index"] == index]
        assert mine[0]["function"] == {"name": name, "arguments": "", "output": None} and mine[0]["id"].startswith("call_")
        assert all("id" not in piece and "name" not in piece["function"] for piece in mine[1:])
        assert json.loads("".join(piece["function"]["arguments"] for piece in mine)) == arguments
    assert [piece[0]["index"] for piece in pieces] == sorted(piece[0]["index"] for piece in pieces)

    created = [call for (call,) in stream.calls.arguments("on_tool_call_created")]
    done = [call for (call,) in stream.calls.arguments("on_tool_call_done")]
    assert [call.function.name for call in created] == [call.function.name for call in done] == ["weather", "clock"]
    assert [json.loads(call.function.arguments) for call in done] == [{"city": "Oslo"}, {"city": "Rome"}]
    run = stream.get_final_run()
    assert (run.status, run.usage) == ("requires_action", None)
    pending = run.required_action.submit_tool_outputs.tool_calls
    assert [call.id for call in pending] == [call.id for call in done]

    second = finished(
        client.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=thread,
            run_id=run.id,
            tool_outputs=outputs_for(run, weather="rain", clock="noon"),
            event_handler=recording_handler(client.EventHandler),
        )
    )
    events = recorder.last_stream.response_sse
    assert names(events) == AFTER_OUTPUTS
    tool_step = events[0]["data"]
    assert tool_step["id"] == opened["id"] and tool_step["usage"]["total_tokens"] > 0
    assert [call["function"]["output"] for call in tool_step["step_details"]["tool_calls"]] == ["rain", "noon"]
    final = second.get_final_run()
    assert (final.status, final.expires_at) == ("completed", None)
    (message,) = second.get_final_messages()
    assert message.content[0].text.value == "weather returned rain\nclock returned noon"
    assert thread_texts(client, thread)[-1] == "weather returned rain\nclock returned noon"


def test_two_rounds(client: Client, recorder: Recorder) -> None:
    lines = ('/echo call weather {"city":"Oslo"}', "/echo then", '/echo call clock {"city":"Oslo"}')
    thread, manager = stream_of(client, *lines)
    run = finished(manager).get_final_run()
    for name, output in (("weather", "rain"), ("clock", "noon")):
        assert run.status == "requires_action"
        stream = finished(
            client.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=thread,
                run_id=run.id,
                tool_outputs=outputs_for(run, **{name: output}),
                event_handler=recording_handler(client.EventHandler),
            )
        )
        run = stream.get_final_run()
        events = names(recorder.last_stream.response_sse)
        if run.status == "requires_action":
            assert events == ["thread.run.step.completed", *AFTER_OUTPUTS[1:3], *CALLS_WAIT]
    assert run.status == "completed" and events == AFTER_OUTPUTS
    assert thread_texts(client, thread)[-1] == "weather returned rain\nclock returned noon"


def test_words_before_a_call(client: Client, recorder: Recorder) -> None:
    _, manager = stream_of(client, "/echo say Let me look.", '/echo call weather {"city":"Oslo"}')
    stream = finished(manager)
    assert names(recorder.last_stream.response_sse) == [*RUN_STARTS, *MESSAGE_STEP, *CALLS_WAIT]
    assert [message.content[0].text.value for message in stream.get_final_messages()] == ["Let me look."]
    assert [step.type for step in stream.get_final_run_steps()] == ["message_creation", "tool_calls"]


def test_a_forced_call(client: Client) -> None:
    choice = {"type": "function", "function": {"name": "clock"}}
    _, manager = stream_of(client, "What time is it?", tools=[function("weather"), function("clock")], tool_choice=choice)
    run = finished(manager).get_final_run()
    assert (run.status, run.tool_choice.function.name) == ("requires_action", "clock")
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("clock", {})


def test_json_answers(client: Client) -> None:
    thread, manager = stream_of(client, "as json", response_format={"type": "json_object"})
    assert finished(manager).get_final_run().status == "completed"
    assert json.loads(thread_texts(client, thread)[-1]) == {"echo": "as json"}


def test_a_refusal(client: Client, recorder: Recorder) -> None:
    _, manager = stream_of(client, "/echo refuse I had rather not.")
    stream = finished(manager)
    assert names(recorder.last_stream.response_sse) == TEXT_RUN
    (message,) = stream.get_final_messages()
    assert (message.content[0].type, message.content[0].refusal) == ("refusal", "I had rather not.")


def test_a_failed_run(client: Client, recorder: Recorder) -> None:
    stream = finished(stream_of(client, "/echo fail 400")[1])
    assert names(recorder.last_stream.response_sse) == [*RUN_STARTS, "thread.run.failed", "done"]
    run = stream.get_final_run()
    assert (run.status, run.expires_at) == ("failed", None) and run.last_error.message


def test_an_answer_cut_off(client: Client, recorder: Recorder) -> None:
    stream = finished(stream_of(client, "/echo length 2", "One two three four")[1])
    assert names(recorder.last_stream.response_sse) == [
        *RUN_STARTS,
        *MESSAGE_OPENS,
        "thread.message.incomplete",
        "thread.run.step.completed",
        "thread.run.incomplete",
        "done",
    ]
    (message,) = stream.get_final_messages()
    assert (message.status, message.incomplete_details.reason) == ("incomplete", "max_tokens")
    assert message.content[0].text.value.strip() == "One two"
    run = stream.get_final_run()
    assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_completion_tokens")
