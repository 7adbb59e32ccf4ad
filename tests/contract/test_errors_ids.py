"""Errors about ids (contract section 2.2): wrong prefixes, things that are not there, other workspaces."""

from __future__ import annotations

import pytest
from client import Client
from routes import NOUNS, NOWHERE, OPERATIONS, PREFIXES, expect_error, filled, parameters

WITH_IDS = [(name, parameter) for name, (_, path, _) in OPERATIONS.items() for parameter in parameters(path)]


def send(api: Client, operation: str, ids: dict[str, str]):
    method, path, body = OPERATIONS[operation]
    return api.request(method, filled(path, ids), filled(body, ids))


@pytest.mark.parametrize(("operation", "parameter"), WITH_IDS)
@pytest.mark.parametrize("wrong", ["undefined", "wf_69", "x" * 200])
def test_wrong_prefix(api: Client, world: dict[str, str], operation: str, parameter: str, wrong: str) -> None:
    answer = send(api, operation, world | {parameter: wrong})
    text = f"Invalid '{parameter}': '{wrong}'. Expected an ID that begins with '{PREFIXES[parameter]}'."
    expect_error(answer, 400, text, parameter, "invalid_value")


@pytest.mark.parametrize("operation", ["create run", "create thread and run"])
def test_wrong_prefix_of_the_assistant(api: Client, world: dict[str, str], operation: str) -> None:
    answer = send(api, operation, world | {"assistant_id": "wf_69"})
    text = "Invalid 'assistant_id': 'wf_69'. Expected an ID that begins with 'asst'."
    expect_error(answer, 400, text, "assistant_id", "invalid_value")


@pytest.mark.parametrize(("operation", "parameter"), WITH_IDS)
def test_not_found(api: Client, world: dict[str, str], operation: str, parameter: str) -> None:
    """Only this id names nothing; all others of the request exist."""
    answer = send(api, operation, world | {parameter: NOWHERE[parameter]})
    expect_error(answer, 404, f"No {NOUNS[parameter]} found with id '{NOWHERE[parameter]}'.")


@pytest.mark.parametrize("operation", ["create run", "create thread and run"])
def test_assistant_not_found(api: Client, world: dict[str, str], operation: str) -> None:
    answer = send(api, operation, world | {"assistant_id": NOWHERE["assistant_id"]})
    expect_error(answer, 404, f"No assistant found with id '{NOWHERE['assistant_id']}'.")


@pytest.mark.parametrize("operation", [name for name, (_, path, _) in OPERATIONS.items() if parameters(path)])
def test_ids_of_another_workspace_are_not_found(other_api: Client, world: dict[str, str], operation: str) -> None:
    first = parameters(OPERATIONS[operation][1])[0]
    if first == "thread_id":
        # An assistant of one's own, so that only the thread is another workspace's.
        world = world | {"assistant_id": other_api.ok("POST", "/assistants", {"model": "gpt-4o"})["id"]}
    expect_error(send(other_api, operation, world), 404, f"No {NOUNS[first]} found with id '{world[first]}'.")


@pytest.mark.parametrize("operation", ["get message", "modify message", "delete message"])
def test_a_message_of_another_thread_is_not_found(api: Client, world: dict[str, str], operation: str) -> None:
    ids = world | {"thread_id": api.ok("POST", "/threads")["id"]}
    expect_error(send(api, operation, ids), 404, f"No message found with id '{world['message_id']}'.")


@pytest.mark.parametrize("operation", ["get run", "modify run", "cancel run", "submit tool outputs", "list run steps"])
def test_a_run_of_another_thread_is_not_found(api: Client, world: dict[str, str], operation: str) -> None:
    ids = world | {"thread_id": api.ok("POST", "/threads")["id"]}
    expect_error(send(api, operation, ids), 404, f"No run found with id '{world['run_id']}'.")


def test_deleting_twice_and_what_hangs_on_a_deleted_thread(api: Client) -> None:
    created = api.ok("POST", "/assistants", {"model": "gpt-4o"})["id"]
    assert api.ok("DELETE", f"/assistants/{created}") == {"id": created, "object": "assistant.deleted", "deleted": True}
    expect_error(api.delete(f"/assistants/{created}"), 404, f"No assistant found with id '{created}'.")

    owner = api.ok("POST", "/threads")["id"]
    message = api.ok("POST", f"/threads/{owner}/messages", {"role": "user", "content": "Hello"})["id"]
    extra = api.ok("POST", f"/threads/{owner}/messages", {"role": "assistant", "content": "Hi"})["id"]
    deleted = {"id": extra, "object": "thread.message.deleted", "deleted": True}
    assert api.ok("DELETE", f"/threads/{owner}/messages/{extra}") == deleted
    expect_error(api.delete(f"/threads/{owner}/messages/{extra}"), 404, f"No message found with id '{extra}'.")
    assert api.ok("DELETE", f"/threads/{owner}") == {"id": owner, "object": "thread.deleted", "deleted": True}
    gone = f"No thread found with id '{owner}'."
    for path in (f"/threads/{owner}", f"/threads/{owner}/messages", f"/threads/{owner}/messages/{message}"):
        expect_error(api.get(path), 404, gone)
    expect_error(api.delete(f"/threads/{owner}"), 404, gone)
