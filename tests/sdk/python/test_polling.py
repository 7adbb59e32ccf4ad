"""The SDKs' polling helpers, auto-paging and the headers that they read."""

from __future__ import annotations

import json

import httpx
import pytest
from clients import Client
from recording import Recorder
from scenario import (
    POLL_MS,
    completed_run,
    new_assistant,
    new_thread,
    outputs_for,
    settled,
    start_run,
    thread_texts,
    tool_calls,
    waiting_run,
)


def test_create_and_poll(client: Client, recorder: Recorder) -> None:
    thread = new_thread(client, "All done")
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=new_assistant(client), poll_interval_ms=POLL_MS
    )
    assert (run.status, run.usage.completion_tokens) == ("completed", 2)
    assert recorder.last.request_headers["x-stainless-poll-helper"] == "true"
    assert thread_texts(client, thread) == ["All done", "All done"]


def test_the_server_names_the_poll_interval(client: Client, recorder: Recorder) -> None:
    """Without an interval of the caller the SDK waits as long as `openai-poll-after-ms` says."""
    thread, run = start_run(client, "/echo pace 5", "Soon done")
    done = client.beta.threads.runs.poll(thread_id=thread, run_id=run)
    assert done.status == "completed"
    for exchange in recorder.exchanges:
        if exchange.path.endswith(run) and exchange.response_body["status"] in ("queued", "in_progress", "cancelling"):
            assert int(exchange.response_headers["openai-poll-after-ms"]) > 0


def test_poll_header_only_for_the_helper_and_only_while_unfinished(client: Client, http: httpx.Client) -> None:
    thread, run = start_run(client, "/echo pace 2000", "Slow words")
    path, poll = f"/threads/{thread}/runs/{run}", {"x-stainless-poll-helper": "true"}
    unfinished = http.get(path, headers=poll)
    assert unfinished.json()["status"] in ("queued", "in_progress")
    assert int(unfinished.headers["openai-poll-after-ms"]) > 0
    assert "openai-poll-after-ms" not in http.get(path).headers
    client.beta.threads.runs.cancel(thread_id=thread, run_id=run)
    assert settled(client, thread, run).status == "cancelled"
    assert "openai-poll-after-ms" not in http.get(path, headers=poll).headers


def test_create_and_run_poll(client: Client) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=new_assistant(client),
        thread={"messages": [{"role": "user", "content": "Both at once"}]},
        poll_interval_ms=POLL_MS,
    )
    assert run.status == "completed"
    assert thread_texts(client, run.thread_id) == ["Both at once", "Both at once"]


def test_parallel_calls_are_answered_together(client: Client) -> None:
    thread, run = waiting_run(client, 'weather {"city":"Oslo"}', 'clock {"city":"Rome"}')
    waiting = client.beta.threads.runs.retrieve(thread_id=thread, run_id=run)
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("weather", {"city": "Oslo"}),
        ("clock", {"city": "Rome"}),
    ]
    assert all(call.id.startswith("call_") for call in calls) and waiting.usage is None
    outputs = outputs_for(waiting, weather="rain", clock="noon")
    done = client.beta.threads.runs.submit_tool_outputs_and_poll(
        thread_id=thread, run_id=run, tool_outputs=outputs[::-1], poll_interval_ms=POLL_MS
    )
    assert (done.status, done.required_action) == ("completed", None)
    assert thread_texts(client, thread)[-1] == "weather returned rain\nclock returned noon"


def test_calls_one_at_a_time(client: Client) -> None:
    """`parallel_tool_calls=False`: two calls become two turns."""
    lines = ('/echo call weather {"city":"Oslo"}', '/echo call clock {"city":"Oslo"}')
    thread, run = start_run(client, *lines, parallel_tool_calls=False)
    for name, output in (("weather", "rain"), ("clock", "noon")):
        waiting = settled(client, thread, run)
        assert [call.function.name for call in tool_calls(waiting)] == [name]
        outputs = outputs_for(waiting, **{name: output})
        client.beta.threads.runs.submit_tool_outputs(thread_id=thread, run_id=run, tool_outputs=outputs)
    assert settled(client, thread, run).status == "completed"
    assert thread_texts(client, thread)[-1] == "weather returned rain\nclock returned noon"


def test_an_output_may_be_left_out(client: Client) -> None:
    thread, run = waiting_run(client)
    (call,) = tool_calls(client.beta.threads.runs.retrieve(thread_id=thread, run_id=run))
    done = client.beta.threads.runs.submit_tool_outputs_and_poll(
        thread_id=thread, run_id=run, tool_outputs=[{"tool_call_id": call.id}], poll_interval_ms=POLL_MS
    )
    assert done.status == "completed"
    (step,) = [s for s in client.beta.threads.runs.steps.list(thread_id=thread, run_id=run).data if s.type == "tool_calls"]
    assert (step.status, step.step_details.tool_calls[0].id) == ("completed", call.id)


