"""Nothing of one workspace exists for a key of another: 404 on every route, empty lists, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

import pytest
from clients import Client
from recording import Recorder
from scenario import new_assistant, tool_calls, waiting_run


@dataclass
class Property:
    """What the first workspace owns: one waiting run with all that belongs to it."""

    assistant: str
    thread: str
    message: str
    run: str
    step: str
    call: str


@pytest.fixture
def owned(client: Client) -> Property:
    thread, run = waiting_run(client, metadata={"owner": "first"})
    waiting = client.beta.threads.runs.retrieve(run_id=run, thread_id=thread)
    (message,) = client.beta.threads.messages.list(thread_id=thread).data
    (step,) = client.beta.threads.runs.steps.list(run_id=run, thread_id=thread).data
    return Property(waiting.assistant_id, thread, message.id, run, step.id, tool_calls(waiting)[0].id)


# Every route with an id, as a call on a client with the other workspace's ids; what is reported missing.
Attempt = Callable[[Any, Property], Any]
ATTEMPTS: dict[str, tuple[str, Attempt]] = {
    "retrieve assistant": ("assistant", lambda beta, o: beta.assistants.retrieve(assistant_id=o.assistant)),
    "modify assistant": ("assistant", lambda beta, o: beta.assistants.update(assistant_id=o.assistant, name="mine")),
    "delete assistant": ("assistant", lambda beta, o: beta.assistants.delete(assistant_id=o.assistant)),
    "retrieve thread": ("thread", lambda beta, o: beta.threads.retrieve(thread_id=o.thread)),
    "modify thread": ("thread", lambda beta, o: beta.threads.update(thread_id=o.thread, metadata={"owner": "me"})),
    "delete thread": ("thread", lambda beta, o: beta.threads.delete(thread_id=o.thread)),
    "list messages": ("thread", lambda beta, o: beta.threads.messages.list(thread_id=o.thread)),
    "create message": (
        "thread",
        lambda beta, o: beta.threads.messages.create(thread_id=o.thread, role="user", content="mine"),
    ),
    "retrieve message": (
        "thread",
        lambda beta, o: beta.threads.messages.retrieve(message_id=o.message, thread_id=o.thread),
    ),
    "modify message": (
        "thread",
        lambda beta, o: beta.threads.messages.update(message_id=o.message, thread_id=o.thread, metadata={"owner": "me"}),
    ),
    "delete message": (
        "thread",
        lambda beta, o: beta.threads.messages.delete(message_id=o.message, thread_id=o.thread),
    ),
    "list runs": ("thread", lambda beta, o: beta.threads.runs.list(thread_id=o.thread)),
    "retrieve run": ("thread", lambda beta, o: beta.threads.runs.retrieve(run_id=o.run, thread_id=o.thread)),
    "modify run": (
        "thread",
        lambda beta, o: beta.threads.runs.update(run_id=o.run, thread_id=o.thread, metadata={"owner": "me"}),
    ),
    "cancel run": ("thread", lambda beta, o: beta.threads.runs.cancel(run_id=o.run, thread_id=o.thread)),
    "submit outputs": (
        "thread",
        lambda beta, o: beta.threads.runs.submit_tool_outputs(
            run_id=o.run, thread_id=o.thread, tool_outputs=[{"tool_call_id": o.call, "output": "mine"}]
        ),
    ),
    "list steps": ("thread", lambda beta, o: beta.threads.runs.steps.list(run_id=o.run, thread_id=o.thread)),
    "retrieve step": (
        "thread",
        lambda beta, o: beta.threads.runs.steps.retrieve(step_id=o.step, run_id=o.run, thread_id=o.thread),
    ),
    "create thread and run": ("assistant", lambda beta, o: beta.threads.create_and_run(assistant_id=o.assistant)),
    "run with their assistant": (
        "assistant",
        lambda beta, o: beta.threads.runs.create(thread_id=beta.threads.create().id, assistant_id=o.assistant),
    ),
}


def state_of(client: Client, recorder: Recorder, owned: Property) -> list[Any]:
    reads = (
        lambda: client.beta.assistants.retrieve(assistant_id=owned.assistant),
        lambda: client.beta.threads.retrieve(thread_id=owned.thread),
        lambda: client.beta.threads.messages.list(thread_id=owned.thread),
        lambda: client.beta.threads.runs.list(thread_id=owned.thread),
        lambda: client.beta.threads.runs.steps.list(run_id=owned.run, thread_id=owned.thread),
    )
    bodies = []
    for read in reads:
        read()
        bodies.append(recorder.last.response_body)
    return bodies


def test_every_route(client: Client, stranger: Client, recorder: Recorder, owned: Property) -> None:
    before = state_of(client, recorder, owned)
    for name, (thing, attempt) in ATTEMPTS.items():
        with pytest.raises(stranger.errors.NotFoundError) as caught:
            attempt(stranger.beta, owned)
        missing = getattr(owned, thing)
        assert (name, caught.value.body["message"]) == (name, f"No {thing} found with id '{missing}'.")
    assert state_of(client, recorder, owned) == before


def test_ids_below_a_thread_of_ones_own(client: Client, stranger: Client, owned: Property) -> None:
    """One's own thread id in the path does not open the other's messages and runs."""
    mine = stranger.beta.threads.create().id
    for thing, missing, call in (
        ("message", owned.message, lambda: stranger.beta.threads.messages.retrieve(message_id=owned.message, thread_id=mine)),
        ("run", owned.run, lambda: stranger.beta.threads.runs.retrieve(run_id=owned.run, thread_id=mine)),
        ("run", owned.run, lambda: stranger.modify_run(mine, owned.run, metadata={"owner": "me"})),
        ("run", owned.run, lambda: stranger.beta.threads.runs.steps.list(run_id=owned.run, thread_id=mine)),
    ):
        with pytest.raises(stranger.errors.NotFoundError) as caught:
            call()
        assert caught.value.body["message"] == f"No {thing} found with id '{missing}'."


def test_lists(client: Client, stranger: Client) -> None:
    theirs, mine = new_assistant(client), new_assistant(stranger)
    seen = {assistant.id for assistant in stranger.every(stranger.beta.assistants.list, limit=100)}
    assert mine in seen and theirs not in seen
    seen = {assistant.id for assistant in client.every(client.beta.assistants.list, limit=100)}
    assert theirs in seen and mine not in seen
