"""The conformance checks of contract section 16 that apply to this release, each under its number there."""

from __future__ import annotations

import threading

import pytest
from client import Client
from scenarios import (
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
from server import KEYS, Server


def test_check_01_thread_from_an_empty_body(api: Client) -> None:
    answer = api.post("/threads")
    assert answer.status == 200
    created = answer.body
    assert created == {
        "id": created["id"], "object": "thread", "created_at": created["created_at"], "metadata": {}, "tool_resources": {},
    }  # fmt: skip


def test_check_02_empty_list_has_null_ids(api: Client) -> None:
    owner = api.ok("POST", "/threads")["id"]
    empty = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert api.ok("GET", f"/threads/{owner}/runs") == empty
    assert api.ok("GET", f"/threads/{owner}/messages") == empty


def test_check_03_expiry_is_600_seconds_and_null_at_the_end(api: Client, script: ScriptedUpstream) -> None:
    script.script(says())
    run = start(api)
    assert run["expires_at"] - run["created_at"] == 600
    done = settled(api, run)
    assert (done["status"], done["expires_at"]) == ("completed", None)
    assert done["completed_at"] >= done["started_at"] >= done["created_at"]


def test_check_04_submit_answers_queued_with_the_old_start(api: Client, script: ScriptedUpstream) -> None:
    gate = threading.Event()
    script.script(calls(), says(gate=gate))
    waiting = settled(api, start(api))
    assert waiting["status"] == "requires_action"
    assert waiting["usage"] is None
    answer = submit(api, waiting)
    assert answer.status == 200
    queued = answer.body
    assert (queued["status"], queued["required_action"]) == ("queued", None)
    assert (queued["started_at"], queued["expires_at"]) == (waiting["started_at"], waiting["expires_at"])
    resumed = settled(api, waiting, "in_progress")
    gate.set()
    assert resumed["started_at"] >= waiting["started_at"]
    assert resumed["expires_at"] == waiting["expires_at"] == waiting["created_at"] + 600
    assert settled(api, waiting)["status"] == "completed"


def test_check_05_step_usage_sums_to_run_usage(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(usage=(260, 12)), says(usage=(284, 42)))
    waiting = settled(api, start(api))
    assert submit(api, waiting).status == 200
    done = settled(api, waiting)
    per_step = [step["usage"] for step in steps(api, done)]
    assert [(u["prompt_tokens"], u["completion_tokens"], u["total_tokens"]) for u in per_step] == [
        (260, 12, 272), (284, 42, 326),
    ]  # fmt: skip
    assert done["usage"] == {
        "prompt_tokens": 544,
        "completion_tokens": 54,
        "total_tokens": 598,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (
            {"type": "function", "function": {"name": "f"}},
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}},
        ),
        (
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True, "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}},
        ),
        (
            {"type": "function", "function": {"name": "f", "strict": None}},
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}},
        ),
    ],
)  # fmt: skip
def test_check_06_function_tools_are_normalised(api: Client, sent: dict, echoed: dict) -> None:
    created = api.ok("POST", "/assistants", {"model": "gpt-4o", "tools": [sent]})
    assert created["tools"] == [echoed]
    assert api.ok("GET", f"/assistants/{created['id']}")["tools"] == [echoed]


RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"type": "file_search"}, {"ranking_options": RANKING}),
        ({"type": "file_search", "file_search": {}}, {"ranking_options": RANKING}),
        ({"type": "file_search", "file_search": {"max_num_results": 7}}, {"max_num_results": 7, "ranking_options": RANKING}),
        (
            {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 0.5}}},
            {"ranking_options": RANKING | {"score_threshold": 0.5}},
        ),
    ],
)  # fmt: skip
def test_check_06_file_search_ranking_options_are_normalised(api: Client, sent: dict, echoed: dict) -> None:
    created = api.ok("POST", "/assistants", {"model": "gpt-4o", "tools": [sent]})
    assert created["tools"] == [{"type": "file_search", "file_search": echoed}]


def test_check_06_code_interpreter_shows_its_empty_file_list(api: Client) -> None:
    created = api.ok("POST", "/assistants", {"model": "gpt-4o", "tools": [{"type": "code_interpreter"}]})
    assert created["tools"] == [{"type": "code_interpreter"}]
    assert created["tool_resources"] == {"code_interpreter": {"file_ids": []}}


def test_check_11_messages_of_one_second_sort_by_insertion(api: Client) -> None:
    said = [f"message {number}" for number in range(30)]
    owner = thread(api, *({"role": "user", "content": text} for text in said))
    listed = messages(api, owner)
    assert [message["content"][0]["text"]["value"] for message in listed] == said
    newest_first = api.ok("GET", f"/threads/{owner}/messages", query={"limit": 100})["data"]
    assert newest_first == listed[::-1]
    pages, cursor = [], None
    while True:
        page = api.ok("GET", f"/threads/{owner}/messages", query={"limit": 7} | ({"after": cursor} if cursor else {}))
        pages += page["data"]
        if not page["has_more"]:
            break
        cursor = page["last_id"]
    assert pages == newest_first


