"""The events of every kind of stream: their names in order (`snapshots/events.txt`), states and deltas."""

from __future__ import annotations

import threading
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from client import Answer, Client, Event
from scenarios import (
    HELLO,
    WEATHER,
    assistant,
    call,
    calls,
    last_run,
    messages,
    path_of,
    pending,
    says,
    settled,
    start,
    steps,
    stream,
    submit,
    thread,
)  # fmt: skip
from scripted_upstream import ScriptedUpstream, Turn

SNAPSHOT = Path(__file__).parent / "snapshots" / "events.txt"


def table() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in SNAPSHOT.read_text().splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return sections


def collapsed(names: list[str]) -> list[str]:
    joined = []
    for name, group in groupby(names):
        joined += [f"{name} *"] if name.endswith(".delta") else list(group)
    return joined


def expect(section: str, answer: Answer) -> None:
    assert collapsed(answer.names) == table()[section], section
    check_payloads(answer.events)


def check_payloads(events: list[Event]) -> None:
    """Each payload is the object that its name says, in that state; only one message is open at a time."""
    open_message: str | None = None
    seen_steps: set[str] = set()
    for event in events[:-1]:
        kind, _, state = event.name.rpartition(".")
        data = event.data
        if state == "delta":
            assert data["object"] == event.name
            assert set(data) == {"id", "object", "delta"}
            known = {open_message} if kind == "thread.message" else seen_steps
            assert data["id"] in known, f"a delta of {data['id']}, which is not open"
            continue
        assert data["object"] == kind, event
        if kind == "thread":
            continue
        shown = {"created": "queued" if kind == "thread.run" else "in_progress"}.get(state, state)
        assert data["status"] == shown, event
        if kind == "thread.run.step" and state == "created":
            seen_steps.add(data["id"])
        elif kind == "thread.message" and state == "created":
            assert open_message is None, "a second message was opened"
            open_message = data["id"]
        elif kind == "thread.message" and state in ("completed", "incomplete"):
            assert open_message == data["id"]
            open_message = None
    assert open_message is None, "the stream ended with an open message"
    assert events[-1] == Event("done", "[DONE]")


def deltas(answer: Answer, kind: str) -> list[Any]:
    return [event.data["delta"] for event in answer.events if event.name == f"{kind}.delta"]


def named(answer: Answer, name: str) -> Any:
    return next(event.data for event in answer.events if event.name == name)


def test_text(api: Client, script: ScriptedUpstream) -> None:
    script.script(says("Hello", " there", "!", " ✓ \u2028 ok"))
    answer = stream(api)
    expect("text", answer)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    done = last_run(answer)
    assert answer.names[-2] == "thread.run.completed"
    stored = messages(api, done["thread_id"])[-1]
    assert stored["content"] == [{"type": "text", "text": {"value": "Hello there! ✓ \u2028 ok", "annotations": []}}]
    assert named(answer, "thread.message.completed") == stored
    assert named(answer, "thread.message.created")["content"] == []
    created, working = named(answer, "thread.run.step.created"), named(answer, "thread.run.step.in_progress")
    assert created == working
    assert created["step_details"] == {"type": "message_creation", "message_creation": {"message_id": stored["id"]}}
    assert created["created_at"] == stored["created_at"]
    assert api.ok("GET", path_of(done)) == done


def test_text_deltas(api: Client, script: ScriptedUpstream) -> None:
    """Contract section 10.9: the first delta has `annotations: []`, later ones only a value; index everywhere."""
    gate = threading.Event()
    turn = says("Hello", " there", "!", gate=gate, gate_after=1)
    script.script(turn)
    owner = assistant(api)
    with api.stream("POST", f"/threads/{thread(api)}/runs", {"assistant_id": owner, "stream": True}) as events:
        first = next(event for event in events if event.name == "thread.message.delta")
        # The first word is here although the model has not gone on: deltas are not held back.
        assert turn.reached_gate.is_set()
        gate.set()
        later = [event.data["delta"] for event in events if event.name == "thread.message.delta"]
    part = {"index": 0, "type": "text", "text": {"value": "Hello", "annotations": []}}
    assert first.data["delta"] == {"content": [part]}
    assert later
    for delta in later:
        value = delta["content"][0]["text"]["value"]
        assert delta == {"content": [{"index": 0, "type": "text", "text": {"value": value}}]}
    assert "".join(delta["content"][0]["text"]["value"] for delta in later) == " there!"


