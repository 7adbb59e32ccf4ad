"""An OpenAPI document as the suite needs it: operations by method and path, schemas as JSON Schema 2020-12."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

METHODS = ("get", "post", "put", "patch", "delete")


def modern(node: Any) -> Any:
    """OpenAPI 3.0's `nullable: true`, which the contract mixes into 3.1, as a union with null."""
    if isinstance(node, list):
        return [modern(item) for item in node]
    if not isinstance(node, dict):
        return node
    members = node.get("allOf")
    nullable = node.get("nullable") is True
    if isinstance(members, list) and {"nullable": True} in members:
        nullable = True
        node = node | {"allOf": [member for member in members if member != {"nullable": True}]}
    node = {key: modern(value) for key, value in node.items() if key != "nullable" or not isinstance(value, bool)}
    return {"anyOf": [node, {"type": "null"}]} if nullable else node


@dataclass(frozen=True)
class Operation:
    """`name` is "POST /threads/{}/runs": the path without /v1, its parameters unnamed."""

    name: str
    method: str
    path: re.Pattern[str]
    parameters: tuple[dict[str, Any], ...]
    request: dict[str, Any] | None
    responses: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Problem:
    """What a validator found: where in the value, which rule, and the offending value in short."""

    schema: str
    at: str
    rule: str
    value: str

    def __str__(self) -> str:
        return f"{self.schema} at {self.at or '(root)'}: {self.rule}: {self.value}"


class Document:
    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = modern(raw)

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self.raw
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            rest = {key: value for key, value in node.items() if key != "$ref"}
            node = target | rest
        return node

    @cached_property
    def operations(self) -> dict[str, Operation]:
        found = {}
        for template, item in self.raw["paths"].items():
            path = template.removeprefix("/v1")
            for method in METHODS:
                if method in item:
                    name = f"{method.upper()} {re.sub(r'{[^}]*}', '{}', path)}"
                    found[name] = self._operation(name, method.upper(), path, item, item[method])
        return found

    def _operation(self, name: str, method: str, path: str, item: dict, spec: dict) -> Operation:
        parameters = [self.resolve(p) for p in [*item.get("parameters", []), *spec.get("parameters", [])]]
        request = None
        if "requestBody" in spec:
            request = self.resolve(spec["requestBody"])["content"].get("application/json", {}).get("schema")
        return Operation(
            name=name,
            method=method,
            path=re.compile(re.sub(r"{[^}]*}", "[^/]+", path)),
            parameters=tuple(parameters),
            request=request,
            responses={str(status): self.resolve(answer) for status, answer in spec["responses"].items()},
        )

    def match(self, method: str, path: str) -> Operation | None:
        """The operation of a request; of several templates the one with the fewest parameters."""
        fitting = [o for o in self.operations.values() if o.method == method and o.path.fullmatch(path)]
        return min(fitting, key=lambda operation: operation.name.count("{}"), default=None)

    @cached_property
    def by_object(self) -> dict[str, str]:
        """Names of component schemas by the constant of their `object` property: the schemas of event payloads."""
        found: dict[str, str] = {}
        for name, schema in self.raw["components"]["schemas"].items():
            tag = self.resolve(schema).get("properties", {}).get("object", {})
            tag = self.resolve(tag) if tag else {}
            values = [tag["const"]] if "const" in tag else tag.get("enum", [])
            if len(values) == 1 and values[0] != "list":
                found.setdefault(values[0], name)
        return found

    def reference(self, name: str) -> dict[str, Any]:
        assert name in self.raw["components"]["schemas"], f"no schema {name}"
        return {"$ref": f"#/components/schemas/{name}"}

    def problems(self, schema: dict[str, Any], value: Any) -> list[Problem]:
        """Why a value does not fit the schema; of a failed union the most telling reason."""
        validator = jsonschema.Draft202012Validator(schema | {"components": self.raw["components"]})
        name = schema.get("$ref", "inline").rsplit("/", 1)[-1]
        found = []
        for error in validator.iter_errors(value):
            leaf = best_match([error])
            at = "".join("[]" if isinstance(part, int) else f".{part}" for part in leaf.absolute_path).lstrip(".")
            shown = leaf.message if leaf.validator in ("additionalProperties", "required") else str(leaf.instance)
            found.append(Problem(name, at, str(leaf.validator), shown[:120]))
        return found
