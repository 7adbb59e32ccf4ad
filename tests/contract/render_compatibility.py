"""Renders the tables of differences into docs/compatibility.md: `render_compatibility.py [--check]`.

The text between `<!-- generated: NAME -->` and `<!-- end generated -->` belongs to this script, the rest to
its authors.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from differences import Table, body_table, document_table, operation_table, recorded_table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n).*?(<!-- end generated -->)", re.DOTALL)


def cell(text: str) -> str:
    """A TOML value as a table cell; an empty or any-text pattern reads as a dash."""
    if text in ("*", ""):
        return "any"
    return text.replace("|", "\\|") if text.startswith("(") else "`" + text.replace("|", "\\|") + "`"


def rendered(table: Table, headings: dict[str, str]) -> str:
    head = [*headings.values(), "why", "contract section"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for entry in table.entries:
        cells = [cell(entry.keys[key]) for key in headings]
        lines.append("| " + " | ".join([*cells, entry.reason.replace("|", "\\|"), entry.section]) + " |")
    return "\n".join(lines) + "\n"


def blocks() -> dict[str, str]:
    return {
        "recorded differences": rendered(
            recorded_table(), {"scenario": "scenario", "at": "field", "recorded": "recorded", "ours": "Loomgate"}
        ),
        "document operations": rendered(operation_table(), {"operation": "operation", "side": "which document"}),
        "document differences": rendered(
            document_table(),
            {"operation": "operation", "at": "field", "fact": "fact", "contract": "original", "ours": "Loomgate"},
        ),
        "answer differences": rendered(
            body_table(), {"schema": "schema", "at": "field", "rule": "rule", "value": "value"}
        ),
    }


def render(text: str) -> str:
    made = blocks()
    found = [match["name"] for match in BLOCK.finditer(text)]
    assert sorted(found) == sorted(made), f"{DOCUMENT.name} has the blocks {found}, rendered are {list(made)}"
    return BLOCK.sub(lambda match: f"{match[1]}{made[match['name']]}{match[3]}", text)


def main() -> int:
    before = DOCUMENT.read_text()
    after = render(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    DOCUMENT.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
