"""`Idempotency-Key` through the SDKs, which send none unless they are told to."""

from __future__ import annotations

from clients import Client
from recording import Recorder
from scenario import new_assistant, new_thread


def test_a_creation_under_a_key_takes_place_once(client: Client, recorder: Recorder) -> None:
    headers = {"Idempotency-Key": f"thread-{client.name}"}
    first = client.beta.threads.create(metadata={"n": "1"}, extra_headers=headers)
    again = client.beta.threads.create(metadata={"n": "1"}, extra_headers=headers)
    assert (again.id, again.metadata) == (first.id, {"n": "1"})
    other = client.beta.threads.create(metadata={"n": "1"})
    assert other.id != first.id


def test_a_run_is_created_and_streamed_once(client: Client, recorder: Recorder) -> None:
    fields = {"thread_id": new_thread(client, "alpha beta"), "assistant_id": new_assistant(client)}
    told = []
    for _ in range(2):
        headers = {"Idempotency-Key": f"run-{client.name}"}
        with client.beta.threads.runs.create(**fields, stream=True, extra_headers=headers) as stream:
            told.append([event.event for event in stream])
    assert told[0] == told[1]
    runs = client.beta.threads.runs.list(thread_id=fields["thread_id"])
    assert len(runs.data) == 1
