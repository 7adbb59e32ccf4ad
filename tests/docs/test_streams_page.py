"""The client that docs/streams.md shows, against a real server that is killed under its hands, and behind a proxy."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterator

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sdk/python"))

from server import binary  # noqa: E402

KEY = "lg-streams-page-0123456789abcdef"
CONFIG = f"""
[[api_keys]]
name = "page"
key = "{KEY}"
default_virtual_key = "echo"

[virtual_keys.echo]
provider = "echo"
"""
WORDS = " ".join(f"word{n}" for n in range(40))


def the_pages_client(**replaced: Any) -> Callable[..., Iterator[dict[str, str]]]:
    page = (ROOT / "docs/streams.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    names.update(replaced)
    return names["follow"]


class Killable:
    """`loomgate serve` on a port of its own, which it keeps when it is started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._folder = folder
        (folder / "config.toml").write_text(CONFIG)
        self.start()

    def start(self) -> None:
        options = ["--listen", self.address, "--data-dir", self._folder / "data", "--config", self._folder / "config.toml"]
        command = [str(binary()), "serve", *map(str, options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout and self._process.stdout.readline()

    def end(self, how: int) -> None:
        self._process.send_signal(how)
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Killable]:
    server = Killable(tmp_path)
    yield server
    server.end(signal.SIGTERM)


class Proxy:
    """Stands before the server. Each answer of `plan` is for one request: a status of the proxy's own, or after how many
    events the stream is cut off; without one, the stream is passed on to its end."""

    def __init__(self, address: str, *plan: str) -> None:
        left = deque(plan)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                kind, _, number = (left.popleft() if left else "whole").partition(" ")
                if kind == "status":
                    page = b"<html>\n<h1>Nobody is here</h1>\n\n</html>\n"
                    self.send_response(int(number))
                    self.send_header("content-length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page)
                    return
                headers = {name: self.headers[name] for name in ("authorization", "last-event-id")}
                with httpx.stream("GET", f"http://{address}{self.path}", headers=headers, timeout=30) as answer:
                    self.send_response(answer.status_code)
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    ended = 0
                    for line in answer.iter_lines():
                        self.wfile.write(b"%x\r\n%s\n\r\n" % (len(line.encode()) + 1, line.encode()))
                        ended += not line
                        if kind == "cut" and ended == int(number):
                            self.close_connection = True
                            return
                self.wfile.write(b"0\r\n\r\n")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def started(http: httpx.Client, content: str) -> str:
    """The path of the stream of a run that has begun, whose first event was read and no more."""
    assistant = http.post("/v1/assistants", json={"model": "echo"}).json()["id"]
    thread = http.post("/v1/threads", json={"messages": [{"role": "user", "content": content}]}).json()["id"]
    body = {"assistant_id": assistant, "stream": True}
    with http.stream("POST", f"/v1/threads/{thread}/runs", json=body) as first:
        data = next(line for line in first.iter_lines() if line.startswith("data: "))
    return f"/v1/threads/{thread}/runs/{json.loads(data.removeprefix('data: '))['id']}/stream"


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=30)


def test_the_client_of_the_page_comes_back(server: Killable) -> None:
    with client_of(f"http://{server.address}") as http:
        # A word every 20 ms, in every attempt.
        path = started(http, f"/echo pace 20\n{WORDS}")
        events, words = [], 0
        for event in the_pages_client()(http, path):
            events.append(event)
            words += event["event"] == "thread.message.delta"
            if words == 10 and event["event"] == "thread.message.delta":
                server.end(signal.SIGKILL)
                server.start()
    places = [tuple(map(int, event["id"].split("."))) for event in events]
    assert places == sorted(set(places))
    assert places[0] == (0, 1) and places[-1][0] == 2
    names = [event["event"] for event in events]
    assert (names[-1], names.count("thread.message.incomplete")) == ("done", 1)
    completed = json.loads(events[names.index("thread.message.completed")]["data"])
    assert completed["content"][0]["text"]["value"] == WORDS
    again = events[names.index("thread.message.incomplete") :]
    deltas = [json.loads(event["data"])["delta"] for event in again if event["event"] == "thread.message.delta"]
    assert "".join(delta["content"][0]["text"]["value"] for delta in deltas) == WORDS


def test_the_client_of_the_page_outlasts_a_proxy(server: Killable) -> None:
    pauses: list[float] = []
    follow = the_pages_client(time=SimpleNamespace(sleep=pauses.append))
    proxy = Proxy(server.address, "cut 7", "status 502", "status 503", "cut 2")
    try:
        with client_of(proxy.url) as http, client_of(f"http://{server.address}") as direct:
            path = started(direct, WORDS)
            events = list(follow(http, path))
            assert events == list(follow(direct, path))
        assert events[-1]["event"] == "done"
        assert pauses == [0.5] * 4
    finally:
        proxy.stop()


def test_the_client_of_the_page_gives_up_what_is_refused(server: Killable) -> None:
    with client_of(f"http://{server.address}") as http:
        path = started(http, WORDS)
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            list(the_pages_client()(http, path.replace("/runs/run_", "/runs/run_0")))
