"""Every operation of assistants, threads, messages, runs, steps and models, once through each SDK."""

from __future__ import annotations

import pytest
from clients import Client
from recording import Recorder
from scenario import completed_run, function, new_assistant, new_thread, settled, thread_texts, waiting_run


def test_assistants(client: Client, recorder: Recorder) -> None:
    assistants = client.beta.assistants
    made = assistants.create(
        model="echo",
        name="Ada",
        description="Counts.",
        instructions="Be brief.",
        tools=[function("weather")],
        metadata={"team": "one"},
        temperature=0.5,
        top_p=0.25,
    )
    body = recorder.last.response_body
    assert body["id"].startswith("asst_") and len(body["id"]) == len("asst_") + 24
    assert body["object"] == "assistant"
    assert (body["name"], body["description"], body["instructions"]) == ("Ada", "Counts.", "Be brief.")
    assert (body["metadata"], body["temperature"], body["top_p"]) == ({"team": "one"}, 0.5, 0.25)
    assert body["tools"] == [{**function("weather"), "function": {**function("weather")["function"], "strict": False}}]
    assert (body["response_format"], body["tool_resources"]) == ("auto", {})

    assistants.retrieve(assistant_id=made.id)
    assert recorder.last.response_body == body

    assistants.update(assistant_id=made.id, model="echo-large", name="Grace", tools=[])
    assert recorder.last.response_body == {**body, "model": "echo-large", "name": "Grace", "tools": []}

    second = assistants.create(model="echo")
    newest = assistants.list(limit=2).data
    assert [assistant.id for assistant in newest] == [second.id, made.id]
    after = assistants.list(limit=1, after=second.id).data
    assert [assistant.id for assistant in after] == [made.id]
    between = assistants.list(order="asc", after=made.id, limit=1).data
    assert [assistant.id for assistant in between] == [second.id]

    for assistant in (made, second):
        gone = assistants.delete(assistant_id=assistant.id)
        assert (gone.id, gone.object, gone.deleted) == (assistant.id, "assistant.deleted", True)
    with pytest.raises(client.errors.NotFoundError):
        assistants.retrieve(assistant_id=made.id)


def test_threads(client: Client, recorder: Recorder) -> None:
    threads = client.beta.threads
    empty = threads.create()
    assert recorder.last.response_body == {
        "id": empty.id,
        "object": "thread",
        "created_at": recorder.last.response_body["created_at"],
        "metadata": {},
        "tool_resources": {},
    }
    assert empty.id.startswith("thread_") and len(empty.id) == len("thread_") + 24

    made = threads.create(
        messages=[
            {"role": "user", "content": "one", "metadata": {"n": "1"}},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "three"}]},
        ],
        metadata={"ticket": "7"},
    )
    body = recorder.last.response_body
    assert body["metadata"] == {"ticket": "7"}
    assert thread_texts(client, made.id) == ["one", "two", "three"]

    threads.retrieve(thread_id=made.id)
    assert recorder.last.response_body == body
    threads.update(thread_id=made.id, metadata={"ticket": "8", "state": "open"})
    assert recorder.last.response_body == {**body, "metadata": {"ticket": "8", "state": "open"}}
    threads.update(thread_id=made.id)
    assert recorder.last.response_body["metadata"] == {"ticket": "8", "state": "open"}

    gone = threads.delete(thread_id=made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "thread.deleted", True)
    for call in (threads.retrieve, threads.delete, threads.messages.list, threads.runs.list):
        with pytest.raises(client.errors.NotFoundError) as caught:
            call(thread_id=made.id)
        assert caught.value.body["message"] == f"No thread found with id '{made.id}'."


