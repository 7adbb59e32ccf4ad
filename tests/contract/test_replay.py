"""Sends the recorded requests of the hosted API to Loomgate and compares the answers (see `comparison.py`)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client import Answer, Client, Event
from comparison import Comparison
from differences import Table, recorded_table
from recordings import SCENARIOS, applicable, form, model_turns, needs_contract, scenario
from scripted_upstream import ScriptedUpstream
from server import KEYS, Server

pytestmark = needs_contract

RUN = re.compile(r"^/threads/thread_\w+/runs/run_\w+$")
WORKING = ("queued", "in_progress", "cancelling")
POLLED = ("thread.run", "vector_store", "vector_store.file", "vector_store.file_batch")
POLL_TIMEOUT_S = 20
REQUEST_ID = re.compile(r"^req_[0-9a-f]{32}$")


@pytest.fixture(scope="module")
def table() -> Table:
    return recorded_table()


@pytest.fixture(scope="module")
def replayed() -> set[str]:
    return set()


@pytest.fixture(scope="module")
def account(server: Server) -> Iterator[Client]:
    """A workspace with twenty assistants of others in it, as the recorded account had; the newest has a function."""
    client = Client(server.url, KEYS["replay"])
    for _ in range(19):
        client.ok("POST", "/assistants", {"model": "gpt-4o"})
    function = {"name": "get_current_weather", "description": "Gets the user's current weather"}
    client.ok("POST", "/assistants", {"model": "gpt-4o", "tools": [{"type": "function", "function": function}]})
    # And the file that the recorded list still had of another test.
    other = [("file", ("test-file-delete-me.txt", b"x" * 50)), ("purpose", (None, b"assistants"))]
    assert client.request("POST", "/files", form=other).status == 200
    yield client
    client.close()


def test_the_scenarios_are_all_that_need_no_later_release() -> None:
    assert tuple(applicable()) == SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_replay(name: str, account: Client, script: ScriptedUpstream, table: Table, replayed: set[str]) -> None:
    recorded = scenario(name)
    comparison = Comparison(name)
    gate = threading.Event()
    polled = name == "BasicRunOperationsWork"
    for turn in model_turns(recorded):
        turn.gate = gate if polled else None
        script.script(turn)
    for exchange in recorded["exchanges"]:
        comparison.exchange = exchange["n"]
        answer = send(account, comparison, exchange, gate)
        compare(comparison, exchange, answer)
        wait_for_stores(account, answer.body)
    replayed.add(name)
    for file in comparison.live_of.values():
        if file.startswith("file-"):
            account.delete(f"/files/{file}")  # for the lists of the whole account that follow
    unreasoned = [difference for difference in comparison.differences if not table.allows(vars(difference))]
    assert not unreasoned, "\n".join(str(difference) for difference in unreasoned)


def test_every_entry_of_the_table_is_used(table: Table, replayed: set[str]) -> None:
    if replayed != set(SCENARIOS):
        pytest.skip("not every scenario was replayed in this run")
    assert table.unused() == []


class Player:
    """Stands in for the server and answers what was recorded, to try the replay itself."""

    def __init__(self, exchanges: list[dict[str, Any]]) -> None:
        self.exchanges = iter(exchanges)

    def request(
        self, method: str, path: str, body: Any = None, query: Any = None, form: list | None = None
    ) -> Answer:
        recorded = next(self.exchanges)
        assert form is None or len(form) == len(recorded["request_form"])
        assert (method, path, body) == (recorded["method"], recorded["path"], recorded.get("request_body"))
        headers = recorded["response_headers"] | {"x-request-id": "req_" + "0" * 32}
        if headers["openai-processing-ms"] == "Sanitized":
            headers["openai-processing-ms"] = "1"
        events = [Event(event["event"], event["data"]) for event in recorded.get("response_sse", [])]
        body = recorded.get("response_body")
        if "trimmed" in recorded:
            body = body | {"last_id": body["data"][-1]["id"]}
        return Answer(recorded["status"], headers, body, events)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_replay_finds_no_difference_in_the_recording_itself(name: str) -> None:
    recorded = scenario(name)
    comparison, player = Comparison(name), Player(recorded["exchanges"])
    for exchange in recorded["exchanges"]:
        compare(comparison, exchange, send(player, comparison, exchange, threading.Event()))
    assert comparison.differences == []


def send(client: Client | Player, comparison: Comparison, exchange: dict[str, Any], gate: threading.Event) -> Answer:
    """The recorded request with live ids; a poll goes on until the run has got as far as it was in the recording."""
    path = comparison.substitute(exchange["path"])
    query = comparison.substitute(exchange.get("query"))
    body = comparison.substitute(exchange["request_body"]) if "request_body" in exchange else None
    if "request_form" in exchange:
        return client.request(exchange["method"], path, form=form(exchange["request_form"]))
    if exchange["method"] != "GET":
        return client.request(exchange["method"], path, body, query)
    deadline = time.monotonic() + POLL_TIMEOUT_S
    while True:
        if RUN.match(path) and exchange["response_body"]["status"] not in WORKING:
            gate.set()
        answer = client.request("GET", path, body, query)
        if not is_behind(exchange["response_body"], answer.body):
            return answer
        assert time.monotonic() < deadline, f"{path} is still behind the recording: {answer.body}"


def wait_for_stores(client: Client, body: Any) -> None:
    """Until the stores that came along with an assistant are indexed: the recorded client had time to spare here."""
    resources = (body.get("tool_resources") if isinstance(body, dict) else None) or {}
    deadline = time.monotonic() + POLL_TIMEOUT_S
    for store in resources.get("file_search", {}).get("vector_store_ids", []):
        while client.ok("GET", f"/vector_stores/{store}")["status"] == "in_progress":
            assert time.monotonic() < deadline, f"{store} is still being indexed"


def is_behind(recorded: Any, ours: Any) -> bool:
    """Whether what was done already in the recording is under way here."""
    if isinstance(recorded, list) and isinstance(ours, list):
        return any(is_behind(theirs, live) for theirs, live in zip(recorded, ours, strict=False))
    if not isinstance(recorded, dict) or not isinstance(ours, dict):
        return False
    wanted, status = recorded.get("status"), ours.get("status")
    if recorded.get("object") in POLLED and wanted != "queued" and status in WORKING and status != wanted:
        return True
    return is_behind(recorded.get("data"), ours.get("data"))


def compare(comparison: Comparison, exchange: dict[str, Any], answer: Answer) -> None:
    if answer.status != exchange["status"]:
        comparison.differ("status", exchange["status"], answer.status)
        return
    compare_headers(comparison, exchange["response_headers"], answer.headers)
    if "response_sse" in exchange:
        ours = [{"event": event.name, "data": event.data} for event in answer.events]
        comparison.events(exchange["response_sse"], ours)
        return
    ours = answer.body
    if exchange["method"] == "GET":
        ours = as_of_the_recording(exchange["response_body"], ours)
    comparison.bodies(exchange["response_body"], ours, trimmed="trimmed" in exchange)


def compare_headers(comparison: Comparison, recorded: dict[str, str], ours: dict[str, str]) -> None:
    for name in ("content-type", "openai-version"):
        if ours.get(name) != recorded[name]:
            comparison.differ(f"header.{name}", recorded[name], ours.get(name))
    if not ours.get("openai-processing-ms", "").isdigit():
        comparison.differ("header.openai-processing-ms", "milliseconds", ours.get("openai-processing-ms"))
    if not REQUEST_ID.match(ours.get("x-request-id", "")):
        comparison.differ("header.x-request-id", "req_ and 32 hex digits", ours.get("x-request-id"))


def as_of_the_recording(recorded: Any, ours: Any) -> Any:
    """How far a server has got at a poll is a clock's: what was recorded as begun may be further here already."""
    if isinstance(recorded, list) and isinstance(ours, list):
        rest = ours[len(recorded) :]
        return [as_of_the_recording(r, o) for r, o in zip(recorded, ours, strict=False)] + rest
    if not isinstance(recorded, dict) or not isinstance(ours, dict):
        return ours
    if recorded.get("object") == "thread.run" and recorded["status"] == "queued" and ours["status"] == "in_progress":
        assert isinstance(ours["started_at"], int)
        return ours | {"status": "queued", "started_at": None}
    indexed = recorded.get("object") == "vector_store.file" and ours["status"] == "completed"
    if indexed and recorded["status"] == "in_progress":
        return ours | {"status": "in_progress", "usage_bytes": 0}
    return {key: as_of_the_recording(recorded.get(key), value) for key, value in ours.items()}
