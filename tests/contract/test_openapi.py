"""The API document that the server gives out: valid, and compared with the contract's fact by fact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from differences import document_table, operation_table
from openapi_document import Document, modern
from openapi_facts import compared, facts, schema_facts
from openapi_spec_validator import OpenAPIV31SpecValidator
from recordings import FOLDER, needs_contract
from server import Server

# What our document describes of the contract's operations.
RELEASE = ("/assistants", "/threads", "/models", "/files", "/uploads", "/vector_stores")
EVENT_OBJECTS = ("thread.message.delta", "thread.run.step.delta")


def in_release(name: str) -> bool:
    return name.split(" ")[1].startswith(RELEASE)


@pytest.fixture(scope="module")
def served(server: Server) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/openapi.json", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


@pytest.fixture(scope="module")
def ours(served: dict[str, Any]) -> Document:
    return Document(served)


@pytest.fixture(scope="module")
def contract() -> Document:
    return Document(yaml.load((FOLDER / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader))


def test_the_document_is_valid_openapi_3_1(served: dict[str, Any]) -> None:
    assert served["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(served).iter_errors()] == []


def test_every_operation_has_an_id_and_describes_its_errors(ours: Document, served: dict[str, Any]) -> None:
    ids = [o["operationId"] for item in served["paths"].values() for m, o in item.items() if m != "parameters"]
    assert len(ids) == len(set(ids))
    for name, operation in ours.operations.items():
        if in_release(name):
            assert {"200", "401"} <= set(operation.responses), name


def objects(node: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") in ("object", ["object", "null"]) and "properties" in node:
            yield at, node
        for key, value in node.items():
            yield from objects(value, f"{at}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from objects(value, f"{at}/{index}")


def test_objects_are_closed(served: dict[str, Any]) -> None:
    """A field that the document does not name may be neither sent nor answered."""
    open_objects = [
        at
        for at, node in objects(served["components"]["schemas"], "")
        if "additionalProperties" not in node and "unevaluatedProperties" not in node
    ]
    assert open_objects == []


@needs_contract
def test_the_same_operations(ours: Document, contract: Document) -> None:
    table = operation_table()
    api = {name for name in ours.operations if f"/v1{name.split(' ')[1]}" in _paths(ours)}
    found = [{"operation": name, "side": "contract only"} for name in contract.operations if name not in api]
    found += [{"operation": name, "side": "ours only"} for name in api if name not in contract.operations]
    assert [row for row in found if not table.allows(row)] == []
    assert table.unused() == []


def _paths(document: Document) -> set[str]:
    """The templates under /v1, parameters unnamed."""
    return {re.sub(r"{[^}]*}", "{}", path) for path in document.raw["paths"] if path.startswith("/v1/")}


@needs_contract
def test_the_same_fields_limits_and_parameters(ours: Document, contract: Document) -> None:
    table = document_table()
    rows = []
    for name, operation in contract.operations.items():
        if name in ours.operations and in_release(name):
            rows += compared(name, facts(contract, operation), facts(ours, ours.operations[name]))
    for kind in EVENT_OBJECTS:
        assert kind in ours.by_object, f"no schema describes the payload {kind}"
        rows += compared(kind, schema_facts(contract, kind), schema_facts(ours, kind))
    unreasoned = [row for row in rows if not table.allows(row)]
    assert not unreasoned, "\n".join(" · ".join(row.values()) for row in unreasoned)
    assert table.unused() == []


def test_nullable_is_read_as_a_union() -> None:
    assert modern({"type": "string", "nullable": True}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert modern({"allOf": [{"$ref": "#/x"}, {"nullable": True}]}) == {
        "anyOf": [{"allOf": [{"$ref": "#/x"}]}, {"type": "null"}]
    }
    assert modern({"properties": {"nullable": {"type": "string"}}}) == {"properties": {"nullable": {"type": "string"}}}


@needs_contract
def test_the_comparison_sees_changes(contract: Document) -> None:
    """The contract against itself has no difference; each kind of change in it has."""
    for name, operation in contract.operations.items():
        if in_release(name):
            assert not compared(name, facts(contract, operation), facts(contract, operation))
    name = "POST /assistants"
    before = facts(contract, contract.operations[name])
    for change in (
        lambda s: s["CreateAssistantRequest"]["properties"].pop("name"),
        lambda s: s["CreateAssistantRequest"]["required"].clear(),
        lambda s: s["CreateAssistantRequest"]["properties"]["tools"].update(maxItems=20),
        lambda s: s["AssistantObject"]["properties"].update(extra={"type": "string"}),
        lambda s: s["ReasoningEffort"]["anyOf"][0]["enum"].pop(),
        lambda s: s["CreateAssistantRequest"]["properties"]["name"]["anyOf"].pop(),
        lambda s: s["AssistantObject"]["properties"].update(name={"type": "integer"}),
        lambda s: s["FunctionObject"]["properties"].pop("strict"),
    ):
        changed = Document(yaml.load((FOLDER / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader))
        change(changed.raw["components"]["schemas"])
        assert compared(name, before, facts(changed, changed.operations[name]))
