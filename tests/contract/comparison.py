"""Compares a recorded answer with a live one.

Exact: statuses, key sets, JSON types, constants, echoed values, order of lists, the model's words and token counts (the
scripted upstream repeats the recorded ones), the sequence of event names with runs of deltas collapsed.
By relation: ids (one live id for one recorded id, same prefix and length) and times (both set or both null; the
relations of `check_times` hold). Everything else that differs becomes a `Difference`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

ID = re.compile(r"^((asst|thread|msg|run|step|call)_[A-Za-z0-9]{24}|file-[A-Za-z0-9]{22}|(upload|part|vs|vsfb)_[0-9a-f]{32})$")
PREFIX = re.compile(r"^[a-z]+[_-]")
WHOLE = ("tool_resources", "metadata", "parameters")
ABSENT = "(absent)"
DELTAS = ("thread.message.delta", "thread.run.step.delta")
RUN_EXPIRY_S = 600


@dataclass(frozen=True)
class Difference:
    """`at` is the place: the `object` of the enclosing object and the path in it, list indexes left out."""

    scenario: str
    exchange: int
    at: str
    recorded: str
    ours: str

    def __str__(self) -> str:
        return f"{self.scenario}/{self.exchange} {self.at}: recorded {self.recorded}, ours {self.ours}"


@dataclass
class Comparison:
    """The comparison of one scenario; remembers which live id stands for which recorded one."""

    scenario: str
    exchange: int = 0
    live_of: dict[str, str] = field(default_factory=dict)
    recorded_of: dict[str, str] = field(default_factory=dict)
    created_at: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def substitute(self, value: Any) -> Any:
        """A recorded request with live ids in it."""
        text = json.dumps(value)
        for recorded, live in self.live_of.items():
            text = text.replace(recorded, live)
        return json.loads(text)

    def differ(self, at: str, recorded: Any, ours: Any) -> None:
        shown = [value if value == ABSENT else json.dumps(value, ensure_ascii=False) for value in (recorded, ours)]
        self.differences.append(Difference(self.scenario, self.exchange, at, *shown))

    def bodies(self, recorded: Any, ours: Any, trimmed: bool = False) -> None:
        if trimmed and isinstance(ours, dict) and isinstance(ours.get("data"), list) and ours["data"]:
            # The recording keeps the head of a long list; the last id is of the whole list.
            if ours.get("last_id") != ours["data"][-1]["id"]:
                self.differ("list.last_id", "the id of the last item", ours.get("last_id"))
            ours = {k: v for k, v in ours.items() if k != "last_id"} | {"data": ours["data"][: len(recorded["data"])]}
            recorded = {key: value for key, value in recorded.items() if key != "last_id"}
        self._value("", recorded, ours)
        self.check_times(ours)

    def events(self, recorded: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
        theirs, live = collapse(recorded), collapse(ours)
        if [name for name, _ in theirs] != [name for name, _ in live]:
            self.differ("events", [name for name, _ in theirs], [name for name, _ in live])
            return
        for (name, expected), (_, found) in zip(theirs, live, strict=True):
            if name in DELTAS:
                self._deltas(name, expected, found)
            else:
                self._value(name, expected[0], found[0])
                self.check_times(found[0])

    def _deltas(self, name: str, recorded: list[Any], ours: list[Any]) -> None:
        """The first delta as it is; of the others the shapes, which must have been recorded; then the joined words.

        Deltas that cite come with the words that they cite, and are compared as they are.
        """
        self._value(name, without_words(recorded[0]), without_words(ours[0]))
        known = {shape(delta) for delta in recorded[1:]} or {shape(recorded[0])}
        for delta in ours[1:]:
            if shape(delta) not in known:
                self.differ(f"{name}.shape", sorted(known), shape(delta))
            self._value(name, recorded[0]["id"], delta["id"])
        if joined(recorded) != joined(ours):
            self.differ(f"{name}.words", joined(recorded), joined(ours))
        self._value(f"{name}.cited", cited(recorded), cited(ours))

    def _value(self, at: str, recorded: Any, ours: Any) -> None:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            root = recorded["object"] if isinstance(recorded.get("object"), str) else at
            for key in [*recorded, *(key for key in ours if key not in recorded)]:
                place = f"{root}.{key}" if root else key
                theirs, live = recorded.get(key, ABSENT), ours.get(key, ABSENT)
                if ABSENT in (theirs, live) or (key in WHOLE and not same(without_ids(theirs), without_ids(live))):
                    self.differ(place, theirs, live)
                elif key.endswith("_at") and type(theirs) is int and type(live) is int:
                    self._created_at(ours, key)
                else:
                    self._value(place, theirs, live)
        elif isinstance(recorded, list) and isinstance(ours, list):
            if len(recorded) != len(ours):
                self.differ(f"{at}.length", len(recorded), len(ours))
            for theirs, live in zip(recorded, ours, strict=False):
                self._value(f"{at}[]", theirs, live)
        elif isinstance(recorded, str) and isinstance(ours, str) and ID.match(recorded):
            self._id(at, recorded, ours)
        elif not same(recorded, ours):
            self.differ(at, recorded, ours)

    def _id(self, at: str, recorded: str, ours: str) -> None:
        well_formed = ID.match(ours) and PREFIX.match(ours)[0] == PREFIX.match(recorded)[0]
        live = self.live_of.setdefault(recorded, ours)
        back = self.recorded_of.setdefault(ours, recorded)
        if not well_formed or live != ours or back != recorded:
            self.differ(at, f"{recorded} ({live})", ours)

    def _created_at(self, ours: dict[str, Any], key: str) -> None:
        """An object's created_at is the same wherever it is shown."""
        if key == "created_at" and "id" in ours:
            # A file has one, and another one in each store that it is in.
            thing = " ".join(str(ours.get(part, "")) for part in ("object", "vector_store_id", "id"))
            known = self.created_at.setdefault(thing, ours[key])
            if known != ours[key]:
                self.differ(f"{ours.get('object')}.created_at", known, ours[key])

    def check_times(self, ours: Any) -> None:
        """The relations between the times of one object (contract sections 8.6 and 10.2)."""
        if isinstance(ours, list):
            for item in ours:
                self.check_times(item)
        if not isinstance(ours, dict):
            return
        for value in ours.values():
            if isinstance(value, list):
                self.check_times(value)
        times = {key: value for key, value in ours.items() if key.endswith("_at") and isinstance(value, int)}
        created = times.get("created_at")
        if created is None:
            return
        kind = ours.get("object")
        for key, value in times.items():
            if value < created:
                self.differ(f"{kind}.{key}", f">= created_at {created}", value)
        if kind == "thread.run" and "expires_at" in times and times["expires_at"] - created != RUN_EXPIRY_S:
            self.differ("thread.run.expires_at", created + RUN_EXPIRY_S, times["expires_at"])
        if "completed_at" in times and times["completed_at"] < times.get("started_at", 0):
            self.differ(f"{kind}.completed_at", f">= started_at {times['started_at']}", times["completed_at"])


