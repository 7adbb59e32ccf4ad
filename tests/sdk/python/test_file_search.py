"""Runs that search files: the call that the engine carries out, its step, and the citations in the answer.

The model is the upstream `first`, which a test scripts word by word; with the built-in `echo`, which says again what a
search has given it, the same is tried through a relay.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from clients import Client
from recording import Recorder
from scenario import MESSAGE_STEP, RUN_STARTS, STEP_OPENS, function, names, new_thread, settled
from test_vector_stores import FOOD, PETS, filled
from upstream import Reply, Request, Upstream, calling, saying

MARK = re.compile("【[0-9]+:[0-9]+†[^】]*】")
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
SEARCH_STEP = [*STEP_OPENS, "thread.run.step.delta", "thread.run.step.completed"]
SEARCHED_RUN = [*RUN_STARTS, *SEARCH_STEP, *MESSAGE_STEP, "thread.run.completed", "done"]
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
QUESTION = "What does the crew like to eat?"


def searcher(client: Client, model: str, store: str, *more: dict[str, Any], **file_search: Any) -> str:
    tool = {"type": "file_search", **({"file_search": file_search} if file_search else {})}
    resources = {"file_search": {"vector_store_ids": [store]}}
    return client.beta.assistants.create(model=model, tools=[tool, *more], tool_resources=resources).id


def citing(*words: str) -> Any:
    """The model's answer, `MARK` in it being the mark of the first passage that it was given."""

    def answer(request: Request) -> Reply:
        mark = MARK.search(request.json["messages"][-1]["content"])[0]
        numbers = mark.partition("†")[0].removeprefix("【")
        return saying(*(word.replace("NUMBERS", numbers) for word in words))

    return answer


def deltas(recorder: Recorder) -> list[dict[str, Any]]:
    events = recorder.last_stream.response_sse
    of_messages = [event["data"] for event in events if event["event"] == "thread.message.delta"]
    return [part["text"] for data in of_messages for part in data["delta"]["content"]]


def completed_search(recorder: Recorder) -> list[dict[str, Any]]:
    """The calls of the first step that was completed."""
    events = recorder.last_stream.response_sse
    step = next(event["data"] for event in events if event["event"] == "thread.run.step.completed")
    return step["step_details"]["tool_calls"]


def check_citations(text: Any, file_id: str) -> None:
    """Every mark in a text is cited, at its place in code points, and nothing else is."""
    cited = {(note.start_index, note.end_index): note.text for note in text.annotations}
    assert cited == {match.span(): match[0] for match in MARK.finditer(text.value)}
    assert {note.file_citation.file_id for note in text.annotations} == {file_id}


def test_a_streamed_run_searches_and_cites(scripted: Client, first: Upstream, recorder: Recorder) -> None:
    store, (food, _) = filled(scripted, FOOD, PETS)
    # The mark comes in four pieces, behind characters of two and four bytes.
    words = ("Größe 👩‍🍳", " egal: pizza", " 【", "NUMBERS", "†so", "urce】", ", always", "【99:0†food.md】.")
    first.script(calling(("file_search", {"queries": ["favourite food"]})), citing(*words))
    thread = new_thread(scripted, QUESTION)
    assistant = searcher(scripted, "gpt-4o", store)
    with scripted.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant) as stream:
        stream.until_done()
        (message,) = stream.get_final_messages()
    assert names(recorder.last_stream.response_sse) == SEARCHED_RUN

    offered = first.requests[0].json["tools"][0]["function"]
    assert (offered["name"], offered["parameters"]["required"]) == ("file_search", ["queries"])
    told = first.requests[1].json["messages"]
    assert (told[-1]["role"], told[-1]["tool_call_id"]) == ("tool", told[-2]["tool_calls"][0]["id"])
    assert "pizza with pineapple" in told[-1]["content"] and "Minka" not in told[-1]["content"]

    text = message.content[0].text
    mark = MARK.search(text.value)[0]
    assert text.value == f"Größe 👩‍🍳 egal: pizza {mark}, always.", "what was not found is not cited"
    assert mark.endswith("†food.md】")
    check_citations(text, food)
    assert text.annotations[0].start_index == len("Größe 👩‍🍳 egal: pizza ")

    pieces = deltas(recorder)
    (cited,) = [piece for piece in pieces if piece.get("annotations")]
    assert (cited["value"], cited["annotations"][0]["text"], cited["annotations"][0]["index"]) == (mark, mark, 0)
    assert not any(set("【】") & set(piece["value"]) for piece in pieces if piece is not cited)
    (call,) = completed_search(recorder)
    (result,) = call["file_search"]["results"]
    assert (result["file_id"], result["file_name"], "content" in result) == (food, "food.md", False)


def test_the_same_answer_can_be_read_afterwards(scripted: Client, first: Upstream, recorder: Recorder) -> None:
    store, (food,) = filled(scripted, FOOD)
    first.script(calling(("file_search", {"queries": ["food", "crew"]})), citing("日本 【NUMBERS†source】", " and 【NUMBERS†source】"))
    thread = new_thread(scripted, QUESTION)
    run = scripted.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=searcher(scripted, "gpt-4o", store), poll_interval_ms=10
    )
    assert run.status == "completed"
    # Two turns of the model, both counted.
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (22, 14)
    (message,) = scripted.beta.threads.messages.list(thread_id=thread, run_id=run.id).data
    text = message.content[0].text
    assert len(text.annotations) == 2
    check_citations(text, food)


