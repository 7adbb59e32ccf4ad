"""Strict validation of what the server sends, against the pydantic models of the installed openai SDK.

The SDK itself never validates: a missing field becomes None and a wrong type passes. Here the same
models are applied with `strict=True`, so a missing required key or a wrong type is a finding. Extra
keys are fine (the models allow them, and so does the contract).
"""

from __future__ import annotations

import re
from typing import Any, Generic, Literal, Optional, TypeVar, get_args

from openai.types import (
    FileDeleted,
    FileObject,
    Model,
    Upload,
    VectorStore,
    VectorStoreDeleted,
    VectorStoreSearchResponse,
)
from openai.types.beta import Assistant, AssistantDeleted, AssistantStreamEvent, Thread, ThreadDeleted
from openai.types.beta.threads import Message, MessageDeleted, Run
from openai.types.beta.threads.runs import RunStep
from openai.types.shared import ErrorObject
from openai.types.uploads import UploadPart
from openai.types.vector_stores import (
    FileContentResponse,
    VectorStoreFile,
    VectorStoreFileBatch,
    VectorStoreFileDeleted,
)
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from recording import Exchange

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """The list envelope of contract section 4: all five keys, always."""

    model_config = ConfigDict(extra="forbid")
    object: Literal["list"]
    data: list[Item]
    first_id: Optional[str]
    last_id: Optional[str]
    has_more: bool


class Models(BaseModel):
    model_config = ConfigDict(extra="forbid")
    object: Literal["list"]
    data: list[Model]


class Store(VectorStore):
    """Without a name it is null (contract section 11.4)."""

    name: Optional[str]


class FileBatch(VectorStoreFileBatch):
    """The hosted API has this word where its document has another (contract section 11.7)."""

    object: Literal["vector_store.file_batch"]


class OnePage(BaseModel, Generic[Item]):
    model_config = ConfigDict(extra="forbid")
    object: Literal["vector_store.file_content.page"]
    data: list[Item]
    has_more: Literal[False]
    next_page: None


class Found(OnePage[VectorStoreSearchResponse]):
    object: Literal["vector_store.search_results.page"]
    search_query: list[str]


class ErrorFields(BaseModel):
    """All four keys are there, null or not (contract section 1.4)."""

    model_config = ConfigDict(extra="forbid")
    message: str
    type: str
    param: Optional[str]
    code: Optional[str]


class ErrorBody(BaseModel):
    error: ErrorFields


class ErrorEvent(BaseModel):
    error: ErrorObject


_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/models", Models),
    ("GET", "/models/{}", Model),
    ("GET", "/files", Page[FileObject]),
    ("POST", "/files", FileObject),
    ("GET", "/files/{}", FileObject),
    ("DELETE", "/files/{}", FileDeleted),
    ("POST", "/uploads", Upload),
    ("POST", "/uploads/{}/parts", UploadPart),
    ("POST", "/uploads/{}/complete", Upload),
    ("POST", "/uploads/{}/cancel", Upload),
    ("GET", "/vector_stores", Page[Store]),
    ("POST", "/vector_stores", Store),
    ("GET", "/vector_stores/{}", Store),
    ("POST", "/vector_stores/{}", Store),
    ("DELETE", "/vector_stores/{}", VectorStoreDeleted),
    ("POST", "/vector_stores/{}/search", Found),
    ("GET", "/vector_stores/{}/files", Page[VectorStoreFile]),
    ("POST", "/vector_stores/{}/files", VectorStoreFile),
    ("GET", "/vector_stores/{}/files/{}", VectorStoreFile),
    ("POST", "/vector_stores/{}/files/{}", VectorStoreFile),
    ("DELETE", "/vector_stores/{}/files/{}", VectorStoreFileDeleted),
    ("GET", "/vector_stores/{}/files/{}/content", OnePage[FileContentResponse]),
    ("POST", "/vector_stores/{}/file_batches", FileBatch),
    ("GET", "/vector_stores/{}/file_batches/{}", FileBatch),
    ("POST", "/vector_stores/{}/file_batches/{}/cancel", FileBatch),
    ("GET", "/vector_stores/{}/file_batches/{}/files", Page[VectorStoreFile]),
    ("GET", "/assistants", Page[Assistant]),
    ("POST", "/assistants", Assistant),
    ("GET", "/assistants/{}", Assistant),
    ("POST", "/assistants/{}", Assistant),
    ("DELETE", "/assistants/{}", AssistantDeleted),
    ("POST", "/threads", Thread),
    ("POST", "/threads/runs", Run),
    ("GET", "/threads/{}", Thread),
    ("POST", "/threads/{}", Thread),
    ("DELETE", "/threads/{}", ThreadDeleted),
    ("GET", "/threads/{}/messages", Page[Message]),
    ("POST", "/threads/{}/messages", Message),
    ("GET", "/threads/{}/messages/{}", Message),
    ("POST", "/threads/{}/messages/{}", Message),
    ("DELETE", "/threads/{}/messages/{}", MessageDeleted),
    ("GET", "/threads/{}/runs", Page[Run]),
    ("POST", "/threads/{}/runs", Run),
    ("GET", "/threads/{}/runs/{}", Run),
    ("POST", "/threads/{}/runs/{}", Run),
    ("POST", "/threads/{}/runs/{}/cancel", Run),
    ("POST", "/threads/{}/runs/{}/submit_tool_outputs", Run),
    ("GET", "/threads/{}/runs/{}/steps", Page[RunStep]),
    ("GET", "/threads/{}/runs/{}/steps/{}", RunStep),
]
ROUTES = [
    (method, re.compile(re.escape(path).replace(r"\{\}", "[^/]+")), TypeAdapter(model)) for method, path, model in _ROUTES
]
CONTENT = re.compile("/files/[^/]+/content")
ERROR = TypeAdapter(ErrorBody)
EVENTS: dict[str, TypeAdapter[Any]] = {"error": TypeAdapter(ErrorEvent)}
for _member in get_args(get_args(AssistantStreamEvent)[0]):
    _name = get_args(_member.model_fields["event"].annotation)[0]
    if _name != "error":
        EVENTS[_name] = TypeAdapter(_member.model_fields["data"].annotation)

