"""Errors of request bodies (contract section 2.4): unknown, missing, typed and bounded fields of every POST."""

from __future__ import annotations

from typing import Any

import pytest
from client import Answer, Client
from field_errors import (
    Expected,
    array_too_long,
    bad_pattern,
    decimal_above,
    decimal_below,
    empty_array,
    integer_above,
    integer_below,
    missing,
    not_supported,
    too_long,
    unknown,
    wrong_type,
)  # fmt: skip
from routes import OPERATIONS, expect_error, filled

POSTS = [name for name, (method, _, body) in OPERATIONS.items() if method == "POST" and body is not None]
RUNS = ("create run", "create thread and run")
ASSISTANTS = ("create assistant", "modify assistant")
HELLO = {"role": "user", "content": "Hello"}
STR, INT, DEC, BOOL, OBJ, ARR = "a string", "an integer", "a decimal", "a boolean", "an object", "an array"
OBJECTS = "an array of objects"


def function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f"} | fields}


def send(api: Client, world: dict[str, str], operation: str, fields: dict[str, Any]) -> Answer:
    """The smallest accepted body of the operation with these fields set ("(none)" takes a field out)."""
    method, path, body = OPERATIONS[operation]
    if operation == "create run":
        world = world | {"thread_id": api.ok("POST", "/threads")["id"]}
    sent = {k: v for k, v in (filled(body, world) | fields).items() if v != "(none)"}
    return api.request(method, filled(path, world), sent)


