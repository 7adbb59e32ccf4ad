"""Fixtures: one server per session, and per test a client of each SDK whose every exchange is validated."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import httpx
import pytest
from clients import CLIENTS, Client
from gateway import ADMIN_KEY, APP_KEY, Callers, config
from recording import Recorder, recording_transport
from server import FIRST_KEY, SECOND_KEY, Server, relaying_config, upstream_config
from upstream import Upstream
from validation import check


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", default="openai,portkey", help="which SDKs of this venv to run, comma-separated")
    parser.addoption("--relayed", action="store_true", help="put a second server before the first, which relays to it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "client_kind" in metafunc.fixturenames:
        metafunc.parametrize("client_kind", metafunc.config.getoption("--clients").split(","), scope="session")


@contextmanager
def running(folder: Path, *config: str) -> Iterator[Server]:
    """A server that has to end well."""
    server = Server(folder, *config)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0, f"exit code {code}\n{server.log()}"
    assert "panicked at" not in server.log(), server.log()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that the clients call; with `--relayed` one that relays to the server that does the work."""
    if not request.config.getoption("--relayed"):
        with running(tmp_path_factory.mktemp("loomgate")) as server:
            yield server
        return
    with running(tmp_path_factory.mktemp("upstream"), upstream_config()) as upstream:
        with running(tmp_path_factory.mktemp("relay"), relaying_config(upstream.base_url)) as relay:
            yield relay


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Fails the test whose answers deviate from the SDK's models."""
    recording = Recorder(check)
    yield recording
    assert not recording.problems, "\n".join(recording.problems)


def _client(kind: str, server: Server, key: str, recorder: Recorder) -> Iterator[Client]:
    client = CLIENTS[kind](server.base_url, key, recorder)
    yield client
    client.close()


@pytest.fixture
def client(client_kind: str, server: Server, recorder: Recorder) -> Iterator[Client]:
    """A client in the first workspace."""
    yield from _client(client_kind, server, FIRST_KEY, recorder)


@pytest.fixture
def stranger(client_kind: str, server: Server, recorder: Recorder) -> Iterator[Client]:
    """The same SDK with a key of the second workspace."""
    yield from _client(client_kind, server, SECOND_KEY, recorder)


@pytest.fixture
def intruder(client_kind: str, server: Server, recorder: Recorder) -> Iterator[Client]:
    """The same SDK with a key that nobody gave out."""
    yield from _client(client_kind, server, "lg-nobody-gave-this-key-out", recorder)


@pytest.fixture
def bare(server: Server, recorder: Recorder) -> Iterator[httpx.Client]:
    """HTTP without an SDK and without credentials; paths are relative to /v1."""
    transport = recording_transport(httpx, recorder)
    with httpx.Client(base_url=server.base_url, transport=transport, timeout=30) as http:
        yield http


@pytest.fixture
def http(server: Server, recorder: Recorder) -> Iterator[httpx.Client]:
    """HTTP without an SDK, with the first workspace's key and the beta header."""
    transport = recording_transport(httpx, recorder)
    headers: dict[str, Any] = {"authorization": f"Bearer {FIRST_KEY}", "openai-beta": "assistants=v2"}
    with httpx.Client(base_url=server.base_url, headers=headers, transport=transport, timeout=30) as http:
        yield http


@pytest.fixture(scope="session")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    pair = (Upstream(), Upstream())
    yield pair
    for upstream in pair:
        upstream.stop()


@pytest.fixture(scope="session")
def gateway(upstreams: tuple[Upstream, Upstream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    first, second = upstreams
    with running(tmp_path_factory.mktemp("gateway"), config(first.url, second.url)) as server:
        yield server


@pytest.fixture
def first(upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """What the virtual key `main` leads to. Every scripted answer has to be fetched."""
    yield from _scripted(upstreams[0])


@pytest.fixture
def second(upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """What the virtual key `second` leads to."""
    yield from _scripted(upstreams[1])


def _scripted(upstream: Upstream) -> Iterator[Upstream]:
    upstream.reset()
    yield upstream
    assert upstream.left() == 0, "scripted answers that nobody asked for"


@pytest.fixture
def scripted(client_kind: str, gateway: Server, first: Upstream, recorder: Recorder) -> Iterator[Client]:
    """A client whose runs are answered by the upstream `first`, as a test scripts it."""
    yield from _client(client_kind, gateway, APP_KEY, recorder)


@pytest.fixture
def callers(gateway: Server, first: Upstream, second: Upstream) -> Iterator[Callers]:
    """Makes clients of the gateway; both upstreams are empty at the start."""
    # The Portkey SDK leaves its own paths relative when it is given a client.
    with httpx.Client(base_url=gateway.base_url, timeout=30) as http:
        yield Callers(gateway.base_url, http)


@pytest.fixture(params=["portkey", "openai"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each SDK, by the name that `callers` has for it."""
    return request.param


@pytest.fixture
def admin(callers: Callers) -> Any:
    """The Portkey SDK with the key that may do everything."""
    return callers.portkey(ADMIN_KEY)


@pytest.fixture
def plain(gateway: Server) -> Iterator[httpx.Client]:
    """The gateway without an SDK and without credentials; paths are relative to /v1."""
    with httpx.Client(base_url=gateway.base_url, timeout=30) as http:
        yield http
