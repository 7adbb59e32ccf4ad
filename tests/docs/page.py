"""Reads a page of the documentation: its configuration, and its calls with what comes back.

A call is a fenced block `sh`; the block `text` that follows it is its answer: the status, then headers, then a body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY = "..."


@dataclass(frozen=True)
class Expected:
    status: int
    headers: dict[str, str]
    body: Any  # parsed JSON, or lines of text; None where the page shows none


@dataclass(frozen=True)
class Call:
    line: int
    script: str
    expected: Expected


@dataclass(frozen=True)
class Page:
    config: str
    prelude: str  # the shell blocks that call nobody
    calls: list[Call]


def read(path: Path) -> Page:
    text = path.read_text()
    config = prelude = ""
    calls = []
    waiting: tuple[int, str] | None = None
    for block in BLOCK.finditer(text):
        language, content = block.groups()
        line = text[: block.start()].count("\n") + 1
        if language == "toml" and not config:
            config = content
        elif language == "sh" and "curl" in content:
            assert waiting is None, f"{path}:{waiting}: a call without its answer"
            waiting = (line, content)
        elif language == "sh":
            prelude += content
        elif language == "text":
            assert waiting, f"{path}:{line}: an answer without its call"
            calls.append(Call(*waiting, expected(content)))
            waiting = None
    assert waiting is None, f"{path}:{waiting}: a call without its answer"
    return Page(config, prelude, calls)


def expected(text: str) -> Expected:
    first, *rest = text.splitlines()
    headers = {}
    while rest and (header := re.fullmatch(r"([a-z0-9-]+): (.*)", rest[0])):
        headers[header[1]] = header[2]
        rest.pop(0)
    shown = "\n".join(rest).strip()
    body = None if not shown else json.loads(shown) if shown[0] in "{[" else shown.split("\n")
    return Expected(int(first), headers, body)


def differences(shown: Any, found: Any, at: str = "") -> list[str]:
    """What the page shows and the answer does not have. `...` stands for anything; other fields may be there."""
    if shown == ANY:
        return []
    if isinstance(shown, dict) and isinstance(found, dict):
        return [
            difference
            for name, value in shown.items()
            for difference in differences(value, found.get(name, "(absent)"), f"{at}.{name}")
        ]
    if isinstance(shown, list) and isinstance(found, list):
        shown_items = [item for item in shown if item != ANY]
        short = [] if len(found) >= len(shown_items) else [f"{at}: {len(found)} items"]
        pairs = zip(shown_items, found)
        return short + [
            difference for i, (one, other) in enumerate(pairs) for difference in differences(one, other, f"{at}[{i}]")
        ]
    if isinstance(shown, str) and isinstance(found, str) and shown.endswith(ANY):
        return [] if found.startswith(shown[: -len(ANY)]) else [f"{at}: {found!r}, not {shown!r}"]
    return [] if shown == found else [f"{at}: {found!r}, not {shown!r}"]
