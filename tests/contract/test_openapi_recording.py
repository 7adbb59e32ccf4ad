"""Every exchange that the suites recorded, validated against both API documents. Runs last.

Against ours strictly: objects are closed there, every status must be described. Against the contract's: differences
only through the table. A recording of the SDK suite is part of it when LOOMGATE_RECORD named one file for both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from differences import body_table
from openapi_document import Document, Operation, Problem
from recordings import FOLDER, SCENARIOS, needs_contract, scenario
from server import Server

ENOUGH = 300


@pytest.fixture(scope="module")
def exchanges() -> list[dict[str, Any]]:
    path = os.environ.get("LOOMGATE_RECORD")
    if not path or not Path(path).exists():
        pytest.skip("LOOMGATE_RECORD names no recording: run tests/contract/run.sh")
    return [json.loads(line) for line in Path(path).read_text().split("\n") if line]


@pytest.fixture(scope="module")
def ours(server: Server) -> Document:
    return Document(httpx.get(f"{server.url}/openapi.json", trust_env=False).json())


@pytest.fixture(scope="module")
def contract() -> Document:
    return Document(yaml.load((FOLDER / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader))


def bodies(exchange: dict[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """(kind, payload) of an answer: kind None for a whole body, else the `object` of an event's payload."""
    for event in exchange.get("response_sse", []):
        if event["event"] == "error":
            yield "error", event["data"]
        elif event["event"] != "done":
            yield event["data"]["object"], event["data"]
    if "response_sse" not in exchange:
        yield None, exchange["response_body"]


def path_of(exchange: dict[str, Any]) -> str:
    return exchange["path"].split("?")[0].removeprefix("/v1")


def strict(document: Document, operation: Operation, exchange: dict[str, Any]) -> list[Problem]:
    """Our document: the status must be described, with a schema for what was sent."""
    answer = operation.responses.get(str(exchange["status"]))
    if answer is None:
        return [Problem(operation.name, "", "status", str(exchange["status"]))]
    kind = exchange["response_headers"]["content-type"].split(";")[0]
    if kind not in document.resolve(answer).get("content", {}):
        return [Problem(operation.name, "", "content-type", f"{exchange['status']} {kind}")]
    whole = document.resolve(answer)["content"][kind].get("schema", {})
    found = []
    for tag, payload in bodies(exchange):
        if tag is None:
            found += document.problems(whole, payload)
        elif tag in document.by_object:
            found += document.problems(document.reference(document.by_object[tag]), payload)
        else:
            found.append(Problem(operation.name, "", "event", f"no schema describes the payload {tag}"))
    return found


def against_contract(document: Document, operation: Operation, exchange: dict[str, Any]) -> list[Problem]:
    """The contract's document: it describes 200 and, for all errors, one envelope; its events by their `object`."""
    found = []
    for tag, payload in bodies(exchange):
        if exchange["status"] >= 400 or tag == "error":
            schema = document.reference("ErrorResponse")
        elif tag is not None:
            schema = document.reference(document.by_object[tag])
        else:
            schema = operation.responses["200"]["content"]["application/json"]["schema"]
        found += document.problems(schema, payload)
    return found


def test_answers_fit_our_document(exchanges: list[dict[str, Any]], ours: Document, whole_suite: bool) -> None:
    checked, failures = 0, {}
    for exchange in exchanges:
        operation = ours.match(exchange["method"], path_of(exchange))
        if operation is not None:
            checked += 1
            for problem in strict(ours, operation, exchange):
                failures.setdefault(str(problem), f"{exchange['method']} {exchange['path']}")
    assert not failures, "\n".join(f"{problem} ({where})" for problem, where in failures.items())
    assert checked >= ENOUGH or not whole_suite, f"only {checked} exchanges were recorded"


@needs_contract
def test_answers_fit_the_contract(exchanges: list[dict[str, Any]], contract: Document, whole_suite: bool) -> None:
    table = body_table()
    checked, failures = 0, {}
    for exchange in exchanges:
        operation = contract.match(exchange["method"], path_of(exchange))
        if operation is not None:
            checked += 1
            for problem in against_contract(contract, operation, exchange):
                if not table.allows(vars(problem)):
                    failures.setdefault(str(problem), f"{exchange['method']} {exchange['path']}")
    assert not failures, "\n".join(f"{problem} ({where})" for problem, where in failures.items())
    assert checked >= ENOUGH or not whole_suite, f"only {checked} exchanges were recorded"
    assert table.unused() == [] or not whole_suite


@needs_contract
def test_the_validator_sees_a_spoilt_answer(contract: Document) -> None:
    """Recorded answers fit the contract's document (but for what section 14 lists); spoilt ones do not."""
    known, table = {"required", "type"}, body_table()
    run: dict[str, Any] = {}
    for name in SCENARIOS:
        for exchange in scenario(name)["exchanges"]:
            operation = contract.match(exchange["method"], exchange["path"])
            assert operation is not None
            problems = against_contract(contract, operation, exchange)
            problems = [problem for problem in problems if not table.allows(vars(problem))]
            assert {problem.rule for problem in problems} <= known, problems
            body = exchange.get("response_body") or {}
            run = body if body.get("object") == "thread.run" else run
    schema = contract.reference("RunObject")
    good = run | {"instructions": ""}
    assert contract.problems(schema, good) == []
    for key, value in (
        ("status", "paused"), ("created_at", "now"), ("tools", None), ("usage", {}), ("max_prompt_tokens", 5),
        ("truncation_strategy", {"type": "bogus"}), ("last_error", {"code": "x", "message": "y"}),
    ):  # fmt: skip
        assert contract.problems(schema, good | {key: value}), key