TEXT_RUN = [
    "thread.run.created", "thread.run.queued", "thread.run.in_progress", "thread.run.step.created",
    "thread.run.step.in_progress", "thread.message.created", "thread.message.in_progress", "thread.message.delta",
    "thread.message.delta", "thread.message.delta", "thread.message.completed", "thread.run.step.completed",
    "thread.run.completed", "done",
]  # fmt: skip


def test_check_12_event_order_of_a_text_run(api: Client, script: ScriptedUpstream) -> None:
    script.script(says("Hello", " there", "!"))
    answer = stream(api)
    deltas = answer.names.count("thread.message.delta")
    assert 1 <= deltas <= 3
    assert answer.names == TEXT_RUN[:7] + ["thread.message.delta"] * deltas + TEXT_RUN[10:]
    assert answer.events[-1].data == "[DONE]"


def test_check_13_requires_action_stream_ends_with_done(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls())
    answer = stream(api)
    assert answer.names[-2:] == ["thread.run.requires_action", "done"]
    assert "thread.run.step.completed" not in answer.names
    assert len(pending(last_run(answer))) == 1


def test_check_14_second_leg_starts_with_the_completed_tool_step(api: Client, script: ScriptedUpstream) -> None:
    script.script(calls(), says())
    first = last_run(stream(api))
    second = submit(api, first, stream=True)
    assert second.names[:3] == ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]
    step = second.events[0].data
    assert step["status"] == "completed"
    assert step["step_details"]["tool_calls"][0]["function"]["output"] == "warm and sunny"
    assert step["usage"]["total_tokens"] == 18
    assert "thread.run.created" not in second.names


def test_check_16_texts_of_the_state_conflicts(api: Client, script: ScriptedUpstream) -> None:
    made = [call(), call()]
    script.script(calls(*made))
    run = settled(api, start(api))
    owner = run["thread_id"]
    conflicts = [
        (api.post(f"/threads/{owner}/messages", {"role": "user", "content": "more"}),
         f"Can't add messages to {owner} while a run {run['id']} is active."),
        (api.post(f"/threads/{owner}/runs", {"assistant_id": run["assistant_id"]}),
         f"Thread {owner} already has an active run {run['id']}."),
        (api.post(f"{path_of(run)}/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": made[0].id, "output": "x"}]}),
         f"Expected tool outputs for call_ids ['{made[0].id}', '{made[1].id}'], got ['{made[0].id}']"),
    ]  # fmt: skip
    assert api.post(f"{path_of(run)}/cancel").status == 200
    done = settled(api, run)
    assert done["status"] == "cancelled"
    conflicts += [
        (api.post(f"{path_of(run)}/cancel"), "Cannot cancel run with status 'cancelled'."),
        (api.post(f"{path_of(run)}/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": made[0].id, "output": "x"}]}),
         'Runs in status "cancelled" do not accept tool outputs.'),
    ]  # fmt: skip
    for answer, text in conflicts:
        assert answer.status == 400
        assert answer.error == {"message": text, "type": "invalid_request_error", "param": None, "code": None}


def test_check_19_before_with_asc_returns_the_head_of_the_list(other_api: Client) -> None:
    made = [assistant(other_api, name=f"Assistant {number}") for number in range(5)]

    def page(**query: str) -> tuple[list[str], bool]:
        body = other_api.ok("GET", "/assistants", query=query)
        return [item["id"] for item in body["data"]], body["has_more"]

    assert page(order="asc", before=made[3]) == (made[:3], False)
    assert page(order="asc", after=made[0], before=made[3]) == (made[1:3], False)
    assert page(order="desc", after=made[3], before=made[0]) == ([made[2], made[1]], False)
    for created in made:
        other_api.delete(f"/assistants/{created}")


def test_check_20_poll_header_is_answered_while_the_run_works(
    server: Server, api: Client, script: ScriptedUpstream
) -> None:
    gate = threading.Event()
    turn = Turn(text=("Hello",), gate=gate)
    script.script(turn)
    run = start(api)
    helper = Client(server.url, KEYS["scripted"], {"x-stainless-poll-helper": "true"})
    working = helper.get(path_of(run))
    assert working.body["status"] in ("queued", "in_progress")
    assert 1 <= int(working.headers["openai-poll-after-ms"]) <= 5000
    assert "openai-poll-after-ms" not in api.get(path_of(run)).headers
    gate.set()
    settled(api, run)
    assert helper.get(path_of(run)).body["status"] == "completed"
    helper.close()


def test_the_model_is_asked_what_the_thread_says(api: Client, script: ScriptedUpstream) -> None:
    """The prompt of a run: instructions, then the messages in order; tools and limits go along."""
    script.script(says())
    owner = assistant(api, instructions="Be brief.", tools=[WEATHER], temperature=0.5)
    run = api.ok("POST", f"/threads/{thread(api)}/runs", {
        "assistant_id": owner, "additional_messages": [{"role": "user", "content": "And now?"}], "max_completion_tokens": 300,
    })  # fmt: skip
    assert settled(api, run)["status"] == "completed"
    sent = script.requests[0]
    assert sent["model"] == "gpt-4o"
    assert sent["temperature"] == 0.5
    assert [(m["role"], m["content"]) for m in sent["messages"]][0][1] == "Be brief."
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "user"]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather"]
    assert set(script.authorizations) == {"Bearer sk-scripted"}
