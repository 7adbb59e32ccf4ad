"""The SDKs' error classes with the texts and codes of contract section 2."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from clients import Client
from scenario import (
    cancelled_run,
    completed_run,
    new_assistant,
    new_thread,
    outputs_for,
    settled,
    tool_calls,
    waiting_run,
)
from server import FIRST_KEY

NO_KEY = "You didn't provide an API key."
ID = "0" * 24


def refusal(caught: Any) -> tuple[int, str, str | None, str | None]:
    """Status, text, param and code; the type is the same everywhere in this file."""
    error = caught.value
    assert error.type == error.body["type"] == "invalid_request_error"
    assert (error.param, error.code) == (error.body["param"], error.body["code"])
    return error.status_code, error.body["message"], error.param, error.code


def test_a_key_that_nobody_gave_out(intruder: Client) -> None:
    for call in (intruder.models.list, intruder.beta.assistants.list, intruder.beta.threads.create):
        with pytest.raises(intruder.errors.AuthenticationError) as caught:
            call()
        status, text, param, code = refusal(caught)
        assert (status, param, code) == (401, None, "invalid_api_key")
        assert text.startswith("Incorrect API key provided: ") and "lg-nobody-gave-this-key-out" not in text


@pytest.mark.parametrize("path", ["/models", "/assistants", f"/threads/thread_{ID}", "/threads/undefined/runs"])
def test_no_key_at_all(bare: httpx.Client, path: str) -> None:
    answer = bare.get(path, headers={"openai-beta": "assistants=v2"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"], error["code"]) == (401, "invalid_request_error", None, None)
    assert error["message"].startswith(NO_KEY)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer lg-wrong-key-for-everybody"},
        {"x-portkey-api-key": "lg-wrong-key-for-everybody"},
        {"api-key": "lg-wrong-key-for-everybody"},
        # The placeholder of the Portkey SDK is no key, neither alone nor beside a wrong one.
        {"authorization": "Bearer OPENAI_API_KEY", "x-portkey-api-key": "lg-wrong-key-for-everybody"},
        {"authorization": "Bearer OPENAI_API_KEY"},
    ],
)
def test_wrong_keys_in_every_header(bare: httpx.Client, headers: dict[str, str]) -> None:
    answer = bare.get("/assistants", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "lg-wrong-key-for-everybody" not in answer.text


@pytest.mark.parametrize("beta", ["assistants=v1", "vector_stores=v2"])
def test_another_beta(bare: httpx.Client, beta: str) -> None:
    answer = bare.get("/assistants", headers={"authorization": f"Bearer {FIRST_KEY}", "openai-beta": beta})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_beta")


def test_wrong_prefixes(client: Client) -> None:
    threads = client.beta.threads
    thread = threads.create().id
    for call, param, value, prefix in (
        (lambda: threads.retrieve(thread_id="undefined"), "thread_id", "undefined", "thread"),
        (lambda: client.beta.assistants.retrieve(assistant_id="wf_69"), "assistant_id", "wf_69", "asst"),
        (lambda: threads.runs.retrieve(run_id="abc", thread_id=thread), "run_id", "abc", "run"),
        (lambda: threads.messages.retrieve(message_id="abc", thread_id=thread), "message_id", "abc", "msg"),
        (
            lambda: threads.runs.steps.retrieve(step_id="abc", run_id=f"run_{ID}", thread_id=thread),
            "step_id",
            "abc",
            "step",
        ),
        (lambda: threads.runs.create(thread_id=thread, assistant_id="wf_69"), "assistant_id", "wf_69", "asst"),
    ):
        with pytest.raises(client.errors.BadRequestError) as caught:
            call()
        text = f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'."
        assert refusal(caught) == (400, text, param, "invalid_value")


def test_nothing_there(client: Client) -> None:
    threads = client.beta.threads
    thread, run = completed_run(client)
    for call, thing, missing in (
        (lambda: client.beta.assistants.retrieve(assistant_id=f"asst_{ID}"), "assistant", f"asst_{ID}"),
        (lambda: client.beta.assistants.update(assistant_id=f"asst_{ID}", name="x"), "assistant", f"asst_{ID}"),
        (lambda: client.beta.assistants.delete(assistant_id=f"asst_{ID}"), "assistant", f"asst_{ID}"),
        (lambda: threads.runs.create(thread_id=thread, assistant_id=f"asst_{ID}"), "assistant", f"asst_{ID}"),
        (lambda: threads.update(thread_id=f"thread_{ID}", metadata={}), "thread", f"thread_{ID}"),
        (lambda: threads.messages.create(thread_id=f"thread_{ID}", role="user", content="x"), "thread", f"thread_{ID}"),
        (lambda: threads.messages.retrieve(message_id=f"msg_{ID}", thread_id=thread), "message", f"msg_{ID}"),
        (lambda: threads.messages.delete(message_id=f"msg_{ID}", thread_id=thread), "message", f"msg_{ID}"),
        (lambda: threads.runs.retrieve(run_id=f"run_{ID}", thread_id=thread), "run", f"run_{ID}"),
        (lambda: threads.runs.cancel(run_id=f"run_{ID}", thread_id=thread), "run", f"run_{ID}"),
        (lambda: threads.runs.steps.list(run_id=f"run_{ID}", thread_id=thread), "run", f"run_{ID}"),
        (
            lambda: threads.runs.steps.retrieve(step_id=f"step_{ID}", run_id=run, thread_id=thread),
            "run step",
            f"step_{ID}",
        ),
    ):
        with pytest.raises(client.errors.NotFoundError) as caught:
            call()
        assert refusal(caught) == (404, f"No {thing} found with id '{missing}'.", None, None)


def test_the_lock_of_an_active_run(client: Client) -> None:
    thread, run = waiting_run(client)
    messages, runs = client.beta.threads.messages, client.beta.threads.runs
    with pytest.raises(client.errors.BadRequestError) as caught:
        messages.create(thread_id=thread, role="user", content="Hello?")
    assert refusal(caught) == (400, f"Can't add messages to {thread} while a run {run} is active.", None, None)
    with pytest.raises(client.errors.BadRequestError) as caught:
        extra = [{"role": "user", "content": "not kept"}]
        runs.create(thread_id=thread, assistant_id=new_assistant(client), additional_messages=extra)
    assert refusal(caught) == (400, f"Thread {thread} already has an active run {run}.", None, None)

    # Reading and modifying go on, and the refused message is not in the thread.
    (message,) = messages.list(thread_id=thread).data
    messages.update(message_id=message.id, thread_id=thread, metadata={"still": "open"})
    client.beta.threads.update(thread_id=thread, metadata={"still": "open"})
    runs.cancel(run_id=run, thread_id=thread)
    assert settled(client, thread, run).status == "cancelled"
    messages.create(thread_id=thread, role="user", content="Free again.")


def test_eight_runs_at_once(client: Client) -> None:
    """Of several creates on one thread exactly one goes through; the others meet the lock."""
    thread, assistant = new_thread(client, '/echo call weather {"city":"Oslo"}'), new_assistant(client)

    def create(_: int) -> Any:
        try:
            return client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant)
        except client.errors.BadRequestError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(8)))
    errors = [result for result in results if isinstance(result, Exception)]
    (made,) = [result for result in results if result not in errors]
    assert {error.body["message"] for error in errors} == {f"Thread {thread} already has an active run {made.id}."}
    assert [run.id for run in client.beta.threads.runs.list(thread_id=thread).data] == [made.id]


@pytest.mark.parametrize("make, status", [(completed_run, "completed"), (cancelled_run, "cancelled")])
def test_too_late(client: Client, make: Any, status: str) -> None:
    thread, run = make(client)
    with pytest.raises(client.errors.BadRequestError) as caught:
        client.beta.threads.runs.cancel(run_id=run, thread_id=thread)
    assert refusal(caught) == (400, f"Cannot cancel run with status '{status}'.", None, None)
    outputs = [{"tool_call_id": f"call_{ID}", "output": "late"}]
    with pytest.raises(client.errors.BadRequestError) as caught:
        client.beta.threads.runs.submit_tool_outputs(run_id=run, thread_id=thread, tool_outputs=outputs)
    assert refusal(caught) == (400, f'Runs in status "{status}" do not accept tool outputs.', None, None)


def test_outputs_for_other_calls(client: Client) -> None:
    thread, run = waiting_run(client, 'weather {"city":"Oslo"}', 'clock {"city":"Rome"}')
    runs = client.beta.threads.runs
    waiting = runs.retrieve(run_id=run, thread_id=thread)
    first, second = [call.id for call in tool_calls(waiting)]
    foreign = f"call_{ID}"
    for given in ([first], [first, foreign], [first, second, foreign], [first, first], []):
        outputs = [{"tool_call_id": call, "output": "x"} for call in given]
        with pytest.raises(client.errors.BadRequestError) as caught:
            runs.submit_tool_outputs(run_id=run, thread_id=thread, tool_outputs=outputs)
        if given:
            text = f"Expected tool outputs for call_ids {[first, second]}, got {given}"
            assert refusal(caught) == (400, text, None, None)
    assert runs.retrieve(run_id=run, thread_id=thread).status == "requires_action"
    outputs = outputs_for(waiting, weather="rain", clock="noon")
    runs.submit_tool_outputs(run_id=run, thread_id=thread, tool_outputs=outputs)
    assert settled(client, thread, run).status == "completed"


@pytest.mark.parametrize(
    "body, text, param, code",
    [
        ({}, "Missing required parameter: 'assistant_id'.", "assistant_id", "missing_required_parameter"),
        ({"assistant_id": "ASSISTANT", "foo": 1}, "Unknown parameter: 'foo'.", "foo", "unknown_parameter"),
        (
            {"assistant_id": "ASSISTANT", "model": 5},
            "Invalid type for 'model': expected a string, but got an integer instead.",
            "model",
            "invalid_type",
        ),
        (
            {"assistant_id": "ASSISTANT", "temperature": 3},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
            "temperature",
            "decimal_above_max_value",
        ),
        (
            {"assistant_id": "ASSISTANT", "max_prompt_tokens": 10},
            "Invalid 'max_prompt_tokens': integer below minimum value. Expected a value >= 256, but got 10 instead.",
            "max_prompt_tokens",
            "integer_below_min_value",
        ),
    ],
)
def test_bodies_of_create_run(
    client: Client, http: httpx.Client, body: dict[str, Any], text: str, param: str, code: str
) -> None:
    thread, assistant = new_thread(client, "Hello"), new_assistant(client)
    sent = {key: assistant if value == "ASSISTANT" else value for key, value in body.items()}
    answer = http.post(f"/threads/{thread}/runs", json=sent)
    fields = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
    assert (answer.status_code, answer.json()["error"]) == (400, fields)


@pytest.mark.parametrize(
    "query, text, param, code",
    [
        (
            "limit=101",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
            "limit",
            "integer_above_max_value",
        ),
        (
            "limit=0",
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "limit",
            "integer_below_min_value",
        ),
        ("order=up", "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value"),
    ],
)
def test_queries_of_lists(http: httpx.Client, query: str, text: str, param: str, code: str) -> None:
    answer = http.get(f"/assistants?{query}")
    fields = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
    assert (answer.status_code, answer.json()["error"]) == (400, fields)


def test_bodies_that_are_no_json(http: httpx.Client) -> None:
    answer = http.post("/threads", content=b'{"metadata": ', headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("We could not parse the JSON body of your request.")


def test_no_such_url(http: httpx.Client) -> None:
    """What is no URL of the Assistants API is the provider's business, and its answer begins as the original does."""
    answer = http.post("/thread")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Invalid URL (POST /v1/thread)")
