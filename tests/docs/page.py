"""Reads a page of the documentation: its configuration, and its calls with what comes back.

A call is a fenced block `sh`; the block `text` that follows it is its answer: the status, then headers, then a body.
Where a block calls several times, the answer is that of the call that began last.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY = "..."
ABSENT = "(absent)"


@dataclass(frozen=True)
class Expected:
    status: int
    headers: dict[str, str]
    body: Any  # parsed JSON, or lines of text that are not empty; None where the page shows none


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
    tables: dict[str, list[list[str]]]  # rows of cells, by what stands above their first column


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
    return Page(config, prelude, calls, tables(text))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def tables(text: str) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = ([cell.strip(" ") for cell in line.strip("|").split("|")] for line in table.splitlines())
        assert head[0] not in found, f"two tables begin with the column {head[0]!r}"
        found[head[0]] = rows
    return found


def codes(cell: str) -> list[str]:
    """What stands between backticks; of any number, so that a code may have some itself."""
    found = [code for _, code in re.findall(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", cell)]
    return [code[1:-1] if code[0] == code[-1] == " " and code.strip() else code for code in found]


def expected(text: str) -> Expected:
    first, *rest = text.splitlines()
    headers = {}
    while rest and (header := re.fullmatch(r"([a-z0-9-]+): (.*)", rest[0])):
        headers[header[1]] = header[2]
        rest.pop(0)
    shown = "\n".join(rest).strip()
    is_json = shown[:1] in ("{", "[") and "content-type" not in headers
    body = None if not shown else json.loads(shown) if is_json else lines(shown)
    return Expected(int(first), headers, body)


def differences(shown: Any, found: Any, at: str = "") -> list[str]:
    """What the page shows and the answer does not have. `...` stands for anything that is there; so may be other fields."""
    if found == ABSENT:
        return [f"{at}: absent"]
    if shown == ANY:
        return []
    if isinstance(shown, dict) and isinstance(found, dict):
        return [
            difference
            for name, value in shown.items()
            for difference in differences(value, found.get(name, ABSENT), f"{at}.{name}")
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
