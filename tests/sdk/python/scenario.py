"""Situations that the tests start from, and the event sequences of contract section 10.

The model behind every run is the built-in `echo`: it answers with the last user message; lines that
start with `/echo` tell it what else to do (call functions, say something first, pace, fail, stop).
"""

from __future__ import annotations

from typing import Any

from clients import Client

POLL_MS = 10
TERMINAL = ("completed", "cancelled", "failed", "expired", "incomplete")


def function(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": f"Tells the {name}.", "parameters": parameters}}


def new_assistant(client: Client, **fields: Any) -> str:
    tools = [function("weather"), function("clock")]
    return client.beta.assistants.create(**{"model": "echo", "name": "tester", "tools": tools, **fields}).id


def new_thread(client: Client, *lines: str) -> str:
    """A thread with one user message of these lines."""
    return client.beta.threads.create(messages=[{"role": "user", "content": "\n".join(lines)}]).id


def start_run(client: Client, *lines: str, **fields: Any) -> tuple[str, str]:
    """A run on a new thread, just created."""
    thread = new_thread(client, *lines)
    run = client.beta.threads.runs.create(thread_id=thread, assistant_id=new_assistant(client), **fields)
    return thread, run.id


def settled(client: Client, thread: str, run: str, **fields: Any) -> Any:
    return client.beta.threads.runs.poll(thread_id=thread, run_id=run, poll_interval_ms=POLL_MS, **fields)


def completed_run(client: Client, **fields: Any) -> tuple[str, str]:
    thread, run = start_run(client, "All is well.", **fields)
    assert settled(client, thread, run).status == "completed"
    return thread, run


def waiting_run(client: Client, *calls: str, **fields: Any) -> tuple[str, str]:
    """A run that waits for tool outputs: requires_action."""
    calls = calls or ('weather {"city":"Oslo"}',)
    thread, run = start_run(client, *(f"/echo call {call}" for call in calls), **fields)
    assert settled(client, thread, run).status == "requires_action"
    return thread, run


def cancelled_run(client: Client, **fields: Any) -> tuple[str, str]:
    thread, run = waiting_run(client, **fields)
    client.beta.threads.runs.cancel(thread_id=thread, run_id=run)
    assert settled(client, thread, run).status == "cancelled"
    return thread, run


RUN_IN = {"completed": completed_run, "requires_action": waiting_run, "cancelled": cancelled_run}


def tool_calls(run: Any) -> list[Any]:
    return run.required_action.submit_tool_outputs.tool_calls


def outputs_for(run: Any, **outputs: str) -> list[dict[str, str]]:
    """Tool outputs by function name, for every pending call."""
    return [{"tool_call_id": call.id, "output": outputs[call.function.name]} for call in tool_calls(run)]


def texts(messages: list[Any]) -> list[str]:
    return [message.content[0].text.value for message in messages]


def thread_texts(client: Client, thread: str) -> list[str]:
    """The thread's texts, oldest first."""
    return texts(list(client.every(client.beta.threads.messages.list, thread_id=thread, order="asc", limit=100)))


def names(events: list[dict[str, Any]]) -> list[str]:
    """Event names in order, runs of deltas drawn together into one."""
    found: list[str] = []
    for event in events:
        if not (event["event"].endswith(".delta") and found[-1:] == [event["event"]]):
            found.append(event["event"])
    return found


RUN_STARTS = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
RUN_RESUMES = ["thread.run.queued", "thread.run.in_progress"]
STEP_OPENS = ["thread.run.step.created", "thread.run.step.in_progress"]
MESSAGE_OPENS = [*STEP_OPENS, "thread.message.created", "thread.message.in_progress", "thread.message.delta"]
MESSAGE_STEP = [*MESSAGE_OPENS, "thread.message.completed", "thread.run.step.completed"]
TEXT_RUN = [*RUN_STARTS, *MESSAGE_STEP, "thread.run.completed", "done"]
CALLS_WAIT = [*STEP_OPENS, "thread.run.step.delta", "thread.run.requires_action", "done"]
AFTER_OUTPUTS = ["thread.run.step.completed", *RUN_RESUMES, *MESSAGE_STEP, "thread.run.completed", "done"]
