"""The client that docs/streams.md shows, against a real server that is killed under its hands."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
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


def the_pages_client() -> Callable[..., Iterator[dict[str, str]]]:
    page = (ROOT / "docs/streams.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
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


def test_the_client_of_the_page_comes_back(server: Killable) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"http://{server.address}", headers=headers, timeout=30) as http:
        assistant = http.post("/v1/assistants", json={"model": "echo"}).json()["id"]
        # A word every 20 ms, in every attempt.
        message = {"role": "user", "content": f"/echo pace 20\n{WORDS}"}
        thread = http.post("/v1/threads", json={"messages": [message]}).json()["id"]
        body = {"assistant_id": assistant, "stream": True}
        with http.stream("POST", f"/v1/threads/{thread}/runs", json=body) as first:
            data = next(line for line in first.iter_lines() if line.startswith("data: "))
            run = json.loads(data.removeprefix("data: "))["id"]
        events, words = [], 0
        for event in the_pages_client()(http, f"/v1/threads/{thread}/runs/{run}/stream"):
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
