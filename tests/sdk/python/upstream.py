"""A provider that speaks like OpenAI, counts what it is sent, and answers as it is told.

Without a script it answers every chat with what the last message said (or calls the first tool), streamed or whole,
embeds every input as `[length, 0.5]`, and knows one model; it has every run that is modified. The model `slow` takes
half a second. `script` puts answers before that, one for each request.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
HEAD = {"id": "chatcmpl-upstream", "created": 1761861536, "system_fingerprint": "fp_upstream"}


@dataclass(frozen=True)
class Request:
    """What came, header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer to one request. With `gate`, it waits until that is set."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None


# An answer, or how to make it of the request that it is for.
Script = Reply | Callable[[Request], Reply]
# Whole, or the events of a stream.
Unscripted = Callable[[Request], Reply | Iterator[str]]


def failure(status: int, message: str = "scripted", **headers: str) -> Reply:
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    return Reply(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


def saying(*words: str) -> Reply:
    """A streamed answer that comes in these pieces."""
    return streaming([({"content": word}, None) for word in words], "stop")


def calling(*calls: tuple[str, dict[str, Any]]) -> Reply:
    """Streamed calls of functions: their names and arguments."""
    deltas = []
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        deltas.append(({"tool_calls": [call]}, None))
    return streaming(deltas, "tool_calls")


def streaming(deltas: list[tuple[dict[str, Any], str | None]], finish: str) -> Reply:
    events = [f"data: {chunk}\n\n" for chunk in chunks_of("gpt-4o", deltas, finish, usage=True)]
    return Reply(200, "".join(events).encode(), {"content-type": "text/event-stream; charset=utf-8"})


class Upstream:
    """`url` ends in `/v1`; `requests` is what came since the last `reset`. `unscripted` answers where nothing is scripted."""

    def __init__(self, unscripted: Unscripted | None = None) -> None:
        self._unscripted = unscripted or usual
        self.requests: list[Request] = []
        self._replies: deque[Script] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def script(self, *replies: Script) -> None:
        with self._lock:
            self._replies.extend(replies)

    def reset(self) -> None:
        with self._lock:
            self._replies.clear()
            self.requests.clear()

    def left(self) -> int:
        return len(self._replies)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, request: Request) -> Script | None:
        with self._lock:
            self.requests.append(request)
            return self._replies.popleft() if self._replies else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._answer()

            def do_DELETE(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                scripted = upstream._take(request)
                if callable(scripted):
                    scripted = scripted(request)
                if scripted and scripted.gate:
                    scripted.gate.wait(30)
                reply = scripted or upstream._unscripted(request)
                try:
                    if isinstance(reply, Reply):
                        self._send(reply)
                    else:
                        self._stream(reply)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _send(self, reply: Reply) -> None:
                data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                headers = {"content-type": "application/json", "x-request-id": "req_of_the_upstream", **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, events: Iterator[str]) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream; charset=utf-8")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for event in events:
                    data = f"data: {event}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

        return Handler


def usual(request: Request) -> Reply | Iterator[str]:
    """The answer to a request that nobody scripted."""
    path = request.path.partition("?")[0]
    if (request.method, path) == ("POST", "/v1/chat/completions"):
        if request.json["model"] == "slow":
            time.sleep(0.5)
        return chunks(request.json) if request.json.get("stream") else Reply(200, completion(request.json))
    if (request.method, path) == ("POST", "/v1/embeddings"):
        return Reply(200, embeddings(request.json))
    if (request.method, path) == ("GET", "/v1/models"):
        return Reply(200, {"object": "list", "data": [MODEL]})
    if (request.method, path) == ("GET", "/v1/models/gpt-4o"):
        return Reply(200, MODEL)
    if run := re.fullmatch("/v1/threads/([^/]+)/runs/([^/]+)", path):
        return Reply(200, {"id": run[2], "object": "thread.run", "thread_id": run[1], **json.loads(request.body or "{}")})
    return failure(404, f"Invalid URL ({request.method} {request.path})")


def answer(body: dict[str, Any]) -> tuple[str | None, list[dict[str, Any]], str]:
    """Words, function calls, finish reason."""
    if body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city":"Oslo"}'}
        return None, [{"id": "call_1", "type": "function", "function": function}], "tool_calls"
    return f"You said: {body['messages'][-1]['content']}", [], "stop"


def completion(body: dict[str, Any]) -> dict[str, Any]:
    words, calls, finish = answer(body)
    message = {"role": "assistant", "content": words, "refusal": None} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {**HEAD, "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": USAGE}


def chunks(body: dict[str, Any]) -> Iterator[str]:
    words, calls, finish = answer(body)
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in re.findall(r"\S+\s*", words or "")]
    deltas += [({"tool_calls": [{"index": index, **call}]}, None) for index, call in enumerate(calls)]
    usage = (body.get("stream_options") or {}).get("include_usage")
    yield from chunks_of(body["model"], deltas, finish, usage=bool(usage))


def chunks_of(
    model: str, deltas: list[tuple[dict[str, Any], str | None]], finish: str, *, usage: bool
) -> Iterator[str]:
    head = {**HEAD, "object": "chat.completion.chunk", "model": model}
    for delta, reason in [*deltas, ({}, finish)]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        yield json.dumps({**head, "choices": [choice]})
    if usage:
        yield json.dumps({**head, "choices": [], "usage": USAGE})
    yield "[DONE]"


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": index, "embedding": [float(len(text)), 0.5]} for index, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}
