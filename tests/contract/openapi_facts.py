"""What a schema says, as a flat table: path -> fact -> value. Two documents are compared by these tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from openapi_document import Document, Operation

LIMITS = ("maxLength", "minLength", "pattern", "minimum", "maximum", "maxItems", "minItems", "maxProperties")
NONE = "-"
AGAIN = re.compile(r"\.filters(<\w+>)?\.filters\[\]")  # a filter within a filter is what a filter is


@dataclass
class Facts:
    """Everything that is said about one place, over all variants of a union."""

    types: set[str] = field(default_factory=set)
    enum: set[str] = field(default_factory=set)
    open_string: bool = False
    limits: dict[str, str] = field(default_factory=dict)
    required: bool | None = None
    default: str = NONE

    def rows(self) -> dict[str, str]:
        rows = {"type": " | ".join(sorted(self.types)) or "any", **self.limits}
        if self.enum and not self.open_string:
            rows["enum"] = ", ".join(sorted(self.enum))
        if self.required is not None:
            rows["required"] = "yes" if self.required else "no"
        if self.default != NONE:
            rows["default"] = self.default
        return rows


class Flattener:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.out: dict[str, Facts] = {}

    def add(self, node: dict[str, Any], at: str, depth: int = 0) -> None:
        """Objects whose `type` is a constant get it as part of their place: `tools[]<function>.function`."""
        assert depth < 40, f"the schema at {at} does not end"
        node = self.document.resolve(node)
        facts = self.out.setdefault(at, Facts())
        if AGAIN.search(at):
            return
        tag = self._tag(node)
        if tag and not at.endswith(f"<{tag}>"):
            kinds = node.get("type", "object")
            facts.types.update({"object"} if isinstance(kinds, str) else kinds)
            self.add(node | {"type": "object"}, f"{at}<{tag}>", depth + 1)
            return
        for key in ("anyOf", "oneOf", "allOf"):
            for variant in node.get(key, []):
                if set(variant) != {"required"}:
                    self.add(variant, at, depth + 1)
        self._own(node, facts, at, depth)

    def _own(self, node: dict[str, Any], facts: Facts, at: str, depth: int) -> None:
        types = node.get("type", [])
        types = [types] if isinstance(types, str) else list(types)
        if not types and "properties" in node:
            types = ["object"]
        facts.types.update(types)
        values = [node["const"]] if "const" in node else node.get("enum", [])
        facts.enum.update(str(value) for value in values if value is not None)
        facts.open_string |= "string" in types and not values
        for limit in LIMITS:
            if limit in node:
                facts.limits[limit] = _number(node[limit])
        required = node.get("required", [])
        for name, child in node.get("properties", {}).items():
            place = f"{at}.{name}"
            self.add(child, place, depth + 1)
            was = self.out[place].required
            self.out[place].required = (name in required) if was is None else (was and name in required)
        if "items" in node:
            self.add(node["items"], f"{at}[]", depth + 1)
        if isinstance(node.get("additionalProperties"), dict):
            self.add(node["additionalProperties"], f"{at}.*", depth + 1)

    def _tag(self, variant: dict[str, Any]) -> str | None:
        """The constant of an object's `type` property."""
        kind = self.document.resolve(variant.get("properties", {}).get("type", {}))
        values = [kind["const"]] if "const" in kind else kind.get("enum", [])
        return values[0] if len(values) == 1 else None


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def facts(document: Document, operation: Operation) -> dict[str, Facts]:
    """The parameters, the JSON request and the 200 answer of an operation."""
    flat = Flattener(document)
    for parameter in operation.parameters:
        if parameter["in"] == "query":
            place = f"query.{parameter['name']}"
            flat.add(parameter.get("schema", {}), place)
            flat.out[place].required = parameter.get("required", False)
            default = document.resolve(parameter.get("schema", {})).get("default")
            flat.out[place].default = NONE if default is None else str(default)
    if operation.request:
        flat.add(operation.request, "request")
    answer = operation.responses.get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if answer:
        flat.add(answer, "response")
    return flat.out


def schema_facts(document: Document, kind: str) -> dict[str, Facts]:
    """The schema of the objects with this `object` constant (for payloads of events)."""
    flat = Flattener(document)
    flat.add(document.reference(document.by_object[kind]), "event")
    return flat.out


def compared(name: str, contract: dict[str, Facts], ours: dict[str, Facts]) -> list[dict[str, str]]:
    """Every fact that is not the same: operation, at, fact, contract, ours.

    In answers a stricter promise is no difference: a field always there, never null, or of fewer values. Limits are
    compared in requests only: what was refused there can not be answered.
    """
    rows = []
    for at in sorted({*contract, *ours}):
        if at not in contract or at not in ours:
            # Only the outermost of a missing branch is told.
            parent = at[: max(at.rfind("."), at.rfind("["), at.rfind("<"))]
            side = contract if at not in contract else ours
            if parent in side or not parent:
                there, here = ("absent", "present") if at not in contract else ("present", "absent")
                rows.append({"operation": name, "at": at, "fact": "field", "contract": there, "ours": here})
            continue
        answer = at.startswith(("response", "event"))
        theirs, mine = contract[at].rows(), ours[at].rows()
        for fact in sorted({*theirs, *mine}):
            pair = {"contract": theirs.get(fact, NONE), "ours": mine.get(fact, NONE)}
            if pair["contract"] != pair["ours"] and not (answer and _stricter(fact, contract[at], ours[at])):
                rows.append({"operation": name, "at": at, "fact": fact, **pair})
    return rows


def _stricter(fact: str, contract: Facts, ours: Facts) -> bool:
    """Whether a difference in an answer only promises more than the contract does."""
    if fact == "type":
        return bool(ours.types) and ours.types <= contract.types
    if fact == "required":
        return bool(ours.required)
    if fact == "enum":
        return bool(ours.enum) and not ours.open_string and (not contract.enum or ours.enum <= contract.enum)
    return fact in LIMITS