def test_function_call_both_legs(api: Client, script: ScriptedUpstream) -> None:
    made = call("get_weather", '{"city":', '"Par', 'is"}')
    script.script(calls(made), says())
    first = stream(api)
    expect("function call, first leg", first)
    created = named(first, "thread.run.step.created")
    assert created["step_details"] == {"type": "tool_calls", "tool_calls": []}
    waiting = last_run(first)
    assert waiting["usage"] is None
    whole = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert pending(waiting) == [{"id": made.id, "type": "function", "function": whole}]

    start_of_call = {"name": "get_weather", "arguments": "", "output": None}
    entries = [delta["step_details"] for delta in deltas(first, "thread.run.step")]
    assert all(set(entry) == {"type", "tool_calls"} and entry["type"] == "tool_calls" for entry in entries)
    opened, *pieces = [entry["tool_calls"][0] for entry in entries]
    assert opened == {"index": 0, "id": made.id, "type": "function", "function": start_of_call}
    for piece in pieces:
        said = piece["function"]["arguments"]
        assert piece == {"index": 0, "type": "function", "function": {"arguments": said}}
    assert "".join(piece["function"]["arguments"] for piece in pieces) == '{"city":"Paris"}'

    second = submit(api, waiting, stream=True)
    expect("function call, second leg", second)
    tool_step = second.events[0].data
    assert tool_step["id"] == created["id"]
    assert tool_step["step_details"]["tool_calls"] == [
        {"id": made.id, "type": "function", "function": whole | {"output": "warm and sunny"}}
    ]
    assert tool_step["expires_at"] == waiting["expires_at"]
    listed = steps(api, waiting)
    assert [step["type"] for step in listed] == ["tool_calls", "message_creation"]
    assert [step["status"] for step in listed] == ["completed", "completed"]
    assert [step["expires_at"] for step in listed] == [None, None]
    roles = [message["role"] for message in script.requests[1]["messages"]]
    assert roles[-2:] == ["assistant", "tool"]


def test_second_leg_that_calls_again(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(), calls(), says())
    first = last_run(stream(api))
    second = submit(api, first, stream=True)
    expect("second leg that calls again", second)
    third = submit(api, last_run(second), stream=True)
    expect("function call, second leg", third)
    assert last_run(third)["usage"]["total_tokens"] == 3 * 18


def test_parallel_calls(api: Client, script: ScriptedUpstream) -> None:
    made = [call("get_weather"), call("get_weather", "{}")]
    script.script(calls(*made), says())
    answer = stream(api)
    expect("parallel function calls", answer)
    entries = [entry for delta in deltas(answer, "thread.run.step") for entry in delta["step_details"]["tool_calls"]]
    assert [entry["index"] for entry in entries] == sorted(entry["index"] for entry in entries), "interleaved calls"
    for index, expected in enumerate(made):
        mine = [entry for entry in entries if entry["index"] == index]
        assert [entry["id"] for entry in mine if "id" in entry] == [expected.id], "the id comes once"
        assert [e["function"]["name"] for e in mine if "name" in e["function"]] == ["get_weather"], (
            "the name comes once"
        )
        assert "".join(entry["function"]["arguments"] for entry in mine) == "".join(expected.arguments)
    waiting = last_run(answer)
    assert [made_call["id"] for made_call in pending(waiting)] == [made[0].id, made[1].id]
    expect("function call, second leg", submit(api, waiting, stream=True))


def test_text_before_a_function_call(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(call(), text=("Let", " me", " look.")), says())
    answer = stream(api)
    expect("text before a function call", answer)
    waiting = last_run(answer)
    assert [step["type"] for step in steps(api, waiting)] == ["message_creation", "tool_calls"]
    expect("function call, second leg", submit(api, waiting, stream=True))
    texts = [message["content"][0]["text"]["value"] for message in messages(api, waiting["thread_id"])]
    assert texts == ["Hello, assistant!", "Let me look.", "Hello there!"]
    done = settled(api, waiting)
    assert done["usage"]["total_tokens"] == sum(step["usage"]["total_tokens"] for step in steps(api, done)) == 36