REFUSED: list[tuple[str, dict[str, Any], Expected]] = [
    # missing
    ("create assistant", {"model": "(none)"}, missing("model")),
    ("create message", {"role": "(none)"}, missing("role")),
    ("create message", {"content": "(none)"}, missing("content")),
    ("create run", {"assistant_id": "(none)"}, missing("assistant_id")),
    ("create thread and run", {"assistant_id": "(none)"}, missing("assistant_id")),
    ("submit tool outputs", {"tool_outputs": "(none)"}, missing("tool_outputs")),
    ("create thread", {"messages": [{"content": "x"}]}, missing("messages[0].role")),
    ("create thread", {"messages": [HELLO, {"role": "user"}]}, missing("messages[1].content")),
    ("create run", {"additional_messages": [{"role": "user"}]}, missing("additional_messages[0].content")),
    ("create thread and run", {"thread": {"messages": [{"role": "user"}]}}, missing("thread.messages[0].content")),
    ("create assistant", {"tools": [{}]}, missing("tools[0].type")),
    ("create assistant", {"tools": [{"type": "function"}]}, missing("tools[0].function")),
    ("create assistant", {"tools": [{"type": "function", "function": {}}]}, missing("tools[0].function.name")),
    ("create message", {"content": [{"type": "text"}]}, missing("content[0].text")),
    ("create message", {"content": [{"type": "image_url", "image_url": {}}]}, missing("content[0].image_url.url")),
    # unknown, nested
    ("create assistant", {"tools": [{"type": "code_interpreter", "foo": 1}]}, unknown("tools[0].foo")),
    ("create thread", {"messages": [HELLO | {"foo": 1}]}, unknown("messages[0].foo")),
    ("create run", {"additional_messages": [HELLO | {"foo": 1}]}, unknown("additional_messages[0].foo")),
    ("create run", {"tool_resources": {}}, unknown("tool_resources")),
    ("create thread and run", {"thread": {"foo": 1}}, unknown("thread.foo")),
    ("create thread and run", {"additional_messages": []}, unknown("additional_messages")),
    ("create thread and run", {"additional_instructions": "x"}, unknown("additional_instructions")),
    ("modify message", {"content": "x"}, unknown("content")),
    ("modify run", {"status": "completed"}, unknown("status")),
    ("modify thread", {"messages": []}, unknown("messages")),
    # types
    ("create assistant", {"model": 1}, wrong_type("model", STR, INT)),
    ("create assistant", {"model": None}, wrong_type("model", STR, "null")),
    ("create assistant", {"name": True}, wrong_type("name", STR, BOOL)),
    ("create assistant", {"description": []}, wrong_type("description", STR, ARR)),
    ("create assistant", {"instructions": {}}, wrong_type("instructions", STR, OBJ)),
    ("modify assistant", {"name": 1.5}, wrong_type("name", STR, DEC)),
    ("create assistant", {"temperature": "hot"}, wrong_type("temperature", DEC, STR)),
    ("create assistant", {"top_p": True}, wrong_type("top_p", DEC, BOOL)),
    ("create assistant", {"tools": "x"}, wrong_type("tools", OBJECTS, STR)),
    ("create assistant", {"tools": [1]}, wrong_type("tools[0]", OBJ, INT)),
    ("create assistant", {"tools": [function(name=1)]}, wrong_type("tools[0].function.name", STR, INT)),
    ("create assistant", {"tools": [function(strict="x")]}, wrong_type("tools[0].function.strict", BOOL, STR)),
    ("create assistant", {"tools": [function(parameters=[])]}, wrong_type("tools[0].function.parameters", OBJ, ARR)),
    ("create assistant", {"tool_resources": "x"}, wrong_type("tool_resources", OBJ, STR)),
    ("create assistant", {"reasoning_effort": 5}, wrong_type("reasoning_effort", STR, INT)),
    ("create thread", {"messages": {}}, wrong_type("messages", OBJECTS, OBJ)),
    ("create message", {"role": 5}, wrong_type("role", STR, INT)),
    ("create message", {"content": 5}, wrong_type("content", "one of a string or array of objects", INT)),
    ("create message", {"content": [{"type": "text", "text": 5}]}, wrong_type("content[0].text", STR, INT)),
    ("create message", {"attachments": {}}, wrong_type("attachments", OBJECTS, OBJ)),
    ("create run", {"assistant_id": 5}, wrong_type("assistant_id", STR, INT)),
    ("create run", {"stream": "yes"}, wrong_type("stream", BOOL, STR)),
    ("create run", {"instructions": 5}, wrong_type("instructions", STR, INT)),
    ("create run", {"additional_instructions": 5}, wrong_type("additional_instructions", STR, INT)),
    ("create run", {"additional_messages": "x"}, wrong_type("additional_messages", OBJECTS, STR)),
    ("create run", {"max_prompt_tokens": "x"}, wrong_type("max_prompt_tokens", INT, STR)),
    ("create run", {"max_completion_tokens": 300.5}, wrong_type("max_completion_tokens", INT, DEC)),
    ("create run", {"parallel_tool_calls": 1}, wrong_type("parallel_tool_calls", BOOL, INT)),
    ("create run", {"truncation_strategy": "auto"}, wrong_type("truncation_strategy", OBJ, STR)),
    ("create thread and run", {"thread": 5}, wrong_type("thread", OBJ, INT)),
    ("create thread and run", {"stream": 1}, wrong_type("stream", BOOL, INT)),
    ("submit tool outputs", {"tool_outputs": {}}, wrong_type("tool_outputs", OBJECTS, OBJ)),
    ("submit tool outputs", {"tool_outputs": [{"tool_call_id": "call_x", "output": 5}]},
     wrong_type("tool_outputs[0].output", STR, INT)),
    ("submit tool outputs", {"tool_outputs": [{"tool_call_id": "call_x", "output": None}]},
     wrong_type("tool_outputs[0].output", STR, "null")),
    ("submit tool outputs", {"stream": "x"}, wrong_type("stream", BOOL, STR)),
    # enums
    ("create message", {"role": "system"}, not_supported("role", "system", "'user' and 'assistant'")),
    ("create assistant", {"tools": [{"type": "retrieval"}]},
     not_supported("tools[0].type", "retrieval", "'code_interpreter', 'file_search', and 'function'")),
    ("create assistant", {"reasoning_effort": "huge"}, not_supported(
        "reasoning_effort", "huge", "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'")),
    ("create run", {"truncation_strategy": {"type": "bogus"}},
     not_supported("truncation_strategy.type", "bogus", "'auto' and 'last_messages'")),
    ("create message", {"content": [{"type": "image_url", "image_url": {"url": "https://a.test/x.png", "detail": "x"}}]},
     not_supported("content[0].image_url.detail", "x", "'auto', 'low', and 'high'")),
    # sizes
    ("create assistant", {"name": "n" * 257}, too_long("name", 256, 257)),
    ("modify assistant", {"name": "é" * 257}, too_long("name", 256, 257)),
    ("create assistant", {"description": "d" * 513}, too_long("description", 512, 513)),
    ("create assistant", {"instructions": "i" * 256001}, too_long("instructions", 256000, 256001)),
    ("create message", {"content": "c" * 256001}, too_long("content", 256000, 256001)),
    ("create thread", {"messages": [HELLO | {"content": "c" * 256001}]},
     too_long("messages[0].content", 256000, 256001)),
    ("create assistant", {"tools": [function(name="f" * 65)]}, too_long("tools[0].function.name", 64, 65)),
    ("create assistant", {"tools": [function(name="a b")]}, bad_pattern("tools[0].function.name")),
    ("create assistant", {"tools": [function(name=f"f{n}") for n in range(129)]}, array_too_long("tools", 128, 129)),
    ("create run", {"tools": [function(name=f"f{n}") for n in range(21)]}, array_too_long("tools", 20, 21)),
    ("create thread and run", {"tools": [function(name=f"f{n}") for n in range(21)]}, array_too_long("tools", 20, 21)),
    ("create message", {"content": []}, empty_array("content")),
    ("create assistant", {"tool_resources": {"code_interpreter": {"file_ids": [f"file-{n:022d}" for n in range(21)]}}},
     array_too_long("tool_resources.code_interpreter.file_ids", 20, 21)),
    ("create thread", {"tool_resources": {"file_search": {"vector_store_ids": ["vs_a", "vs_b"]}}},
     array_too_long("tool_resources.file_search.vector_store_ids", 1, 2)),
    ("create assistant", {"response_format": {"type": "json_schema", "json_schema": {"name": "n" * 65}}},
     too_long("response_format.json_schema.name", 64, 65)),
    # numbers
    ("create assistant", {"temperature": 2.1}, decimal_above("temperature", 2, 2.1)),
    ("create assistant", {"temperature": -0.1}, decimal_below("temperature", 0, -0.1)),
    ("create assistant", {"temperature": 3}, decimal_above("temperature", 2, 3)),
    ("create assistant", {"top_p": 1.1}, decimal_above("top_p", 1, 1.1)),
    ("modify assistant", {"top_p": -1}, decimal_below("top_p", 0, -1)),
    ("create run", {"temperature": 2.5}, decimal_above("temperature", 2, 2.5)),
    ("create run", {"max_prompt_tokens": 255}, integer_below("max_prompt_tokens", 256, 255)),
    ("create run", {"max_completion_tokens": 0}, integer_below("max_completion_tokens", 256, 0)),
    ("create thread and run", {"max_completion_tokens": 10}, integer_below("max_completion_tokens", 256, 10)),
    ("create run", {"truncation_strategy": {"type": "last_messages", "last_messages": 0}},
     integer_below("truncation_strategy.last_messages", 1, 0)),
    ("create assistant", {"tools": [{"type": "file_search", "file_search": {"max_num_results": 51}}]},
     integer_above("tools[0].file_search.max_num_results", 50, 51)),
    ("create assistant", {"tools": [{"type": "file_search", "file_search": {"max_num_results": 0}}]},
     integer_below("tools[0].file_search.max_num_results", 1, 0)),
    ("create assistant",
     {"tools": [{"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 1.5}}}]},
     decimal_above("tools[0].file_search.ranking_options.score_threshold", 1, 1.5)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "fields", "expected"),
    [pytest.param(*case, id=f"{case[0]}-{case[2][2]}-{case[2][1]}") for case in REFUSED],
)
def test_refused(api: Client, world: dict[str, str], operation: str, fields: dict, expected: Expected) -> None:
    expect_error(send(api, world, operation, fields), 400, *expected)


@pytest.mark.parametrize("operation", POSTS)
def test_unknown_parameter(api: Client, world: dict[str, str], operation: str) -> None:
    expect_error(send(api, world, operation, {"foo": 1}), 400, *unknown("foo"))


@pytest.mark.parametrize("operation", [name for name in POSTS if name != "submit tool outputs"])
def test_a_body_that_is_no_object(api: Client, world: dict[str, str], operation: str) -> None:
    method, path, _ = OPERATIONS[operation]
    for body in ([], "x", 5, True):
        answer = api.request(method, filled(path, world), body)
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("operation", ["create message"])
def test_empty_content(api: Client, world: dict[str, str], operation: str) -> None:
    answer = send(api, world, operation, {"content": ""})
    assert (answer.status, answer.error["message"]) == (400, "Message content must be non-empty.")


WITH_METADATA = [name for name in POSTS if name != "submit tool outputs"]
KEY = "k" * 65


@pytest.mark.parametrize("operation", WITH_METADATA)
@pytest.mark.parametrize(("metadata", "expected"), [
    ("x", wrong_type("metadata", OBJ, STR)),
    ([], wrong_type("metadata", OBJ, ARR)),
    ({"k": 5}, wrong_type("metadata.k", STR, INT)),
    ({"k": None}, wrong_type("metadata.k", STR, "null")),
    ({"k": {}}, wrong_type("metadata.k", STR, OBJ)),
    ({"k": "v" * 513}, too_long("metadata.k", 512, 513)),
    ({f"k{n}": "v" for n in range(17)}, (
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with "
        "17 properties instead.", "metadata", "object_above_max_properties")),
    ({KEY: "v"}, (
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, but got a "
        "string with length 65 instead.", f"metadata.{KEY}", "property_name_above_max_length")),
], ids=["string", "array", "integer", "null", "object", "long-value", "17-pairs", "long-key"])  # fmt: skip
def test_metadata(api: Client, world: dict[str, str], operation: str, metadata: Any, expected: Expected) -> None:
    expect_error(send(api, world, operation, {"metadata": metadata}), 400, *expected)


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    *((name, {"metadata": {"k" * 64: "v" * 512} | {f"k{n}": "é" * 512 for n in range(15)}}) for name in WITH_METADATA),
    *((name, {"metadata": None}) for name in WITH_METADATA),
    *((name, {"metadata": {"k": ""}}) for name in WITH_METADATA),
    *((name, {"name": "é" * 256, "description": "d" * 512, "instructions": "i" * 256000}) for name in ASSISTANTS),
    *((name, {"name": None, "description": None, "instructions": None}) for name in ASSISTANTS),
    *((name, {"temperature": 2, "top_p": 1}) for name in ASSISTANTS),
    *((name, {"temperature": 0, "top_p": 0.0}) for name in ASSISTANTS),
    *((name, {"temperature": None, "top_p": None, "response_format": None}) for name in ASSISTANTS),
    *((name, {"tools": [function(name=f"f{n}") for n in range(128)]}) for name in ASSISTANTS),
    *((name, {"tool_resources": {"file_search": None, "code_interpreter": None}}) for name in ASSISTANTS),
    ("create assistant", {"tools": [function(name="f" * 64)]}),
    ("create assistant", {"response_format": {"type": "json_schema", "json_schema": {"name": "n" * 64, "schema": {}}}}),
    *(("create assistant", {"reasoning_effort": effort})
      for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max", None)),
    ("create thread", {"messages": []}),
    ("create thread", {"tool_resources": None}),
    ("create message", {"content": "c" * 256000}),
    ("create message", {"attachments": None}),
    ("create message", {"attachments": []}),
    ("create message", {"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}),
    *((name, {"max_prompt_tokens": 256, "max_completion_tokens": 256}) for name in RUNS),
    *((name, {"max_prompt_tokens": None, "max_completion_tokens": None, "temperature": None, "top_p": None}) for name in RUNS),
    *((name, {"tools": [function(name=f"f{n}") for n in range(20)]}) for name in RUNS),
    *((name, {"model": None, "instructions": None, "tools": None, "tool_choice": None, "response_format": None,
              "truncation_strategy": None, "stream": None}) for name in RUNS),
    *((name, {"truncation_strategy": {"type": "last_messages", "last_messages": 1}}) for name in RUNS),
    *((name, {"truncation_strategy": {"type": "auto", "last_messages": None}}) for name in RUNS),
    ("create run", {"additional_messages": None, "additional_instructions": None, "reasoning_effort": None}),
    ("create run", {"additional_messages": []}),
    ("create thread and run", {"thread": {}}),
    ("create thread and run", {"tool_resources": None}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "fields"), ACCEPTED, ids=lambda value: value if isinstance(value, str) else "")
def test_accepted_at_the_edge(echo_api: Client, world: dict[str, str], operation: str, fields: dict[str, Any]) -> None:
    answer = send(echo_api, world, operation, fields)
    assert answer.status == 200, answer.body
