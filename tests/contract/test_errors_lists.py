"""Errors of list parameters (contract sections 2.4 and 4), on every list."""

from __future__ import annotations

import pytest
from client import Client
from routes import LISTS, NOWHERE, expect_error, filled

CURSOR_NOUNS = {"assistants": "assistant", "messages": "message", "runs": "run", "steps": "run step"}
CURSORS = {"assistants": "assistant_id", "messages": "message_id", "runs": "run_id", "steps": "step_id"}

BAD = [
    ("limit", "0", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
     "integer_below_min_value"),
    ("limit", "-5", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got -5 instead.",
     "integer_below_min_value"),
    ("limit", "101", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
     "integer_above_max_value"),
    ("limit", "abc", "Invalid type for 'limit': expected an integer, but got a string instead.", "invalid_type"),
    ("order", "bogus", "Invalid value: 'bogus'. Supported values are: 'asc' and 'desc'.", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("parameter", "value", "text", "code"), BAD)
def test_bad_parameter(
    api: Client, world: dict[str, str], path: str, parameter: str, value: str, text: str, code: str
) -> None:
    expect_error(api.get(filled(path, world), **{parameter: value}), 400, text, parameter, code)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 100])
def test_limits_at_the_edge(api: Client, world: dict[str, str], path: str, limit: int) -> None:
    assert api.get(filled(path, world), limit=limit).status == 200


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("cursor", ["after", "before"])
def test_unknown_cursor(api: Client, world: dict[str, str], path: str, cursor: str) -> None:
    kind = path.rsplit("/", 1)[-1]
    unknown = NOWHERE[CURSORS[kind]]
    answer = api.get(filled(path, world), **{cursor: unknown})
    assert answer.status == 400
    assert answer.error["message"] == f"No {CURSOR_NOUNS[kind]} found with id '{unknown}'."
    assert answer.error["type"] == "invalid_request_error"


def test_messages_of_an_unknown_run_are_none(api: Client, world: dict[str, str]) -> None:
    path = f"/threads/{world['thread_id']}/messages"
    assert len(api.get(path, run_id=world["run_id"]).body["data"]) == 1
    unknown = api.get(path, run_id=NOWHERE["run_id"])
    assert (unknown.status, unknown.body["data"]) == (200, [])
