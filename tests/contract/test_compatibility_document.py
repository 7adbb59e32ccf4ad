"""docs/compatibility.md shows the tables as they are."""

from __future__ import annotations

from render_compatibility import DOCUMENT, render


def test_the_document_is_current() -> None:
    text = DOCUMENT.read_text()
    assert text == render(text), "run tests/contract/render_compatibility.py"


def test_every_difference_has_its_reason_in_it() -> None:
    text = DOCUMENT.read_text()
    assert text.count("<!-- generated: ") == text.count("<!-- end generated -->") == 4
