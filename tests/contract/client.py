"""A small client of the API: httpx, server-sent events, and a recording of every exchange (LOOMGATE_RECORD)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT_S = 20
_record_lock = threading.Lock()


@dataclass(frozen=True)
class Event:
    """One server-sent event: the `event:` name and the `data:` payload, parsed unless it is `[DONE]`."""

    name: str
    data: Any


@dataclass
class Answer:
    """An answer: status, lower-case headers and either `body` (JSON or text) or `events`."""

    status: int
    headers: dict[str, str]
    body: Any = None
    events: list[Event] = field(default_factory=list)

    @property
    def error(self) -> dict[str, Any]:
        assert isinstance(self.body, dict) and "error" in self.body, f"no error envelope: {self.status} {self.body!r}"
        return self.body["error"]

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]


def lines_of(chunks: Iterator[bytes]) -> Iterator[str]:
    """Splits a byte stream at LF only (str.splitlines would also split at characters that JSON may hold)."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
    assert rest == b"", f"the stream ended inside a line: {rest!r}"


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Reads the wire form of contract section 10.1: an `event:` line, one `data:` line, an empty line.

    Other fields (`id:`) and comments (heartbeats) are skipped; anything else is an error of the server.
    """
    name, data = None, None
    for line in lines:
        if line == "":
            if data is not None:
                assert name is not None, f"data without an event name: {data!r}"
                yield Event(name, data if data == "[DONE]" else json.loads(data))
            name, data = None, None
        elif line.startswith("event: "):
            assert data is None, "the event line must come before its data line"
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            assert data is None, "the data of an event is one line"
            data = line.removeprefix("data: ")
        else:
            assert line.startswith((":", "id: ", "id:")), f"unknown line in an event stream: {line!r}"
    assert name is None and data is None, f"the stream ended inside an event: {name!r} {data!r}"


class Client:
    """Sends requests with one API key. `request` never raises on a status."""

    def __init__(self, url: str, key: str, headers: dict[str, str] | None = None) -> None:
        self.base = f"{url}/v1"
        self.headers = {"authorization": f"Bearer {key}", "openai-beta": "assistants=v2"} | (headers or {})
        self.http = httpx.Client(timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        self.http.close()

    def request(
        self, method: str, path: str, body: Any = None, query: Any = None, headers: dict | None = None,
        form: list | None = None,
    ) -> Answer:  # fmt: skip
        """One call to its end; an event stream is read until it closes. `body` None sends no body at all."""
        with self._send(method, path, body, query, headers, form) as response:
            answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()})
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.events = list(parse_events(lines_of(response.iter_bytes())))
            else:
                response.read()
                is_json = answer.headers.get("content-type", "").startswith("application/json")
                answer.body = response.json() if is_json else response.text
        self._record(method, path, body, query, answer)
        return answer

    @contextmanager
    def stream(self, method: str, path: str, body: Any, query: Any = None) -> Iterator[Iterator[Event]]:
        """A call whose events are read one by one, for tests that act in the middle of a stream."""
        with self._send(method, path, body, query, None) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                response.read()
                raise AssertionError(f"{method} {path}: not an event stream: {response.status_code} {response.text}")
            answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()})

            def events() -> Iterator[Event]:
                for event in parse_events(lines_of(response.iter_bytes())):
                    answer.events.append(event)
                    yield event

            yield events()
            self._record(method, path, body, query, answer)

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, query=query or None)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def ok(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        """The body of an answer that must be 200."""
        answer = self.request(method, path, body, query)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    def _send(
        self, method: str, path: str, body: Any, query: Any, headers: dict | None, form: list | None = None
    ):
        content = None
        sent = dict(self.headers)
        if form is not None:
            return self.http.stream(method, self.base + path, files=form, params=query, headers=sent)
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            sent["content-type"] = "application/json"
        for name, value in (headers or {}).items():
            if value is None:
                sent.pop(name, None)
            else:
                sent[name] = value
        return self.http.stream(method, self.base + path, content=content, params=query, headers=sent)

    def _record(self, method: str, path: str, body: Any, query: Any, answer: Answer) -> None:
        target = os.environ.get("LOOMGATE_RECORD")
        if not target:
            return
        line: dict[str, Any] = {
            "method": method,
            "path": path,
            "query": query,
            "request_body": None if isinstance(body, bytes) else body,
            "status": answer.status,
            "response_headers": answer.headers,
        }
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            line["response_sse"] = [{"event": event.name, "data": event.data} for event in answer.events]
        else:
            line["response_body"] = answer.body
        with _record_lock, open(target, "a", encoding="utf-8") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