HEADERS = {
    "x-request-id": re.compile("req_[0-9a-f]{32}"),
    "openai-version": re.compile("2020-10-01"),
    "openai-processing-ms": re.compile("[0-9]+"),
    # The gateway's own, on whatever it answers.
    "x-portkey-trace-id": re.compile(r"\S+"),
    "x-portkey-retry-attempt-count": re.compile("-1|[0-9]+"),
    "x-portkey-last-used-option-index": re.compile(r"config(\.targets\[[0-9]+\])*"),
    "x-portkey-cache-status": re.compile("HIT|MISS|REFRESH|DISABLED"),
    "x-portkey-provider": re.compile("[a-z0-9.-]+"),
}


def findings(adapter: TypeAdapter[Any], value: Any, where: str) -> list[str]:
    """One line per deviation of `value` from the adapter's model."""
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        return [f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors()]
    return []


def event_findings(event: dict[str, Any], where: str) -> list[str]:
    name, data = event["event"], event["data"]
    if name == "done":
        return [] if data == "[DONE]" else [f"{where}: done carries {data!r}"]
    if name not in EVENTS:
        return [f"{where}: unknown event {name!r}"]
    return findings(EVENTS[name], data, f"{where} {name}")


def check(exchange: Exchange) -> list[str]:
    """Everything that is wrong with one exchange: headers, media type, body or events."""
    where = f"{exchange.method} {exchange.path} -> {exchange.status}"
    problems = [
        f"{where}: header {name} is {exchange.response_headers.get(name)!r}"
        for name, pattern in HEADERS.items()
        if not pattern.fullmatch(exchange.response_headers.get(name, ""))
    ]
    media_type = exchange.response_headers.get("content-type")
    if exchange.response_sse is not None:
        if media_type != "text/event-stream; charset=utf-8":
            problems.append(f"{where}: content-type {media_type!r}")
        for event in exchange.response_sse:
            problems += event_findings(event, where)
        names = [event["event"] for event in exchange.response_sse]
        # One that is opened again behind its end has nothing left to tell.
        is_over = not names and exchange.path.endswith("/stream")
        whole = is_over or names[-1:] == ["done"] and names.count("done") == 1
        if exchange.complete and not whole:
            problems.append(f"{where}: the stream does not end with one done event: {names[-3:]}")
        return problems
    if CONTENT.fullmatch(exchange.path) and exchange.status == 200:
        return problems if media_type == "application/octet-stream" else [*problems, f"{where}: content-type {media_type!r}"]
    if media_type != "application/json":
        problems.append(f"{where}: content-type {media_type!r}")
    if exchange.status >= 400:
        return problems + findings(ERROR, exchange.response_body, where)
    for method, path, adapter in ROUTES:
        if method == exchange.method and path.fullmatch(exchange.path):
            return problems + findings(adapter, exchange.response_body, where)
    return [*problems, f"{where}: no model for this route"]