def test_messages(client: Client, recorder: Recorder) -> None:
    messages = client.beta.threads.messages
    thread = client.beta.threads.create().id
    listed = messages.list(thread_id=thread)
    assert listed.data == []
    body = recorder.last.response_body
    assert (body["first_id"], body["last_id"], body["has_more"]) == (None, None, False)

    made = messages.create(thread_id=thread, role="user", content="Hello there", metadata={"from": "me"})
    body = recorder.last.response_body
    assert body["id"].startswith("msg_") and len(body["id"]) == len("msg_") + 24
    assert body["content"] == [{"type": "text", "text": {"value": "Hello there", "annotations": []}}]
    assert (body["assistant_id"], body["run_id"], body["attachments"]) == (None, None, [])
    assert (body["role"], body["thread_id"], body["status"]) == ("user", thread, "completed")

    messages.retrieve(message_id=made.id, thread_id=thread)
    assert recorder.last.response_body == body
    messages.update(message_id=made.id, thread_id=thread, metadata={"seen": "yes"})
    assert recorder.last.response_body == {**body, "metadata": {"seen": "yes"}}

    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    messages.create(thread_id=thread, role="user", content=parts)
    image = recorder.last.response_body["content"][1]
    assert image == {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "auto"}}

    listed = messages.list(thread_id=thread, order="asc")
    assert [message.id for message in listed.data][0] == made.id and len(listed.data) == 2
    gone = messages.delete(message_id=made.id, thread_id=thread)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "thread.message.deleted", True)
    with pytest.raises(client.errors.NotFoundError) as caught:
        messages.retrieve(message_id=made.id, thread_id=thread)
    assert caught.value.body["message"] == f"No message found with id '{made.id}'."
    assert len(messages.list(thread_id=thread).data) == 1


def test_messages_of_one_run(client: Client) -> None:
    thread, first = completed_run(client)
    client.beta.threads.messages.create(thread_id=thread, role="user", content="Once more.")
    second = client.beta.threads.runs.create(thread_id=thread, assistant_id=new_assistant(client))
    assert settled(client, thread, second.id).status == "completed"
    for run, text in ((first, "All is well."), (second.id, "Once more.")):
        found = client.beta.threads.messages.list(thread_id=thread, run_id=run).data
        assert [(message.role, message.run_id) for message in found] == [("assistant", run)]
        assert found[0].content[0].text.value == text


def test_runs(client: Client, recorder: Recorder) -> None:
    runs = client.beta.threads.runs
    assistant = new_assistant(client, instructions="Be brief.", metadata={"not": "inherited"})
    thread = new_thread(client, "Hello")
    made = runs.create(thread_id=thread, assistant_id=assistant, additional_messages=[{"role": "user", "content": "Bye"}])
    body = recorder.last.response_body
    assert body["id"].startswith("run_") and len(body["id"]) == len("run_") + 24
    assert (body["status"], body["started_at"], body["usage"]) == ("queued", None, None)
    assert body["expires_at"] == body["created_at"] + 600
    assert (body["assistant_id"], body["thread_id"], body["model"]) == (assistant, thread, "echo")
    assert (body["instructions"], body["metadata"]) == ("Be brief.", {})
    assert body["truncation_strategy"] == {"type": "auto", "last_messages": None}
    assert (body["tool_choice"], body["parallel_tool_calls"], body["response_format"]) == ("auto", True, "auto")

    done = settled(client, thread, made.id)
    assert (done.status, done.expires_at, done.last_error, done.required_action) == ("completed", None, None, None)
    assert done.created_at <= done.started_at <= done.completed_at
    usage = done.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.completion_tokens == 1
    runs.retrieve(run_id=made.id, thread_id=thread)
    final = recorder.last.response_body
    assert {key: final[key] for key in ("id", "created_at", "model", "tools", "metadata")} == {
        key: body[key] for key in ("id", "created_at", "model", "tools", "metadata")
    }
    assert thread_texts(client, thread) == ["Hello", "Bye", "Bye"]

    second = runs.create(thread_id=thread, assistant_id=assistant, model="echo-large", metadata={"n": "2"})
    assert (second.model, second.metadata) == ("echo-large", {"n": "2"})
    assert settled(client, thread, second.id).status == "completed"
    assert [run.id for run in runs.list(thread_id=thread).data] == [second.id, made.id]
    assert [run.id for run in runs.list(thread_id=thread, order="asc", limit=1).data] == [made.id]


