"""Files that messages attach for search, and vector stores that are made along with assistants and threads."""

from __future__ import annotations

from typing import Any

import pytest
from clients import Client
from recording import Recorder
from scenario import POLL_MS, settled

FOOD = ("food.md", b"# Food\n\nThe favourite food of the crew is pizza with pineapple.\n")
PETS = ("pets.txt", b"Our cat is called Minka. It is eleven years old.\n")
SEARCH = '/echo call file_search {"queries":["favourite food"]}'
WEEK = ("last_active_at", 7)


def upload(client: Client, *files: tuple[str, bytes]) -> list[str]:
    return [client.files.create(file=file, purpose="assistants").id for file in files]


def searcher(client: Client) -> str:
    return client.beta.assistants.create(model="echo", tools=[{"type": "file_search"}]).id


def attaching(*files: str, content: str = "Look.") -> dict[str, Any]:
    attachments = [{"file_id": file, "tools": [{"type": "file_search"}]} for file in files]
    return {"role": "user", "content": content, "attachments": attachments}


def store_of(client: Client, owner: Any) -> Any:
    (store,) = owner.tool_resources.file_search.vector_store_ids
    return client.vector_stores.retrieve(store)


def expiry(store: Any) -> tuple[str, int]:
    return store.expires_after.anchor, store.expires_after.days


def cited(client: Client, run: Any) -> list[str]:
    (answer,) = client.beta.threads.messages.list(thread_id=run.thread_id, run_id=run.id).data
    return [note.file_citation.file_id for note in answer.content[0].text.annotations]


def test_an_assistant_and_its_store(client: Client, recorder: Recorder) -> None:
    files = upload(client, FOOD, PETS)
    chunking = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}
    new = {"file_ids": files, "chunking_strategy": chunking, "metadata": {"team": "crew"}}
    assistant = client.beta.assistants.create(
        model="echo", tools=[{"type": "file_search"}], tool_resources={"file_search": {"vector_stores": [new]}}
    )
    assert list(recorder.last.response_body["tool_resources"]["file_search"]) == ["vector_store_ids"]
    store = store_of(client, assistant)
    assert (store.file_counts.total, store.metadata, store.expires_after) == (2, {"team": "crew"}, None)
    (one, two) = client.vector_stores.files.list(store.id).data
    assert {one.id, two.id} == set(files)
    assert one.chunking_strategy.static.max_chunk_size_tokens == 200


def test_a_thread_and_its_store(client: Client) -> None:
    food, pets = upload(client, FOOD, PETS)
    resources = {"file_search": {"vector_stores": [{"file_ids": [food]}]}}
    thread = client.beta.threads.create(tool_resources=resources, messages=[attaching(pets)])
    store = store_of(client, thread)
    assert (store.file_counts.total, expiry(store)) == (2, WEEK)
    assert store.expires_at == store.last_active_at + 7 * 86_400
    assert client.beta.threads.retrieve(thread.id).tool_resources == thread.tool_resources


def test_a_run_cites_what_its_thread_began_with(client: Client) -> None:
    (food, _) = files = upload(client, FOOD, PETS)
    thread = {"messages": [attaching(*files, content=SEARCH)]}
    run = client.beta.threads.create_and_run_poll(
        assistant_id=searcher(client), thread=thread, poll_interval_ms=POLL_MS
    )
    assert run.status == "completed", run.last_error
    assert set(cited(client, run)) == {food}
    store = store_of(client, client.beta.threads.retrieve(run.thread_id))
    assert (store.file_counts.completed, expiry(store)) == (2, WEEK)


def test_files_come_along_with_messages_and_runs(client: Client) -> None:
    food, pets = upload(client, FOOD, PETS)
    thread = client.beta.threads.create().id
    message = client.beta.threads.messages.create(thread, **attaching(pets))
    assert [attached.file_id for attached in message.attachments] == [pets]
    store = store_of(client, client.beta.threads.retrieve(thread))
    run = client.beta.threads.runs.create(
        thread_id=thread,
        assistant_id=searcher(client),
        additional_messages=[attaching(food, pets, content=SEARCH)],
    )
    run = settled(client, thread, run.id)
    assert (run.status, set(cited(client, run))) == ("completed", {food})
    again = store_of(client, client.beta.threads.retrieve(thread))
    assert (again.id, again.file_counts.total) == (store.id, 2)
    # What is deleted is not found any more, and leaves the store.
    client.files.delete(food)
    assert client.vector_stores.retrieve(store.id).file_counts.total == 1


def test_what_is_refused(client: Client, stranger: Client) -> None:
    store = client.vector_stores.create().id
    resources = {"file_search": {"vector_store_ids": [store]}}
    thread = client.beta.threads.create(tool_resources=resources)
    assert thread.tool_resources.file_search.vector_store_ids == [store]
    missing = f"No vector store found with id '{store}'"
    with pytest.raises(stranger.errors.NotFoundError, match=missing):
        stranger.beta.threads.create(tool_resources=resources)
    client.vector_stores.delete(store)
    with pytest.raises(client.errors.NotFoundError, match=missing):
        client.beta.assistants.create(model="echo", tool_resources=resources)
    (photo,) = upload(client, ("photo.png", b"\x89PNG"))
    with pytest.raises(client.errors.BadRequestError, match=r"Files with extensions \[\.png\] are not supported") as refused:
        client.beta.threads.create(messages=[attaching(photo)])
    assert (refused.value.code, refused.value.param) == ("unsupported_file", "file_ids")
    with pytest.raises(client.errors.BadRequestError, match="were not found"):
        client.beta.threads.create(messages=[attaching("file-none")])
