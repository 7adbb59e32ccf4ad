"""The table of reasoned differences (`differences.toml`, `openapi_differences.toml`).

A difference that no entry covers fails the suite; so does an entry that covers nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ANY = "(any)"


def glob(pattern: str) -> re.Pattern[str]:
    """`*` stands for any text; every other character for itself."""
    return re.compile("".join(".*" if char == "*" else re.escape(char) for char in pattern))


@dataclass
class Entry:
    """One reasoned difference. `keys` are compared as patterns, in the order of the table's key columns."""

    keys: dict[str, str]
    reason: str
    section: str
    used: int = 0

    def covers(self, found: dict[str, str]) -> bool:
        return all(pattern == ANY or glob(pattern).fullmatch(found[key]) for key, pattern in self.keys.items())


@dataclass
class Table:
    """The entries of one TOML file under one heading."""

    columns: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def load(cls, file: str, heading: str, columns: tuple[str, ...]) -> Table:
        table = cls(columns)
        for raw in tomllib.loads((HERE / file).read_text()).get(heading, []):
            extra = set(raw) - {*columns, "reason", "section"}
            assert not extra, f"{file}: unknown keys {extra} in {raw}"
            assert raw["reason"].strip() and raw["section"].strip(), f"{file}: an entry without reason: {raw}"
            table.entries.append(Entry({key: raw[key] for key in columns}, raw["reason"], raw["section"]))
        return table

    def allows(self, found: dict[str, Any]) -> bool:
        covering = [entry for entry in self.entries if entry.covers({key: str(found[key]) for key in self.columns})]
        for entry in covering:
            entry.used += 1
        return bool(covering)

    def unused(self) -> list[dict[str, str]]:
        return [entry.keys for entry in self.entries if not entry.used]


RECORDED_COLUMNS = ("scenario", "exchange", "at", "recorded", "ours")
DOCUMENT_COLUMNS = ("operation", "at", "fact", "contract", "ours")
BODY_COLUMNS = ("schema", "at", "rule", "value")
OPERATION_COLUMNS = ("operation", "side")


def recorded_table() -> Table:
    return Table.load("differences.toml", "difference", RECORDED_COLUMNS)


def document_table() -> Table:
    return Table.load("openapi_differences.toml", "document", DOCUMENT_COLUMNS)


def body_table() -> Table:
    return Table.load("openapi_differences.toml", "body", BODY_COLUMNS)


def operation_table() -> Table:
    return Table.load("openapi_differences.toml", "operation", OPERATION_COLUMNS)
