"""The validation can fail: whole objects pass, each broken one is found."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from recording import Exchange, parse_events
from validation import EVENTS, check, event_findings

HEADERS = {
    "content-type": "application/json",
    "x-request-id": "req_" + "0" * 32,
    "openai-version": "2020-10-01",
    "openai-processing-ms": "3",
    "x-portkey-trace-id": "0" * 32,
    "x-portkey-retry-attempt-count": "0",
    "x-portkey-last-used-option-index": "config",
    "x-portkey-cache-status": "DISABLED",
    "x-portkey-provider": "loomgate",
}
RUN: dict[str, Any] = {
    "id": "run_1",
    "object": "thread.run",
    "created_at": 1,
    "assistant_id": "asst_1",
    "thread_id": "thread_1",
    "status": "requires_action",
    "started_at": 2,
    "expires_at": 601,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "required_action": {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        },
    },
    "last_error": None,
    "model": "echo",
    "instructions": "",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": False}}],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "max_completion_tokens": None,
    "max_prompt_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "incomplete_details": None,
    "usage": None,
    "response_format": "auto",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}


def answer(body: Any, status: int = 200, method: str = "GET", path: str = "/threads/t/runs/r", **headers: str) -> Exchange:
    return Exchange(method, path, {}, None, status, {**HEADERS, **headers}, response_body=body)


def broken(change: dict[str, Any], without: str = "") -> dict[str, Any]:
    return {key: value for key, value in {**copy.deepcopy(RUN), **change}.items() if key != without}


def test_a_whole_run_passes() -> None:
    assert check(answer(RUN)) == []


@pytest.mark.parametrize(
    "run",
    [
        broken({}, without="status"),
        broken({}, without="parallel_tool_calls"),
        broken({"status": "sleeping"}),
        broken({"created_at": "1"}),
        broken({"created_at": 1.5}),
        broken({"metadata": {"a": 1}}),
        broken({"instructions": None}),
        broken({"tools": {}}),
        broken({"usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
        broken({"required_action": {"type": "submit_tool_outputs", "submit_tool_outputs": {}}}),
        broken({"object": "run"}),
        {},
        [],
        None,
    ],
)
def test_a_broken_run_is_found(run: Any) -> None:
    assert check(answer(run)) != []


def test_a_broken_item_of_a_list_is_found() -> None:
    page = {"object": "list", "data": [RUN], "first_id": "run_1", "last_id": "run_1", "has_more": False}
    path = "/threads/t/runs"
    assert check(answer(page, path=path)) == []
    assert check(answer({**page, "data": [broken({}, without="model")]}, path=path)) != []
    for key in page:
        assert check(answer({k: v for k, v in page.items() if k != key}, path=path)) != []


def test_errors_need_all_four_fields() -> None:
    fields = {"message": "m", "type": "invalid_request_error", "param": None, "code": None}
    assert check(answer({"error": fields}, status=404)) == []
    for key in fields:
        assert check(answer({"error": {k: v for k, v in fields.items() if k != key}}, status=404)) != []
    assert check(answer(fields, status=404)) != []


@pytest.mark.parametrize("name", HEADERS)
def test_every_answer_carries_the_headers(name: str) -> None:
    assert check(answer(RUN, **{name: " "})) != []


def test_an_unknown_route_is_a_finding() -> None:
    assert check(answer(RUN, path="/threads/t/runs/r/again")) != []


def test_events_are_validated_one_by_one() -> None:
    assert len(EVENTS) == 25 - 1  # all of contract section 10.1, `done` having no object
    assert event_findings({"event": "thread.run.created", "data": RUN}, "") == []
    assert event_findings({"event": "thread.run.created", "data": broken({}, without="id")}, "") != []
    assert event_findings({"event": "thread.run.paused", "data": RUN}, "") != []
    assert event_findings({"event": "error", "data": {"message": "bare"}}, "") != []


def test_a_stream_has_one_done_at_its_end() -> None:
    def stream(text: str) -> list[str]:
        exchange = answer(None, method="POST", path="/threads/t/runs")
        exchange.response_headers["content-type"] = "text/event-stream; charset=utf-8"
        exchange.response_sse = parse_events(text)
        return check(exchange)

    assert stream("event: done\ndata: [DONE]\n\n") == []
    assert stream("") != []
    assert stream("event: done\ndata: [DONE]\n\n" * 2) != []
    assert stream("event: done\ndata: {}\n\n") != []
