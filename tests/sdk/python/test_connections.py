"""Connections that are used again: SDKs keep them open and send the next request on the same one.

A server may answer before it has read a request's body, but then it must say that the connection ends
(`connection: close`); a connection that goes away unannounced fails whatever call comes next.
"""

from __future__ import annotations

import socket

import pytest
from server import FIRST_KEY, Server

ID = "0" * 24


class Connection:
    """One connection, spoken to by hand, so that head and body of a request can be sent apart."""

    def __init__(self, server: Server) -> None:
        host, port = server.origin.removeprefix("http://").rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._answers = self._socket.makefile("rb")

    def send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def answers_before_the_body(self) -> bool:
        """Whether an answer comes while the body is still owed; a server may as well wait for it."""
        self._socket.settimeout(0.2)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(10)

    def answer(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer; status 0 when the connection has ended."""
        line = self._answers.readline().decode()
        if not line:
            return 0, {}
        headers = {}
        while (header := self._answers.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        self._answers.read(int(headers.get("content-length", 0)))
        return int(line.split()[1]), headers

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def head(request: str, key: str = FIRST_KEY, length: int | None = None) -> str:
    body = "" if length is None else f"content-type: application/json\r\ncontent-length: {length}\r\n"
    return f"{request} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n{body}\r\n"


@pytest.mark.parametrize(
    "request_line, key, status",
    [
        ("POST /v1/threads", FIRST_KEY, 200),
        ("POST /v1/threads", "lg-nobody-gave-this-key-out", 401),
        ("POST /v1/no-such-url", FIRST_KEY, 404),
        ("PUT /v1/threads", FIRST_KEY, 405),
        (f"POST /v1/threads/thread_{ID}/runs/run_{ID}/cancel", FIRST_KEY, 404),
        (f"POST /v1/threads/thread_{ID}/runs/run_{ID}", FIRST_KEY, 404),
    ],
)
def test_the_next_request_on_the_connection(server: Server, request_line: str, key: str, status: int) -> None:
    connection = Connection(server)
    try:
        connection.send(head(request_line, key, length=2))
        early = connection.answers_before_the_body()
        if not early:
            connection.send("{}")
        answered, headers = connection.answer()
        assert answered == status
        if headers.get("connection") == "close":
            return
        if early:
            connection.send("{}")
        connection.send(head("GET /v1/models"))
        assert connection.answer()[0] == 200, "the connection ended without notice"
    finally:
        connection.close()