def test_steps_with_and_without_content(client: Client, recorder: Recorder) -> None:
    store, (food, _) = filled(client, FOOD, PETS)
    thread = new_thread(client, '/echo call file_search {"queries":["favourite food"]}')
    run = client.beta.threads.runs.create(thread_id=thread, assistant_id=searcher(client, "echo", store)).id
    assert settled(client, thread, run).status == "completed"
    steps = client.beta.threads.runs.steps
    plain = steps.list(thread_id=thread, run_id=run, order="asc").data[0]
    found = plain.step_details.tool_calls[0].file_search.results[0]
    assert (found.file_id, found.file_name, found.content) == (food, "food.md", None)
    assert 0 < found.score <= 1
    shown = recorder.last.response_body["data"][0]["step_details"]["tool_calls"][0]["file_search"]
    assert (shown["ranking_options"], "content" in shown["results"][0]) == (RANKING, False)
    if client.name == "portkey":
        pytest.skip("this SDK has no `include`")
    listed = steps.list(thread_id=thread, run_id=run, order="asc", include=[CONTENT]).data[0]
    one = steps.retrieve(plain.id, thread_id=thread, run_id=run, include=[CONTENT])
    for step in (listed, one):
        (content,) = step.step_details.tool_calls[0].file_search.results[0].content
        assert (content.type, content.text) == ("text", FOOD[1].decode().strip())
    (message,) = client.beta.threads.messages.list(thread_id=thread, run_id=run).data
    check_citations(message.content[0].text, food)


def test_the_content_is_streamed_when_it_is_asked_for(client: Client, recorder: Recorder) -> None:
    if client.name == "portkey":
        pytest.skip("this SDK has no `include`")
    store, (food,) = filled(client, FOOD)
    thread = new_thread(client, '/echo call file_search {"queries":["favourite food"]}')
    assistant = searcher(client, "echo", store)
    with client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, include=[CONTENT]) as stream:
        stream.until_done()
    events = recorder.last_stream.response_sse
    assert names(events) == SEARCHED_RUN
    begun = next(event["data"] for event in events if event["event"] == "thread.run.step.delta")
    (call,) = begun["delta"]["step_details"]["tool_calls"]
    assert (call["index"], call["type"], call["file_search"]) == (0, "file_search", {"ranking_options": RANKING, "results": []})
    (result,) = completed_search(recorder)[0]["file_search"]["results"]
    assert (result["file_id"], result["content"]) == (food, [{"type": "text", "text": FOOD[1].decode().strip()}])


def test_a_turn_that_searches_and_calls_a_function(scripted: Client, first: Upstream) -> None:
    store, _ = filled(scripted, FOOD)
    both = calling(("file_search", {"queries": ["food"]}), ("clock", {"city": "Oslo"}))
    first.script(both, saying("It is noon, and time for pizza."))
    thread = new_thread(scripted, QUESTION)
    assistant = searcher(scripted, "gpt-4o", store, function("clock"))
    run = scripted.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, poll_interval_ms=10)
    assert run.status == "requires_action"
    (waiting,) = run.required_action.submit_tool_outputs.tool_calls
    assert waiting.function.name == "clock"
    done = scripted.beta.threads.runs.submit_tool_outputs_and_poll(
        thread_id=thread, run_id=run.id, tool_outputs=[{"tool_call_id": waiting.id, "output": "noon"}], poll_interval_ms=10
    )
    assert done.status == "completed"
    told = {message.get("tool_call_id"): message["content"] for message in first.last.json["messages"]}
    assert told[waiting.id] == "noon"
    assert any("pizza with pineapple" in (content or "") for content in told.values())


def test_nothing_found_and_nothing_cited(scripted: Client, first: Upstream) -> None:
    store, _ = filled(scripted, FOOD)
    first.script(calling(("file_search", {"queries": ["zeppelin"]})), saying("The files do not tell【4:0†source】."))
    thread = new_thread(scripted, "What of zeppelins?")
    run = scripted.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=searcher(scripted, "gpt-4o", store), poll_interval_ms=10
    )
    assert run.status == "completed"
    assert first.last.json["messages"][-1]["content"].startswith("Nothing was found.")
    (message,) = scripted.beta.threads.messages.list(thread_id=thread, run_id=run.id).data
    assert message.content[0].text.annotations == []


def test_the_tool_says_how_many_results_there_are(scripted: Client, first: Upstream) -> None:
    notes = [(f"{n}.txt", f"Note {n}: the engine is red.".encode()) for n in range(5)]
    store, _ = filled(scripted, *notes)
    first.script(calling(("file_search", {"queries": ["red engine"]})), saying("Red."))
    thread = new_thread(scripted, "Which colour has the engine?")
    assistant = searcher(scripted, "gpt-4o", store, max_num_results=2)
    run = scripted.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, poll_interval_ms=10)
    assert run.status == "completed"
    assert len(MARK.findall(first.last.json["messages"][-1]["content"])) == 2
    steps = scripted.beta.threads.runs.steps.list(thread_id=thread, run_id=run.id, order="asc").data
    assert len(steps[0].step_details.tool_calls[0].file_search.results) == 2
