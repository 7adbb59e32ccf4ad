"""Fixtures: the scripted upstream, the running servers and clients of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Client
from scenarios import messages, settled, start, steps
from scripted_upstream import ScriptedUpstream
from server import KEYS, Server, binary

LAST_MODULE = "test_openapi_recording"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The recording is validated when every other test has written to it."""
    items.sort(key=lambda item: item.module.__name__ == LAST_MODULE)


@pytest.fixture(scope="session")
def whole_suite(request: pytest.FixtureRequest) -> bool:
    """Whether nothing was left out of this run, so that what it never met is really not there."""
    modules = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    run = {item.module.__name__ for item in request.session.items}
    return run == modules and not request.config.option.keyword


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    server = ScriptedUpstream()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share; it must still live, and have stayed without a panic, at the end."""
    yield from _run(tmp_path_factory, upstream, "main", 600)


@pytest.fixture(scope="session")
def short_lived_server(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose runs expire two seconds after their creation."""
    yield from _run(tmp_path_factory, upstream, "expiry", 2)


def _run(factory: pytest.TempPathFactory, upstream: ScriptedUpstream, name: str, expiry_s: int) -> Iterator[Server]:
    if not binary().exists():
        pytest.fail(f"{binary()} does not exist: build it first (cargo build), or set LOOMGATE_BIN")
    running = Server(factory.mktemp(name), upstream.url, expiry_s)
    yield running
    alive = running.process.poll() is None
    code = running.stop()
    assert alive, f"the server ended by itself with {code}:\n{running.log[-4000:]}"
    assert "panicked at" not in running.log, running.log[-4000:]


@pytest.fixture
def script(upstream: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The scripted upstream, empty at the start; at the end every scripted turn must have been asked for."""
    upstream.reset()
    yield upstream
    left, unexpected = upstream.left(), list(upstream.unexpected)
    upstream.reset()
    assert not unexpected, f"the model was called more often than scripted: {unexpected}"
    assert left == 0, f"{left} scripted model turns were never asked for"


def _client(server: Server, key: str) -> Iterator[Client]:
    client = Client(server.url, KEYS[key])
    yield client
    client.close()


@pytest.fixture
def api(server: Server) -> Iterator[Client]:
    """A client whose runs are answered by the scripted upstream."""
    yield from _client(server, "scripted")


@pytest.fixture
def other_api(server: Server) -> Iterator[Client]:
    """A client of another workspace."""
    yield from _client(server, "other")


@pytest.fixture(scope="session")
def echo_api(server: Server) -> Iterator[Client]:
    """A client whose runs are answered by the built-in echo model, for tests that need a run but not its words."""
    client = Client(server.url, KEYS["scripted"], {"x-portkey-virtual-key": "echo"})
    yield client
    client.close()


@pytest.fixture(scope="session")
def world(echo_api: Client) -> dict[str, str]:
    """One of everything, in the workspace of `api`: the ids by the name of their path parameter."""
    run = settled(echo_api, start(echo_api, assistant_tools=[]))
    assert run["status"] == "completed", run
    return {
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "run_id": run["id"],
        "message_id": messages(echo_api, run["thread_id"])[0]["id"],
        "step_id": steps(echo_api, run)[0]["id"],
    }


@pytest.fixture
def short_api(short_lived_server: Server) -> Iterator[Client]:
    yield from _client(short_lived_server, "scripted")
