"""What happens to objects over their life, where no recording or numbered check shows it (contract sections 3 to 8)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from client import Answer, Client
from scenarios import (
    HELLO,
    WEATHER,
    assistant,
    call,
    calls,
    last_run,
    messages,
    outputs,
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

FULL = {
    "model": "gpt-4o", "name": "n", "description": "d", "instructions": "i", "temperature": 0.5, "top_p": 0.25,
    "metadata": {"a": "1", "b": "2"}, "tools": [WEATHER], "response_format": {"type": "json_object"},
    "reasoning_effort": "low", "tool_resources": {"code_interpreter": {"file_ids": []}},
}  # fmt: skip


def test_modify_replaces_what_it_names_and_keeps_the_rest(api: Client) -> None:
    created = api.ok("POST", "/assistants", FULL)
    changed = api.ok("POST", f"/assistants/{created['id']}", {"metadata": {"c": "3"}, "tools": []})
    assert changed == created | {"metadata": {"c": "3"}, "tools": []}
    assert api.ok("POST", f"/assistants/{created['id']}", {}) == changed
    assert api.ok("GET", f"/assistants/{created['id']}") == changed


def test_null_resets(api: Client) -> None:
    created = api.ok("POST", "/assistants", FULL | {"tools": []})
    names = (
        "name", "description", "instructions", "temperature", "top_p", "metadata", "response_format", "reasoning_effort",
        "tool_resources",
    )  # fmt: skip
    reset = api.ok("POST", f"/assistants/{created['id']}", dict.fromkeys(names))
    assert reset == created | {
        "name": None, "description": None, "instructions": None, "temperature": 1.0, "top_p": 1.0, "metadata": {},
        "response_format": "auto", "reasoning_effort": None, "tool_resources": {},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["assistant", "thread", "message", "run"])
def test_metadata_is_replaced_as_a_whole(api: Client, script: ScriptedUpstream, kind: str) -> None:
    script.script(*([says()] if kind == "run" else []))
    if kind == "assistant":
        path = f"/assistants/{assistant(api)}"
    elif kind == "run":
        path = path_of(settled(api, start(api)))
    else:
        owner = thread(api)
        path = f"/threads/{owner}" + (f"/messages/{messages(api, owner)[0]['id']}" if kind == "message" else "")
    before = api.ok("GET", path)
    for sent, shown in (
        ({"metadata": {"a": "1", "b": "2"}}, {"a": "1", "b": "2"}),
        ({}, {"a": "1", "b": "2"}),
        ({"metadata": {"b": ""}}, {"b": ""}),
        ({"metadata": None}, {}),
    ):
        assert api.ok("POST", path, sent) == before | {"metadata": shown}
        assert api.ok("GET", path) == before | {"metadata": shown}


def test_message_parts_are_echoed(api: Client) -> None:
    sent = {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": "https://a.test/x.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": "text", "text": "two"},
        ],
        "attachments": [],
        "metadata": {"k": "v"},
    }
    owner = api.ok("POST", "/threads")["id"]
    answer = api.post(f"/threads/{owner}/messages", sent)
    assert answer.status == 200, answer.body
    made = answer.body
    assert made["content"] == [
        {"type": "text", "text": {"value": "one", "annotations": []}},
        {"type": "image_url", "image_url": {"url": "https://a.test/x.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}},
        {"type": "text", "text": {"value": "two", "annotations": []}},
    ]
    assert made["attachments"] == []
    assert (made["role"], made["assistant_id"], made["run_id"]) == ("assistant", None, None)
    changed = api.ok("POST", f"/threads/{owner}/messages/{made['id']}", {"metadata": {"k": "w"}})
    assert changed == made | {"metadata": {"k": "w"}}


def test_files_that_are_not_there_are_refused(api: Client) -> None:
    """The text is the one that clients match on."""
    attached = {"file_id": "file-0000000000000000000000", "tools": [{"type": "file_search"}]}
    for path, body in (
        (f"/threads/{thread(api)}/messages", HELLO | {"attachments": [attached]}),
        ("/threads", {"messages": [HELLO | {"attachments": [attached]}]}),
    ):
        answer = api.post(path, body)
        assert answer.status == 400
        assert "were not found" in answer.error["message"]


def test_a_run_echoes_its_overrides_and_inherits_the_rest(api: Client, script: ScriptedUpstream) -> None:
    script.script(says(), says())
    owner = assistant(api, **{k: v for k, v in FULL.items() if k not in ("model", "tools", "tool_resources")})
    inherited = api.ok("POST", f"/threads/{thread(api)}/runs", {"assistant_id": owner})
    assert {key: inherited[key] for key in ("model", "temperature", "top_p", "response_format", "reasoning_effort")} == {
        "model": "gpt-4o", "temperature": 0.5, "top_p": 0.25, "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }  # fmt: skip
    assert (inherited["instructions"], inherited["metadata"]) == ("i", {})
    settled(api, inherited)
    overrides: dict[str, Any] = {
        "model": "other", "instructions": "o", "temperature": 0.0, "top_p": 1.0, "tools": [], "metadata": {"r": "1"},
        "max_prompt_tokens": 5000, "max_completion_tokens": 300, "parallel_tool_calls": False, "tool_choice": "none",
        "truncation_strategy": {"type": "last_messages", "last_messages": 2}, "response_format": {"type": "text"},
    }  # fmt: skip
    made = api.ok("POST", f"/threads/{thread(api)}/runs", {"assistant_id": owner} | overrides)
    assert {key: made[key] for key in overrides} == overrides
    settled(api, made)
    sent = script.requests[-1]
    assert (sent["model"], sent["temperature"], sent["top_p"]) == ("other", 0.0, 1.0)
    assert sent["messages"][0]["content"] == "o"


def test_a_run_inherits_more_tools_than_it_may_bring(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    tools = [{"type": "function", "function": {"name": f"f{number}"}} for number in range(128)]
    run = settled(api, start(api, assistant_tools=tools))
    assert len(run["tools"]) == len(script.requests[0]["tools"]) == 128


def test_additional_instructions_follow_the_others(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    owner = assistant(api, instructions="First.")
    body = {"assistant_id": owner, "additional_instructions": "Second."}
    made = api.ok("POST", f"/threads/{thread(api)}/runs", body)
    settled(api, made)
    assert made["instructions"].startswith("First.")
    assert made["instructions"].endswith("Second.")
    assert script.requests[0]["messages"][0]["content"] == made["instructions"]


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tool_choice_is_for_the_first_turn(api: Client, script: ScriptedUpstream, choice: Any) -> None:
    """A forced call is forced once: afterwards the model may answer (contract section 8.9)."""
    script.script(calls(), says())
    waiting = settled(api, start(api, tool_choice=choice))
    assert waiting["tool_choice"] == choice
    assert submit(api, waiting).status == 200
    assert settled(api, waiting)["status"] == "completed"
    first, second = (request.get("tool_choice", "auto") for request in script.requests)
    assert first == choice
    assert second == "auto"


def test_last_messages_cuts_the_prompt_and_not_the_thread(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    on = thread(api, *({"role": "user", "content": f"message {number}"} for number in range(5)))
    cut = {"type": "last_messages", "last_messages": 2}
    run = api.ok("POST", f"/threads/{on}/runs", {"assistant_id": assistant(api), "truncation_strategy": cut})
    assert settled(api, run)["status"] == "completed"
    assert [message["content"] for message in script.requests[0]["messages"]] == ["message 3", "message 4"]
    assert len(messages(api, on)) == 6


def test_a_run_on_an_empty_thread(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    on = api.ok("POST", "/threads")["id"]
    run = api.ok("POST", f"/threads/{on}/runs", {"assistant_id": assistant(api, instructions="Greet.")})
    assert settled(api, run)["status"] == "completed"


def test_a_refused_run_adds_no_message(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls())
    waiting = settled(api, start(api))
    body = {"assistant_id": waiting["assistant_id"], "additional_messages": [HELLO]}
    assert api.post(f"/threads/{waiting['thread_id']}/runs", body).status == 400
    assert len(messages(api, waiting["thread_id"])) == 1
    api.post(f"{path_of(waiting)}/cancel")


def test_the_lock_is_gone_before_the_run_is_told_to_be_over(api: Client, script: ScriptedUpstream) -> None:
    """Clients post the next message inside the handler of `thread.run.completed` (contract section 18)."""
    script.script(says())
    owner, on = assistant(api), thread(api)
    other = Client(api.base.removesuffix("/v1"), "unused", api.headers)
    with api.stream("POST", f"/threads/{on}/runs", {"assistant_id": owner, "stream": True}) as events:
        for event in events:
            if event.name == "thread.run.completed":
                assert other.post(f"/threads/{on}/messages", HELLO).status == 200
                assert other.get(path_of(event.data)).body == event.data
    assert len(messages(api, on)) == 3
    other.close()


def test_outputs_are_taken_as_soon_as_they_are_asked_for(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(), says())
    owner, on = assistant(api, tools=[WEATHER]), thread(api)
    other = Client(api.base.removesuffix("/v1"), "unused", api.headers)
    with api.stream("POST", f"/threads/{on}/runs", {"assistant_id": owner, "stream": True}) as events:
        for event in events:
            if event.name == "thread.run.requires_action":
                answer = other.post(f"{path_of(event.data)}/submit_tool_outputs", {"tool_outputs": outputs(event.data)})
                assert (answer.status, answer.body.get("status")) == (200, "queued")
                run = event.data
    assert settled(other, run)["status"] == "completed"
    other.close()


def test_submitting_the_same_outputs_again_changes_nothing(api: Client, script: ScriptedUpstream) -> None:
    """A client's retry of a lost answer; other outputs are refused."""
    gate = threading.Event()
    script.script(calls(), says(gate=gate))
    waiting = settled(api, start(api))
    assert submit(api, waiting).status == 200
    again = submit(api, waiting)
    assert (again.status, again.body.get("id")) == (200, waiting["id"])
    other = [{"tool_call_id": pending(waiting)[0]["id"], "output": "cold"}]
    assert api.post(f"{path_of(waiting)}/submit_tool_outputs", {"tool_outputs": other}).status == 400
    gate.set()
    assert settled(api, waiting)["status"] == "completed"
    assert len(script.requests) == 2