def test_cancel(client: Client, recorder: Recorder) -> None:
    thread, run = waiting_run(client)
    before = client.beta.threads.runs.retrieve(run_id=run, thread_id=thread)
    client.beta.threads.runs.cancel(run_id=run, thread_id=thread)
    answered = recorder.last.response_body
    assert answered["status"] in ("cancelling", "cancelled") and answered["required_action"] is None
    assert answered["started_at"] == before.started_at
    done = settled(client, thread, run)
    assert (done.status, done.expires_at) == ("cancelled", None)
    assert done.cancelled_at >= done.created_at
    (step,) = client.beta.threads.runs.steps.list(run_id=run, thread_id=thread).data
    assert step.status == "cancelled" and step.cancelled_at is not None


def test_steps(client: Client, recorder: Recorder) -> None:
    steps = client.beta.threads.runs.steps
    thread, run = waiting_run(client)
    (open_step,) = steps.list(run_id=run, thread_id=thread).data
    assert (open_step.type, open_step.status, open_step.usage) == ("tool_calls", "in_progress", None)
    (call,) = client.beta.threads.runs.retrieve(
        run_id=run, thread_id=thread
    ).required_action.submit_tool_outputs.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')
    outputs = [{"tool_call_id": call.id, "output": "rain"}]
    client.beta.threads.runs.submit_tool_outputs(run_id=run, thread_id=thread, tool_outputs=outputs)
    assert recorder.last.response_body["status"] == "queued"
    done = settled(client, thread, run)

    newest, oldest = steps.list(run_id=run, thread_id=thread).data
    assert [step.id for step in steps.list(run_id=run, thread_id=thread, order="asc").data] == [oldest.id, newest.id]
    assert (oldest.id, oldest.status, newest.status) == (open_step.id, "completed", "completed")
    steps.retrieve(step_id=oldest.id, run_id=run, thread_id=thread)
    body = recorder.last.response_body
    assert body["id"].startswith("step_") and len(body["id"]) == len("step_") + 24
    assert body["step_details"] == {
        "type": "tool_calls",
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Oslo"}', "output": "rain"},
            }
        ],
    }
    assert (body["run_id"], body["thread_id"], body["assistant_id"]) == (run, thread, done.assistant_id)
    steps.retrieve(step_id=newest.id, run_id=run, thread_id=thread)
    body = recorder.last.response_body
    (answer,) = client.beta.threads.messages.list(thread_id=thread, run_id=run).data
    assert body["step_details"] == {"type": "message_creation", "message_creation": {"message_id": answer.id}}
    assert body["created_at"] == answer.created_at
    for part in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert getattr(done.usage, part) == getattr(oldest.usage, part) + getattr(newest.usage, part)


def test_create_and_run(client: Client, recorder: Recorder) -> None:
    made = client.beta.threads.create_and_run(
        assistant_id=new_assistant(client),
        thread={"messages": [{"role": "user", "content": "In one go"}], "metadata": {"made": "together"}},
        metadata={"run": "yes"},
    )
    assert (made.status, made.metadata) == ("queued", {"run": "yes"})
    assert settled(client, made.thread_id, made.id).status == "completed"
    assert thread_texts(client, made.thread_id) == ["In one go", "In one go"]
    client.beta.threads.retrieve(thread_id=made.thread_id)
    assert recorder.last.response_body["metadata"] == {"made": "together"}


def test_models(client: Client) -> None:
    listed = list(client.models.list().data)
    assert "echo" in [model.id for model in listed]
    model = client.models.retrieve("echo")
    assert (model.id, model.object) == ("echo", "model")
    with pytest.raises(client.errors.NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert caught.value.body["message"] == "The model 'no-such-model' does not exist"
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
