"""An OpenAI-compatible chat server whose answers are scripted by the tests.

It serves `POST /v1/chat/completions` (streamed or whole) and `GET /v1/models` on a free loopback port. Each chat call
takes the next turn of the queue; `requests` keeps the bodies it was sent. A call without a turn in the queue is
answered with status 400 and noted in `unexpected`, which the suite asserts to be empty.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GATE_TIMEOUT_S = 30


@dataclass(frozen=True)
class Call:
    """A function call of a turn; `arguments` is the list of its streamed pieces."""

    id: str
    name: str
    arguments: tuple[str, ...]


@dataclass
class Turn:
    """What the model does once.

    `text` pieces first, then `calls`. With `gate`, the turn waits for that event after `gate_after` text pieces (with
    0, before anything of the answer is sent). With `break_after`, the connection is cut after so many pieces; with
    `fault_after`, an error object is sent there and the answer ends. `error` is (status, message) instead of an answer.
    `repeat` keeps the turn at the head of the queue (for a fault that every attempt meets).
    """

    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    refusal: tuple[str, ...] = ()
    finish_reason: str | None = None
    usage: tuple[int, int] = (11, 7)
    gate: threading.Event | None = None
    gate_after: int = 0
    break_after: int | None = None
    fault_after: int | None = None
    error: tuple[int, str] | None = None
    repeat: bool = False
    reached_gate: threading.Event = field(default_factory=threading.Event)

    @property
    def finish(self) -> str:
        return self.finish_reason or ("tool_calls" if self.calls else "stop")

    @property
    def usage_object(self) -> dict[str, Any]:
        prompt, completion = self.usage
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


class ScriptedUpstream:
    """The server and its queue. `url` is the base URL to configure, ending in `/v1`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.unexpected: list[dict[str, Any]] = []
        self._turns: deque[Turn] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def script(self, *turns: Turn) -> None:
        with self._lock:
            self._turns.extend(turns)

    def reset(self) -> None:
        """Forgets turns and requests, and lets every waiting turn go on."""
        with self._lock:
            for turn in self._turns:
                if turn.gate:
                    turn.gate.set()
            self._turns.clear()
            self.requests.clear()
            self.authorizations.clear()
            self.unexpected.clear()

    def left(self) -> int:
        with self._lock:
            return sum(not turn.repeat for turn in self._turns)

    def stop(self) -> None:
        self.reset()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: dict[str, Any], authorization: str | None) -> Turn:
        with self._lock:
            self.requests.append(body)
            self.authorizations.append(authorization)
            if not self._turns:
                self.unexpected.append(body)
                return Turn(error=(400, "no turn is scripted"))
            return self._turns[0] if self._turns[0].repeat else self._turns.popleft()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                model = {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}
                _, _, name = self.path.partition("/v1/models/")
                if self.path == "/v1/models":
                    self._json(200, {"object": "list", "data": [model]})
                elif name == model["id"]:
                    self._json(200, model)
                else:
                    error = {"message": f"The model '{name}' does not exist", "type": "invalid_request_error"}
                    self._json(404, {"error": error | {"param": "model", "code": "model_not_found"}})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))))
                turn = upstream._take(body, self.headers.get("authorization"))
                try:
                    if turn.error:
                        status, message = turn.error
                        kind = "server_error" if status >= 500 else "invalid_request_error"
                        self._json(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})
                    elif body.get("stream"):
                        self._stream(turn, body)
                    else:
                        self._whole(turn, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _json(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _whole(self, turn: Turn, body: dict[str, Any]) -> None:
                if turn.gate:
                    turn.reached_gate.set()
                    turn.gate.wait(GATE_TIMEOUT_S)
                message: dict[str, Any] = {"role": "assistant", "content": "".join(turn.text) or None}
                if turn.refusal:
                    message["refusal"] = "".join(turn.refusal)
                if turn.calls:
                    message["tool_calls"] = [
                        {
                            "id": c.id,
                            "type": "function",
                            "function": {"name": c.name, "arguments": "".join(c.arguments)},
                        }
                        for c in turn.calls
                    ]
                choice = {"index": 0, "message": message, "finish_reason": turn.finish, "logprobs": None}
                head = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 1761861536}
                self._json(200, head | {"model": body["model"], "choices": [choice], "usage": turn.usage_object})

            def _stream(self, turn: Turn, body: dict[str, Any]) -> None:
                if turn.gate and turn.gate_after == 0:
                    turn.reached_gate.set()
                    turn.gate.wait(GATE_TIMEOUT_S)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream; charset=utf-8")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1761861536}
                head["model"] = body["model"]
                sent = 0

                def chunk(data: str) -> None:
                    payload = f"data: {data}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))
                    self.wfile.flush()

                def delta(value: dict[str, Any], finish: str | None = None) -> None:
                    choice = {"index": 0, "delta": value, "finish_reason": finish, "logprobs": None}
                    chunk(json.dumps(head | {"choices": [choice]}))

                delta({"role": "assistant", "content": "" if turn.text else None})
                pieces: list[dict[str, Any]] = [{"content": piece} for piece in turn.text]
                pieces += [{"refusal": piece} for piece in turn.refusal]
                for index, call in enumerate(turn.calls):
                    start = {"name": call.name, "arguments": ""}
                    pieces.append(
                        {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": start}]}
                    )
                    for part in call.arguments:
                        pieces.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
                for piece in [*pieces, None]:
                    if turn.gate and sent == turn.gate_after > 0:
                        turn.reached_gate.set()
                        turn.gate.wait(GATE_TIMEOUT_S)
                    if turn.break_after == sent:
                        self.close_connection = True
                        return
                    if turn.fault_after == sent:
                        fault = {"message": "scripted fault", "type": "server_error", "param": None, "code": None}
                        chunk(json.dumps({"error": fault}))
                        self.wfile.write(b"0\r\n\r\n")
                        return
                    if piece is not None:
                        delta(piece)
                    sent += 1
                delta({}, turn.finish)
                if (body.get("stream_options") or {}).get("include_usage"):
                    chunk(json.dumps(head | {"choices": [], "usage": turn.usage_object}))
                chunk("[DONE]")
                self.wfile.write(b"0\r\n\r\n")

        return Handler
