"""A run's stream opened again, an addition to the contract: ids that the SDKs skip, and what they read with them."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from clients import Client
from handler import recording_handler
from openai.types.beta import AssistantStreamEvent
from recording import Recorder, parse_events
from scenario import TEXT_RUN, names, new_assistant, new_thread


def streamed(client: Client, recorder: Recorder) -> tuple[str, list[dict[str, Any]]]:
    """A run that the SDK has streamed: its path, and its events."""
    thread = new_thread(client, "alpha beta gamma")
    fields = {"thread_id": thread, "assistant_id": new_assistant(client)}
    handler = recording_handler(client.EventHandler)
    with client.beta.threads.runs.stream(**fields, event_handler=handler) as stream:
        stream.until_done()
    # The ids make no difference to the event handler.
    assert stream.get_final_messages()[0].content[0].text.value == "alpha beta gamma"
    events = recorder.last_stream.response_sse
    assert events is not None and names(events) == TEXT_RUN
    return f"/threads/{thread}/runs/{stream.get_final_run().id}/stream", events


def ids(text: str) -> list[str]:
    return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]


def test_every_event_has_an_id_to_come_back_with(client: Client, http: httpx.Client, recorder: Recorder) -> None:
    path, first = streamed(client, recorder)
    whole = http.get(path)
    assert (whole.status_code, parse_events(whole.text)) == (200, first)
    found = ids(whole.text)
    assert len(found) == len(first)
    assert [int(number) for _, number in (id.split(".") for id in found)] == list(range(1, len(first) + 1))
    for at, last in enumerate(found, 1):
        by_header = http.get(path, headers={"last-event-id": last})
        assert parse_events(by_header.text) == first[at:]
        assert http.get(path, params={"starting_after": last}).text == by_header.text


def test_the_sdk_reads_what_is_left(client: Client, http: httpx.Client, recorder: Recorder) -> None:
    if client.name != "openai":
        pytest.skip("this SDK has no call for paths of one's own")
    path, first = streamed(client, recorder)
    last = ids(http.get(path).text)[7]
    stream = client.sdk.get(
        path,
        cast_to=AssistantStreamEvent,
        stream=True,
        stream_cls=openai.Stream[AssistantStreamEvent],
        options={"headers": {"last-event-id": last}},
    )
    assert [event.event for event in stream] == [event["event"] for event in first[8:-1]]