@pytest.mark.parametrize(("given", "shown"), [
    ([0, 1, 1], "['{0}', '{1}', '{1}']"), ([0], "['{0}']"), ([], "[]"), ([0, 2], "['{0}', '{2}']"),
])  # fmt: skip
def test_outputs_that_do_not_match(api: Client, script: ScriptedUpstream, given: list[int], shown: str) -> None:
    made = [call(), call(), call()]
    script.script(calls(*made[:2]))
    waiting = settled(api, start(api))
    body = [{"tool_call_id": made[index].id, "output": "x"} for index in given]
    answer = api.post(f"{path_of(waiting)}/submit_tool_outputs", {"tool_outputs": body})
    ids = [one.id for one in made]
    expected = f"Expected tool outputs for call_ids ['{ids[0]}', '{ids[1]}'], got {shown.format(*ids)}"
    assert (answer.status, answer.body["error"]["message"]) == (400, expected)
    api.post(f"{path_of(waiting)}/cancel")


def test_outputs_in_any_order_and_without_text(api: Client, script: ScriptedUpstream) -> None:
    made = [call(), call()]
    script.script(calls(*made), says())
    waiting = settled(api, start(api))
    body = [{"tool_call_id": made[1].id}, {"tool_call_id": made[0].id, "output": "first"}]
    assert api.post(f"{path_of(waiting)}/submit_tool_outputs", {"tool_outputs": body}).status == 200
    settled(api, waiting)
    shown = steps(api, waiting)[0]["step_details"]["tool_calls"]
    assert [(entry["id"], entry["function"]["output"]) for entry in shown] == [(made[0].id, "first"), (made[1].id, "")]
    told = [m["content"] for m in script.requests[1]["messages"] if m["role"] == "tool"]
    assert told == ["first", ""]


