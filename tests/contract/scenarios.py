"""Building blocks of the behaviour tests: assistants, threads, scripted turns, and reading runs."""

from __future__ import annotations

import itertools
import time
from typing import Any

from client import Answer, Client
from scripted_upstream import Call, Turn

POLL_TIMEOUT_S = 20
WORKING = ("queued", "in_progress", "cancelling")
_numbers = itertools.count(1)

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
HELLO = {"role": "user", "content": "Hello, assistant!"}


def call(name: str = "get_weather", *pieces: str) -> Call:
    """A function call with a fresh id of the hosted form; arguments in two pieces unless given."""
    return Call(f"call_{next(_numbers):024d}", name, pieces or ('{"city":', '"Paris"}'))


def says(*words: str, **options: Any) -> Turn:
    return Turn(text=words or ("Hello", " there", "!"), **options)


def calls(*made: Call, **options: Any) -> Turn:
    return Turn(calls=made or (call(),), **options)


def assistant(api: Client, **fields: Any) -> str:
    return api.ok("POST", "/assistants", {"model": "gpt-4o"} | fields)["id"]


def thread(api: Client, *messages: dict[str, Any]) -> str:
    return api.ok("POST", "/threads", {"messages": list(messages or (HELLO,))})["id"]


def start(api: Client, **fields: Any) -> dict[str, Any]:
    """A run on a thread of its own, not streamed: the answer to the POST."""
    tools = fields.pop("assistant_tools", [WEATHER])
    owner = assistant(api, tools=tools)
    return api.ok("POST", f"/threads/{thread(api)}/runs", {"assistant_id": owner} | fields)


def path_of(run: dict[str, Any]) -> str:
    return f"/threads/{run['thread_id']}/runs/{run['id']}"


def settled(api: Client, run: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """The run once it rests (requires_action or terminal), or has one of the wanted statuses."""
    deadline = time.monotonic() + POLL_TIMEOUT_S
    while True:
        found = api.ok("GET", path_of(run))
        if (found["status"] in wanted) if wanted else (found["status"] not in WORKING):
            return found
        assert time.monotonic() < deadline, f"{path_of(run)} is still {found['status']}"


def steps(api: Client, run: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a run, oldest first."""
    return api.ok("GET", f"{path_of(run)}/steps", query={"order": "asc", "limit": 100})["data"]


def messages(api: Client, thread_id: str) -> list[dict[str, Any]]:
    """The messages of a thread, oldest first."""
    return api.ok("GET", f"/threads/{thread_id}/messages", query={"order": "asc", "limit": 100})["data"]


def pending(run: dict[str, Any]) -> list[dict[str, Any]]:
    return run["required_action"]["submit_tool_outputs"]["tool_calls"]


def outputs(run: dict[str, Any]) -> list[dict[str, str]]:
    return [{"tool_call_id": made["id"], "output": "warm and sunny"} for made in pending(run)]


def submit(api: Client, run: dict[str, Any], **fields: Any) -> Answer:
    return api.post(f"{path_of(run)}/submit_tool_outputs", {"tool_outputs": outputs(run)} | fields)


def stream(api: Client, tools: list[dict[str, Any]] | None = None, **fields: Any) -> Answer:
    """A streamed run on a thread of its own, read to the end."""
    owner = assistant(api, tools=[WEATHER] if tools is None else tools)
    answer = api.post(f"/threads/{thread(api)}/runs", {"assistant_id": owner, "stream": True} | fields)
    assert answer.status == 200, answer.body
    return answer


def last_run(answer: Answer) -> dict[str, Any]:
    """The run as the last `thread.run.*` event of a stream shows it."""
    return [event.data for event in answer.events if event.name != "done" and event.data["object"] == "thread.run"][-1]