def test_refusal(api: Client, script: ScriptedUpstream) -> None:
    script.script(Turn(refusal=("I", " can't.")))
    answer = stream(api)
    expect("refusal", answer)
    assert named(answer, "thread.message.completed")["content"] == [{"type": "refusal", "refusal": "I can't."}]
    parts = [delta["content"][0] for delta in deltas(answer, "thread.message")]
    assert all(part["index"] == 0 and part["type"] == "refusal" for part in parts)
    assert "".join(part["refusal"] for part in parts) == "I can't."


def test_create_thread_and_run(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    body = {"assistant_id": assistant(api), "thread": {"messages": [HELLO], "metadata": {"a": "b"}}, "stream": True}
    answer = api.post("/threads/runs", body)
    expect("create thread and run", answer)
    assert answer.events[0].data["metadata"] == {"a": "b"}
    assert last_run(answer)["thread_id"] == answer.events[0].data["id"]


def check_failed(run: dict[str, Any]) -> None:
    assert run["status"] == "failed"
    assert run["failed_at"] >= run["created_at"]
    assert run["expires_at"] is None
    assert set(run["last_error"]) == {"code", "message"}
    assert run["last_error"]["code"] == "server_error"
    assert run["usage"]["total_tokens"] == 0


def test_failed_with_nothing_open(api: Client, script: ScriptedUpstream) -> None:
    script.script(Turn(error=(401, "scripted refusal of the key")))
    answer = stream(api)
    expect("failed, nothing open", answer)
    run = last_run(answer)
    check_failed(run)
    assert len(messages(api, run["thread_id"])) == 1


@pytest.mark.parametrize("turn", [
    pytest.param(Turn(text=("Hello", " there"), fault_after=1, repeat=True), id="error-object"),
    pytest.param(Turn(text=("Hello", " there"), break_after=1, repeat=True), id="cut"),
])  # fmt: skip
def test_failed_with_a_message_open(api: Client, script: ScriptedUpstream, turn: Turn) -> None:
    """The last attempt's message stays open until the run fails; an earlier attempt's is closed and begun anew."""
    script.script(turn)
    answer = stream(api)
    expected = table()["failed, message open"]
    attempt, end = expected[5:9], expected[9:]
    found = collapsed(answer.names)
    check_payloads(answer.events)
    assert found[:5] == expected[:5]
    assert found[-len(attempt + end) :] == attempt + end
    retries = found[5 : -len(attempt + end)]
    assert [name for name in retries if "step" not in name] == attempt * retries.count("thread.message.created")
    incomplete = [event.data for event in answer.events if event.name == "thread.message.incomplete"]
    assert all(message["incomplete_details"] == {"reason": "run_failed"} for message in incomplete)
    assert incomplete[-1]["content"][0]["text"]["value"] == "Hello"
    run = last_run(answer)
    check_failed(run)
    # The last attempt's message stays in the thread, those of earlier attempts do not.
    kept = [message for message in messages(api, run["thread_id"]) if message["role"] == "assistant"]
    assert [message["id"] for message in kept] == [incomplete[-1]["id"]]
    assert kept[0]["status"] == "incomplete"
    failed_step = [event.data for event in answer.events if event.name == "thread.run.step.failed"][-1]
    assert failed_step["last_error"] == run["last_error"]


def test_cancelled_with_a_message_open(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    turn = says("Hello", " there", gate=gate, gate_after=1)
    script.script(turn)
    answer, run = cancelled_in_the_middle(api, "thread.message.delta")
    gate.set()
    expect("cancelled, message open", answer)
    message = named(answer, "thread.message.incomplete")
    assert message["incomplete_details"] == {"reason": "run_cancelled"}
    assert message["content"][0]["text"]["value"] == "Hello"
    assert named(answer, "thread.run.step.cancelled")["cancelled_at"] is not None
    check_cancelled(api, run)


def test_cancelled_with_nothing_open(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    turn = says(gate=gate)
    script.script(turn)
    answer, run = cancelled_in_the_middle(api, "thread.run.in_progress", turn)
    gate.set()
    expect("cancelled, nothing open", answer)
    check_cancelled(api, run)


def cancelled_in_the_middle(api: Client, at: str, turn: Turn | None = None) -> tuple[Answer, dict[str, Any]]:
    """Streams a run and cancels it from another connection when the event `at` has come."""
    owner, on = assistant(api), thread(api)
    answer = Answer(200, {})
    cancelling = None
    other = Client(api.base.removesuffix("/v1"), "unused", api.headers)
    with api.stream("POST", f"/threads/{on}/runs", {"assistant_id": owner, "stream": True}) as events:
        for event in events:
            answer.events.append(event)
            if event.name == at and cancelling is None:
                assert turn is None or turn.reached_gate.wait(10), "the model was not called"
                run = last_run(answer)
                cancelling = other.ok("POST", f"{path_of(run)}/cancel")
    other.close()
    assert cancelling["status"] in ("cancelling", "cancelled")
    assert cancelling["required_action"] is None
    if cancelling["status"] == "cancelling":
        assert cancelling["expires_at"] == run["expires_at"]
        assert (cancelling["cancelled_at"], cancelling["usage"]) == (None, None)
    return answer, run


def check_cancelled(api: Client, run: dict[str, Any]) -> None:
    found = settled(api, run)
    assert found["status"] == "cancelled"
    assert found["cancelled_at"] >= found["created_at"]
    assert found["expires_at"] is None


def test_cancelled_while_it_waits_for_outputs(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls())
    waiting = settled(api, start(api))
    answer = api.post(f"{path_of(waiting)}/cancel", {})
    assert answer.status == 200
    assert answer.body["required_action"] is None
    check_cancelled(api, waiting)
    assert [step["status"] for step in steps(api, waiting)] == ["cancelled"]


def test_expired_with_a_message_open(short_api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    script.script(says("Hello", " there", gate=gate, gate_after=1))
    answer = stream(short_api)
    gate.set()
    expect("expired, message open", answer)
    message = named(answer, "thread.message.incomplete")
    assert message["incomplete_details"] == {"reason": "run_expired"}
    assert named(answer, "thread.run.step.expired")["expired_at"] is not None
    run = last_run(answer)
    assert run["expires_at"] is None
    assert "expired_at" not in run
    assert named(answer, "thread.run.created")["expires_at"] - run["created_at"] == 2


def test_expired_while_it_waits_for_outputs(short_api: Client, script: ScriptedUpstream) -> None:
    script.script(calls())
    waiting = settled(short_api, start(short_api))
    assert waiting["status"] == "requires_action"
    run = settled(short_api, waiting, "expired")
    assert run["expires_at"] is None
    assert run["required_action"] is None
    assert [step["status"] for step in steps(short_api, run)] == ["expired"]
    late = submit(short_api, waiting)
    assert late.status == 400
    assert late.error["message"] == 'Runs in status "expired" do not accept tool outputs.'
    # The thread is free again.
    more = short_api.post(f"/threads/{run['thread_id']}/messages", HELLO)
    assert more.status == 200


def test_incomplete(api: Client, script: ScriptedUpstream) -> None:
    script.script(says("Hello", " th", finish_reason="length"))
    answer = stream(api, max_completion_tokens=256)
    expect("incomplete, model stopped at its length", answer)
    message = named(answer, "thread.message.incomplete")
    assert message["incomplete_details"] == {"reason": "max_tokens"}
    assert message["content"][0]["text"]["value"] == "Hello th"
    run = last_run(answer)
    assert run["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert (run["expires_at"], run["completed_at"]) == (None, None)
    assert run["usage"]["total_tokens"] == 18


def test_content_filter(api: Client, script: ScriptedUpstream) -> None:
    """The run fails: strict clients know two reasons of an incomplete run; this is neither (contract section 18)."""
    script.script(says("Hello", " th", finish_reason="content_filter"))
    answer = stream(api)
    expect("failed, message open", answer)
    assert named(answer, "thread.message.incomplete")["incomplete_details"] == {"reason": "content_filter"}
    run = last_run(answer)
    assert (run["status"], run["incomplete_details"]) == ("failed", None)


def test_errors_before_a_stream_are_json(api: Client) -> None:
    answer = api.post(f"/threads/{thread(api)}/runs", {"assistant_id": "asst_000000000000000000000000", "stream": True})
    assert answer.status == 404
    assert answer.error["message"] == "No assistant found with id 'asst_000000000000000000000000'."


def test_a_client_that_leaves_does_not_end_the_run(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    script.script(says("Hello", " there", gate=gate, gate_after=1))
    owner, on = assistant(api, tools=[WEATHER]), thread(api)
    with api.stream("POST", f"/threads/{on}/runs", {"assistant_id": owner, "stream": True}) as events:
        run = next(event.data for event in events if event.name == "thread.run.created")
    gate.set()
    assert settled(api, run)["status"] == "completed"
    assert messages(api, on)[-1]["content"][0]["text"]["value"] == "Hello there"