def test_two_rounds_of_calls(client: Client) -> None:
    lines = ('/echo call weather {"city":"Oslo"}', "/echo then", '/echo call clock {"city":"Oslo"}')
    thread = new_thread(client, *lines)
    runs = client.beta.threads.runs
    run = runs.create_and_poll(thread_id=thread, assistant_id=new_assistant(client), poll_interval_ms=POLL_MS)
    started, expires = [run.started_at], [run.expires_at]
    for name, output in (("weather", "rain"), ("clock", "noon")):
        assert run.status == "requires_action"
        outputs = outputs_for(run, **{name: output})
        run = runs.submit_tool_outputs_and_poll(
            thread_id=thread, run_id=run.id, tool_outputs=outputs, poll_interval_ms=POLL_MS
        )
        started.append(run.started_at)
        expires.append(run.expires_at)
    assert run.status == "completed"
    assert started == sorted(started) and expires == [run.created_at + 600] * 2 + [None]
    assert thread_texts(client, thread)[-1] == "weather returned rain\nclock returned noon"
    steps = runs.steps.list(thread_id=thread, run_id=run.id, order="asc").data
    assert [step.type for step in steps] == ["tool_calls", "tool_calls", "message_creation"]


def test_words_before_a_call(client: Client) -> None:
    thread, run = start_run(client, "/echo say Let me look.", '/echo call weather {"city":"Oslo"}')
    waiting = settled(client, thread, run)
    assert waiting.status == "requires_action"
    assert thread_texts(client, thread)[-1] == "Let me look."
    done = client.beta.threads.runs.submit_tool_outputs_and_poll(
        thread_id=thread, run_id=run, tool_outputs=outputs_for(waiting, weather="rain"), poll_interval_ms=POLL_MS
    )
    assert done.status == "completed"
    assert thread_texts(client, thread)[-2:] == ["Let me look.", "weather returned rain"]


def test_a_failing_provider_fails_the_run(client: Client) -> None:
    thread, run = start_run(client, "/echo fail 400")
    done = settled(client, thread, run)
    assert (done.status, done.expires_at) == ("failed", None)
    assert done.failed_at is not None and done.last_error.message
    assert done.usage is not None
    client.beta.threads.messages.create(thread_id=thread, role="user", content="The thread is free again.")


def test_an_answer_cut_off_is_incomplete(client: Client) -> None:
    thread, run = start_run(client, "/echo length 2", "One two three four")
    done = settled(client, thread, run)
    assert (done.status, done.expires_at) == ("incomplete", None)
    assert done.incomplete_details.reason == "max_completion_tokens"
    (message,) = client.beta.threads.messages.list(thread_id=thread, run_id=run).data
    assert (message.status, message.incomplete_details.reason) == ("incomplete", "max_tokens")


def test_a_refusal_is_a_part_of_its_own(client: Client, recorder: Recorder) -> None:
    thread, run = start_run(client, "/echo refuse I had rather not.")
    assert settled(client, thread, run).status == "completed"
    client.beta.threads.messages.list(thread_id=thread, run_id=run)
    (message,) = recorder.last.response_body["data"]
    assert message["content"] == [{"type": "refusal", "refusal": "I had rather not."}]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_forty_five_messages_page_by_page(client: Client, recorder: Recorder, order: str) -> None:
    expected = [f"message {n:02}" for n in range(45)]
    # Many share one second: only the order of creation can tell them apart.
    thread = client.beta.threads.create(messages=[{"role": "user", "content": text} for text in expected[:30]]).id
    for text in expected[30:]:
        client.beta.threads.messages.create(thread_id=thread, role="user", content=text)
    recorder.exchanges.clear()
    found = list(client.every(client.beta.threads.messages.list, thread_id=thread, order=order, limit=10))
    assert [message.content[0].text.value for message in found] == (expected if order == "asc" else expected[::-1])
    assert len({message.id for message in found}) == 45
    pages = [exchange.response_body for exchange in recorder.exchanges]
    assert [page["has_more"] for page in pages] == [True] * 4 + [False]
    for page in pages:
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])


def test_cursors_meet_in_the_middle(client: Client) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(6)]).id
    list_of = client.beta.threads.messages.list
    ids = [message.id for message in list_of(thread_id=thread, order="asc").data]
    between = list_of(thread_id=thread, order="asc", after=ids[0], before=ids[4])
    assert [message.id for message in between.data] == ids[1:4] and between.has_more is False
    between = list_of(thread_id=thread, order="desc", after=ids[4], before=ids[1])
    assert [message.id for message in between.data] == [ids[3], ids[2]]


def test_the_edge_of_a_list(client: Client, recorder: Recorder) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(6)]).id
    for limit, more in ((5, True), (6, False), (7, False)):
        page = client.beta.threads.messages.list(thread_id=thread, limit=limit, order="asc")
        assert (len(page.data), page.has_more) == (min(limit, 6), more)
    client.beta.threads.messages.list(thread_id=thread, order="asc", after=page.data[-1].id)
    assert recorder.last.response_body == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_headers_through_the_raw_response(client: Client) -> None:
    """Every answer's headers are checked by the validation; here: that an SDK hands them out."""
    thread, run = completed_run(client)
    sdk = client.sdk.openai_client if client.name == "portkey" else client.sdk
    raw = sdk.with_raw_response.beta.threads.runs.retrieve(run, thread_id=thread)
    assert raw.parse().id == run
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-version"] == "2020-10-01"
    assert int(raw.headers["openai-processing-ms"]) >= 0