def test_cancelling_twice_and_at_the_end(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    done = settled(api, start(api))
    answer = api.post(f"{path_of(done)}/cancel")
    assert answer.error["message"] == "Cannot cancel run with status 'completed'."
    script.script(Turn(error=(400, "scripted refusal")))
    failed = settled(api, start(api))
    assert failed["status"] == "failed"
    assert api.post(f"{path_of(failed)}/cancel").error["message"] == "Cannot cancel run with status 'failed'."


def test_a_thread_may_be_deleted_while_it_works(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    turn = says(gate=gate)
    script.script(turn)
    run = start(api)
    assert turn.reached_gate.wait(10)
    assert api.ok("DELETE", f"/threads/{run['thread_id']}")["deleted"] is True
    gate.set()
    assert api.get(path_of(run)).status == 404


def test_a_rate_limit_of_the_provider_is_told_as_one(api: Client, script: ScriptedUpstream) -> None:
    script.script(Turn(error=(429, "Rate limit reached for gpt-4o"), repeat=True))
    answer = stream(api)
    assert answer.names[-2:] == ["thread.run.failed", "done"]
    assert last_run(answer)["last_error"]["code"] == "rate_limit_exceeded"


def test_usage_of_finished_turns_stays_when_a_later_one_fails(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(usage=(18, 1469)), Turn(error=(400, "scripted refusal")))
    waiting = settled(api, start(api))
    assert submit(api, waiting).status == 200
    failed = settled(api, waiting)
    assert failed["status"] == "failed"
    assert (failed["usage"]["prompt_tokens"], failed["usage"]["completion_tokens"]) == (18, 1469)
    assert [step["status"] for step in steps(api, failed)] == ["completed"]


def test_runs_keep_what_the_assistant_was(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    script.script(calls(gate=gate), says())
    run = start(api)
    assert api.delete(f"/assistants/{run['assistant_id']}").status == 200
    gate.set()
    waiting = settled(api, run)
    assert submit(api, waiting).status == 200
    assert settled(api, run)["status"] == "completed"
    later = api.post(f"/threads/{run['thread_id']}/runs", {"assistant_id": run["assistant_id"]})
    gone = f"No assistant found with id '{run['assistant_id']}'."
    assert (later.status, later.error["message"]) == (404, gone)


def test_windows_of_a_list(other_api: Client) -> None:
    """Cursors and limits together (contract section 4)."""
    on = other_api.ok("POST", "/threads", {"messages": [{"role": "user", "content": str(n)} for n in range(6)]})["id"]
    ids = [message["id"] for message in messages(other_api, on)]

    def page(**query: Any) -> tuple[list[int], bool]:
        answer: Answer = other_api.get(f"/threads/{on}/messages", **query)
        body = answer.body
        found = [ids.index(item["id"]) for item in body["data"]]
        assert (body["first_id"], body["last_id"]) == ((ids[found[0]], ids[found[-1]]) if found else (None, None))
        return found, body["has_more"]

    assert page(limit=2) == ([5, 4], True)
    assert page(limit=2, after=ids[4]) == ([3, 2], True)
    assert page(limit=2, after=ids[2]) == ([1, 0], False)
    assert page(limit=6, order="asc") == ([0, 1, 2, 3, 4, 5], False)
    assert page(order="asc", after=ids[5]) == ([], False)
    assert page(order="asc", before=ids[2]) == ([0, 1], False)
    assert page(before=ids[3]) == ([5, 4], False)
    assert page(order="asc", after=ids[0], before=ids[4]) == ([1, 2, 3], False)