def same(recorded: Any, ours: Any) -> bool:
    """Equal in value and in JSON type, all the way down (1 is not 1.0, and true is not 1)."""
    return json.dumps(recorded, sort_keys=True) == json.dumps(ours, sort_keys=True)


def without_ids(value: Any) -> Any:
    """A value with every id cut down to its prefix."""
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    return PREFIX.match(value)[0] if isinstance(value, str) and ID.match(value) else value


def collapse(events: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """(name, payloads): a run of deltas of the same name is one entry, every other event is one of its own."""
    groups: list[tuple[str, list[Any]]] = []
    for name, group in groupby(events, key=lambda event: event["event"]):
        payloads = [event["data"] for event in group]
        groups += [(name, payloads)] if name in DELTAS else [(name, [payload]) for payload in payloads]
    return groups


def without_words(delta: Any) -> Any:
    """A delta with the model's words (text value, arguments) emptied."""
    if isinstance(delta, dict):
        return {k: "" if k in ("value", "arguments") else without_words(v) for k, v in delta.items()}
    return [without_words(item) for item in delta] if isinstance(delta, list) else delta


def shape(value: Any) -> str:
    """The keys and JSON types of a value, in one line."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{shape(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({shape(item) for item in value})) + "]"
    return type(value).__name__


def joined(deltas: list[Any]) -> dict[str, str]:
    """The words of a run of deltas, joined per content part or call."""
    words: dict[str, str] = {}
    for delta in deltas:
        inner = delta["delta"]
        for part in inner.get("content") or inner.get("step_details", {}).get("tool_calls", []):
            piece = part["text"]["value"] if "text" in part else part.get("function", {}).get("arguments", "")
            words[str(part["index"])] = words.get(str(part["index"]), "") + piece
    return words


def cited(deltas: list[Any]) -> list[Any]:
    """The parts of deltas that have annotations."""
    parts = [part for delta in deltas for part in delta["delta"].get("content", [])]
    return [part for part in parts if part.get("text", {}).get("annotations")]
