"""Every call of docs/gateway.md, made with curl against a real server, answers as the page says."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest
from page import Call, differences, read

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sdk/python"))

from server import Server  # noqa: E402
from upstream import Upstream  # noqa: E402

PAGE = read(ROOT / "docs/gateway.md")
# The addresses that the page shows.
SERVER = "127.0.0.1:8787"
PROVIDERS = ("127.0.0.1:9001", "127.0.0.1:9002")
PATIENCE_S = 10

# `curl` as the page calls it, whose answer is written down beside.
CURL = """
curl() { command curl --silent --show-error --max-time 20 --dump-header "$ANSWER/head" --output "$ANSWER/body" "$@"; }
set -e
"""


@dataclass
class Addresses:
    """The page's addresses and those of this run."""

    pairs: list[tuple[str, str]]

    def here(self, text: str) -> str:
        for shown, real in self.pairs:
            text = text.replace(shown, real)
        return text


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    providers = [Upstream() for _ in PROVIDERS]
    real = [provider.url.removeprefix("http://").removesuffix("/v1") for provider in providers]
    found = Addresses(list(zip(PROVIDERS, real)))
    server = Server(tmp_path_factory.mktemp("page"), found.here(PAGE.config))
    found.pairs.append((SERVER, server.origin.removeprefix("http://")))
    yield found
    assert server.stop() == 0, server.log()
    for provider in providers:
        provider.stop()


def answer(script: str, folder: Path) -> tuple[int, dict[str, str], Any]:
    environment = {"ANSWER": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", CURL + script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, head = (folder / "head").read_bytes().decode().strip().split("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = (folder / "body").read_text() if (folder / "body").exists() else ""
    is_json = headers.get("content-type", "").startswith("application/json") and body
    return int(status.split()[1]), headers, json.loads(body) if is_json else body.splitlines()


def wrong(call: Call, status: int, headers: dict[str, str], body: Any) -> list[str]:
    problems = [] if status == call.expected.status else [f"status {status}: {body}"]
    for name, value in call.expected.headers.items():
        problems += differences(value, headers.get(name, "(absent)"), name)
    if call.expected.body is not None:
        problems += differences(call.expected.body, body)
    return problems


# One test: the page tells a story, and a later call may need an earlier one.
def test_every_call_of_the_page(addresses: Addresses, tmp_path: Path) -> None:
    problems = []
    for call in PAGE.calls:
        # Records are written behind an answer's back: what is only read is asked for until it is there.
        repeats = "/logs?" in call.script
        deadline = time.monotonic() + (PATIENCE_S if repeats else 0)
        while found := wrong(call, *answer(addresses.here(PAGE.prelude + call.script), tmp_path)):
            if time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        problems += [f"docs/gateway.md:{call.line}: {problem}" for problem in found]
    assert not problems, "\n".join(problems)
    assert len(PAGE.calls) > 40


def test_a_page_that_is_wrong_is_noticed() -> None:
    found = {"a": 1, "b": [{"c": "text"}, 2], "d": None}
    assert differences({"a": 1, "b": [{"c": "te..."}], "d": None}, found) == []
    for shown in ({"a": 2}, {"x": 1}, {"b": [{"c": "other"}]}, {"b": [{}, 2, 3]}, {"d": "..."[:2]}, [1]):
        assert differences(shown, found), shown
