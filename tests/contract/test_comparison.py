"""The comparison itself: a recorded answer equals itself, and every kind of change is seen."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from comparison import Comparison, collapse
from recordings import SCENARIOS, needs_contract, scenario


def compared(name: str, recorded: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[str]:
    comparison = Comparison(name)
    for theirs, live in zip(recorded, ours, strict=True):
        if "response_sse" in theirs:
            comparison.events(theirs["response_sse"], live["response_sse"])
        else:
            comparison.bodies(theirs["response_body"], live["response_body"], trimmed="trimmed" in theirs)
    return [str(difference) for difference in comparison.differences]


def renamed(exchanges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same exchanges with other ids of the same form."""
    text = json.dumps(exchanges)
    for prefix in ("asst", "thread", "msg", "run", "step", "call"):
        text = text.replace(f"{prefix}_", f"{prefix}_\u0000")
    changed = []
    for part in text.split("\u0000"):
        head, tail = part[:24], part[24:]
        changed.append((head[::-1] if head.isalnum() else head) + tail)
    return json.loads("".join(changed))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def answered(exchanges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every JSON object that the API answered with, nested ones too."""
    payloads = [exchange.get("response_body") for exchange in exchanges]
    payloads += [event["data"] for exchange in exchanges for event in exchange.get("response_sse", [])]
    return [found for payload in payloads for found in objects(payload)]


@needs_contract
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recording_equals_itself(name: str) -> None:
    exchanges = scenario(name)["exchanges"]
    for exchange in exchanges:
        if "trimmed" in exchange:
            exchange["response_body"]["last_id"] = exchange["response_body"]["data"][-1]["id"]
    assert compared(name, exchanges, copy.deepcopy(exchanges)) == []
    assert compared(name, exchanges, renamed(exchanges)) == []


@needs_contract
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_dropped_or_added_key_is_seen(name: str) -> None:
    exchanges = scenario(name)["exchanges"]
    count = len(answered(exchanges))
    for index in range(0, count, max(1, count // 60)):
        for change in (_drop_first_key, _add_key):
            changed = copy.deepcopy(exchanges)
            if change(answered(changed)[index]):
                try:
                    seen = compared(name, exchanges, changed)
                except (KeyError, TypeError) as error:
                    seen = [repr(error)]
                assert seen, f"{change.__name__} in object {index} was not seen"


def _drop_first_key(found: dict[str, Any]) -> bool:
    if not found or set(found) == {"threadMetadata"}:
        return False
    del found[next(iter(found))]
    return True


def _add_key(found: dict[str, Any]) -> bool:
    found["surprise"] = 1
    return True


def _first(kind: str, exchanges: list[dict[str, Any]]) -> dict[str, Any]:
    return next(found for found in answered(exchanges) if found.get("object") == kind)


MUTATIONS: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = [
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(status="in_progress")),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(started_at=run["created_at"])),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(expires_at=run["created_at"] + 601)),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(temperature=1)),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(parallel_tool_calls=1)),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(assistant_id="asst_000000000000000000000000")),
    ("BasicRunOperationsWork", "thread.run", lambda run: run.update(id="run_short")),
    ("BasicAssistantOperationsWork", "assistant", lambda it: it.update(metadata=None)),
    ("StreamingToolCall", "thread.run.step", lambda step: step.update(completed_at=1)),
    ("StreamingToolCall", "thread.run.step.delta", lambda delta: delta.update(id="step_000000000000000000000000")),
    ("StreamingRunWorks", "thread.message", lambda message: message.update(role="user")),
    ("FileSearchStreamingWorks", "assistant", lambda it: it["tool_resources"]["file_search"].update(vector_store_ids=[])),
    ("FileSearchStreamingWorks", "assistant", lambda it: it["tool_resources"]["file_search"].update(vector_store_ids=["x"])),
    ("BasicAssistantOperationsWork", "assistant", lambda it: it.update(metadata={"other": "value"})),
]


@needs_contract
@pytest.mark.parametrize(("name", "kind", "change"), MUTATIONS)
def test_a_changed_value_is_seen(name: str, kind: str, change: Callable[[dict[str, Any]], Any]) -> None:
    exchanges = scenario(name)["exchanges"]
    changed = copy.deepcopy(exchanges)
    change(_first(kind, changed))
    assert compared(name, exchanges, changed)


@needs_contract
def test_changed_lists_events_and_words_are_seen() -> None:
    pages = scenario("Pagination_CanPageThroughAssistantCollection")["exchanges"]
    swapped = copy.deepcopy(pages)
    swapped[10]["response_body"]["data"].reverse()
    assert compared("pages", pages, swapped)

    exchanges = scenario("StreamingRunWorks")["exchanges"]
    for spoil in (
        lambda events: events.pop(),
        lambda events: events.insert(1, events[0]),
        lambda events: events[8]["data"]["delta"]["content"][0]["text"].update(value="other"),
        lambda events: events[9]["data"]["delta"]["content"][0]["text"].update(annotations=[]),
        lambda events: events[7]["data"]["delta"]["content"][0]["text"].pop("annotations"),
    ):
        changed = copy.deepcopy(exchanges)
        spoil(changed[2]["response_sse"])
        assert compared("StreamingRunWorks", exchanges, changed)


@needs_contract
def test_a_changed_citation_is_seen() -> None:
    exchanges = scenario("FileSearchStreamingWorks")["exchanges"]

    def cited(changed: list[dict[str, Any]]) -> dict[str, Any]:
        deltas = [event["data"]["delta"] for event in changed[3]["response_sse"] if event["event"] == "thread.message.delta"]
        (text,) = [delta["content"][0]["text"] for delta in deltas if delta["content"][0]["text"].get("annotations")]
        return text

    for spoil in (
        lambda text: text.update(annotations=[]),
        lambda text: text["annotations"].append(text["annotations"][0]),
        lambda text: text["annotations"][0].update(start_index=28),
        lambda text: text["annotations"][0].update(text="【9:0†favorite_foods.txt】"),
        lambda text: text["annotations"][0]["file_citation"].update(file_id="file-0000000000000000000000"),
    ):
        changed = copy.deepcopy(exchanges)
        spoil(cited(changed))
        assert compared("FileSearchStreamingWorks", exchanges, changed)


def test_collapse_joins_deltas_only() -> None:
    events = [{"event": name, "data": name} for name in ("a", "thread.message.delta", "thread.message.delta", "a", "a")]
    assert [(name, len(payloads)) for name, payloads in collapse(events)] == [
        ("a", 1), ("thread.message.delta", 2), ("a", 1), ("a", 1),
    ]  # fmt: skip
