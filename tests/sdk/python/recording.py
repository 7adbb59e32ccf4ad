"""An HTTP transport that lets everything through and keeps a copy of every exchange.

The copy is what the validation reads, and, with `LOOMGATE_RECORD=FILE` in the environment, one JSON
line per exchange is appended to FILE:

    {"method", "path" (without /v1), "query", "request_body", "status", "response_headers",
     "response_body" | "response_sse": [{"event", "data"}, ...]}

`data` is parsed JSON, or the text `[DONE]`; the lines are ASCII. `tests/sdk/node/recording.mjs` writes the same lines.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable, Iterator
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Exchange:
    method: str
    path: str
    query: dict[str, str]
    request_body: Any
    status: int
    response_headers: dict[str, str]
    response_body: Any = None
    response_sse: list[dict[str, Any]] | None = None
    complete: bool = True  # False: the client hung up before the end of the body
    request_headers: dict[str, str] = field(default_factory=dict)  # kept out of the recorded line: they hold keys

    def line(self) -> dict[str, Any]:
        recorded: dict[str, Any] = {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "request_body": self.request_body,
            "status": self.status,
            "response_headers": self.response_headers,
        }
        if self.response_sse is None:
            recorded["response_body"] = self.response_body
        else:
            recorded["response_sse"] = self.response_sse
        return recorded


def parse_events(text: str) -> list[dict[str, Any]]:
    """The whole events of an SSE text; a torn last one is left out."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields = [line.partition(":")[::2] for line in block.split("\n") if line and not line.startswith(":")]
        if not fields:
            continue
        name = next((value.removeprefix(" ") for key, value in fields if key == "event"), None)
        data = "\n".join(value.removeprefix(" ") for key, value in fields if key == "data")
        events.append({"event": name, "data": data if data == "[DONE]" else json.loads(data)})
    return events


def parse_json(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


class Recorder:
    """Collects exchanges; `check` names what is wrong with one, and its findings pile up in `problems`."""

    def __init__(self, check: Callable[[Exchange], list[str]]) -> None:
        self.exchanges: list[Exchange] = []
        self.problems: list[str] = []
        self._check = check
        self._lock = threading.Lock()
        self._file = os.environ.get("LOOMGATE_RECORD")

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    @property
    def last_stream(self) -> Exchange:
        return next(exchange for exchange in reversed(self.exchanges) if exchange.response_sse is not None)

    def add(self, exchange: Exchange) -> None:
        with self._lock:
            self.exchanges.append(exchange)
            self.problems += self._check(exchange)
            if self._file and exchange.complete:
                with open(self._file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(exchange.line()) + "\n")


def recording_transport(http: ModuleType, recorder: Recorder) -> Any:
    """A transport for `http`, which is httpx or its successor httpx2 (the openai SDK 3.x brings the latter)."""

    class Tee(http.SyncByteStream):
        def __init__(self, inner: Any, finish: Callable[[bytes, bool], None]) -> None:
            self._inner, self._finish, self._seen, self._complete = inner, finish, [], False

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self._inner:
                self._seen.append(chunk)
                yield chunk
            self._complete = True

        def close(self) -> None:
            self._inner.close()
            if self._finish is not None:
                finish, self._finish = self._finish, None
                finish(b"".join(self._seen), self._complete)

    class Transport(http.HTTPTransport):
        def handle_request(self, request: Any) -> Any:
            url = urlsplit(str(request.url))
            is_form = request.headers.get("content-type", "").startswith("multipart/")
            raw = request.read()
            request_body = None if is_form else parse_json(raw)
            response = super().handle_request(request)

            def finish(raw: bytes, complete: bool) -> None:
                decoded = http.Response(response.status_code, headers=response.headers, content=raw).content
                exchange = Exchange(
                    method=request.method,
                    path=url.path.removeprefix("/v1"),
                    query=dict(parse_qsl(url.query, keep_blank_values=True)),
                    request_body=request_body,
                    status=response.status_code,
                    response_headers={name.lower(): value for name, value in response.headers.items()},
                    complete=complete,
                    request_headers={name.lower(): value for name, value in request.headers.items()},
                )
                if exchange.response_headers.get("content-type", "").startswith("text/event-stream"):
                    exchange.response_sse = parse_events(decoded.decode())
                else:
                    exchange.response_body = parse_json(decoded)
                recorder.add(exchange)

            return http.Response(
                response.status_code,
                headers=response.headers,
                stream=Tee(response.stream, finish),
                extensions=response.extensions,
            )

    # The server speaks plain HTTP: loading the certificate bundle would only cost time.
    return Transport(verify=False)
