"""Modify Run: `POST /v1/threads/{thread_id}/runs/{run_id}`, metadata only, in any state of the run.

Contract sections 2.2 to 2.4, 3.1 and 8.4.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from clients import Client
from recording import Recorder
from scenario import RUN_IN, completed_run, settled, start_run
from server import FIRST_KEY, VIRTUAL_KEYS

STATES = sorted(RUN_IN)


def stored(client: Client, recorder: Recorder, thread: str, run: str) -> dict[str, Any]:
    client.beta.threads.runs.retrieve(run_id=run, thread_id=thread)
    return recorder.last.response_body


@pytest.mark.parametrize("state", STATES)
def test_metadata_is_replaced_kept_and_cleared(client: Client, recorder: Recorder, state: str) -> None:
    thread, run = RUN_IN[state](client, metadata={"old": "1", "other": "2"})
    before = stored(client, recorder, thread, run)
    assert (before["status"], before["metadata"]) == (state, {"old": "1", "other": "2"})

    for body, expected in [
        ({"metadata": {"new": "3"}}, {"new": "3"}),  # replaced as a whole: the old keys are gone
        ({}, {"new": "3"}),  # field absent: kept
        ({"metadata": {"user_id": "user_abc123", "empty": ""}}, {"user_id": "user_abc123", "empty": ""}),
        ({"metadata": None}, {}),  # null clears
        ({"metadata": {"again": "yes"}}, {"again": "yes"}),
        ({"metadata": {}}, {}),
    ]:
        returned = client.modify_run(thread, run, **body)
        assert recorder.last.request_body == body
        assert (returned.id, returned.metadata) == (run, expected)
        assert recorder.last.response_body == {**before, "metadata": expected}
        assert stored(client, recorder, thread, run) == {**before, "metadata": expected}


def test_the_largest_metadata_is_accepted(client: Client, recorder: Recorder) -> None:
    thread, run = completed_run(client)
    # Characters are counted, not bytes.
    largest = {f"{n:02}" + "ключ" * 15 + "ab": "\N{SNOWMAN}" * 512 for n in range(16)}
    assert {len(key) for key in largest} == {64}
    assert client.modify_run(thread, run, metadata=largest).metadata == largest
    assert stored(client, recorder, thread, run)["metadata"] == largest


LONG_KEY = "k" * 65
REFUSED = {
    "17 pairs": (
        {"metadata": {str(n): "v" for n in range(17)}},
        "Invalid 'metadata': too many properties. "
        "Expected an object with at most 16 properties, but got an object with 17 properties instead.",
        "metadata",
        "object_above_max_properties",
    ),
    "key of 65": (
        {"metadata": {LONG_KEY: "v"}},
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. "
        "Expected a string with maximum length 64, but got a string with length 65 instead.",
        f"metadata.{LONG_KEY}",
        "property_name_above_max_length",
    ),
    "value of 513": (
        {"metadata": {"k": "v" * 513}},
        "Invalid 'metadata.k': string too long. "
        "Expected a string with maximum length 512, but got a string with length 513 instead.",
        "metadata.k",
        "string_above_max_length",
    ),
    "number as value": (
        {"metadata": {"k": 5}},
        "Invalid type for 'metadata.k': expected a string, but got an integer instead.",
        "metadata.k",
        "invalid_type",
    ),
    "null as value": (
        {"metadata": {"k": None}},
        "Invalid type for 'metadata.k': expected a string, but got null instead.",
        "metadata.k",
        "invalid_type",
    ),
    "list as metadata": (
        {"metadata": ["k"]},
        "Invalid type for 'metadata': expected an object, but got an array instead.",
        "metadata",
        "invalid_type",
    ),
    "another field": (
        {"metadata": {"k": "v"}, "status": "completed"},
        "Unknown parameter: 'status'.",
        "status",
        "unknown_parameter",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_bodies_change_nothing(client: Client, recorder: Recorder, case: str) -> None:
    body, message, param, code = REFUSED[case]
    thread, run = completed_run(client, metadata={"kept": "yes"})
    before = stored(client, recorder, thread, run)
    with pytest.raises(client.errors.BadRequestError) as caught:
        client.modify_run(thread, run, **body)
    error = caught.value
    assert (error.body["message"], error.param, error.code) == (message, param, code)
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert stored(client, recorder, thread, run) == before


def test_unknown_runs(client: Client) -> None:
    thread, run = completed_run(client)
    other_thread = client.beta.threads.create().id
    missing = "run_" + "0" * 24
    for wrong_thread, wrong_run in ((thread, missing), (other_thread, run)):
        with pytest.raises(client.errors.NotFoundError) as caught:
            client.modify_run(wrong_thread, wrong_run, metadata={"k": "v"})
        assert caught.value.body == {
            "message": f"No run found with id '{wrong_run}'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    with pytest.raises(client.errors.NotFoundError) as caught:
        client.modify_run("thread_" + "0" * 24, run, metadata={"k": "v"})
    assert caught.value.body["message"] == f"No thread found with id 'thread_{'0' * 24}'."


def test_wrong_prefixes(client: Client) -> None:
    thread, run = completed_run(client)
    for arguments, param, value, prefix in (
        ((thread, "abc"), "run_id", "abc", "run"),
        (("undefined", run), "thread_id", "undefined", "thread"),
    ):
        with pytest.raises(client.errors.BadRequestError) as caught:
            client.modify_run(*arguments, metadata={"k": "v"})
        assert caught.value.body == {
            "message": f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'.",
            "type": "invalid_request_error",
            "param": param,
            "code": "invalid_value",
        }


def test_a_change_made_while_the_run_works_is_kept(client: Client, recorder: Recorder) -> None:
    thread, run = start_run(client, "/echo pace 30", "Ten words that take their time to come out whole.")
    client.modify_run(thread, run, metadata={"during": "work"})
    done = settled(client, thread, run)
    assert (done.status, done.metadata) == ("completed", {"during": "work"})


PORTKEY_HEADERS = {
    "x-portkey-api-key": FIRST_KEY,
    "x-portkey-virtual-key": VIRTUAL_KEYS[FIRST_KEY],
    "openai-beta": "assistants=v2",
}


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {FIRST_KEY}", "openai-beta": "assistants=v2"},
        PORTKEY_HEADERS,
        {**PORTKEY_HEADERS, "authorization": "Bearer OPENAI_API_KEY"},
        {**PORTKEY_HEADERS, "authorization": f"Bearer {FIRST_KEY}"},
        {"api-key": FIRST_KEY, "openai-beta": "assistants=v2"},
        {"authorization": f"Bearer {FIRST_KEY}"},
    ],
    ids=["bearer", "portkey", "portkey-placeholder", "portkey-node", "api-key", "no-beta-header"],
)
def test_plain_http(client: Client, bare: httpx.Client, headers: dict[str, str]) -> None:
    thread, run = completed_run(client, metadata={"old": "1"})
    path = f"/threads/{thread}/runs/{run}"
    before = bare.get(path, headers=headers).json()
    answer = bare.post(path, headers=headers, json={"metadata": {"user_id": "user_abc123"}})
    assert answer.status_code == 200
    assert answer.json() == {**before, "metadata": {"user_id": "user_abc123"}}
    empty = bare.post(path, headers=headers)  # no body at all, no content type
    assert (empty.status_code, empty.json()) == (200, answer.json())
