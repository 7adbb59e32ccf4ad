"""Errors before a request is looked at (contract section 2.1): keys, beta header, body form, URL and method."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from client import Client
from routes import MODEL_ROUTES, NOWHERE, OPERATIONS, expect_error, expect_first_sentence, filled
from server import KEYS, Server

EVERY_ROUTE = [(method, filled(path, NOWHERE)) for method, path, _ in OPERATIONS.values()]
POSTS = [(method, path) for method, path in EVERY_ROUTE if method == "POST"]
NO_KEY = "You didn't provide an API key."
NOT_JSON = "We could not parse the JSON body of your request."
ENVELOPE = {"message", "type", "param", "code"}


@pytest.fixture
def bare(server: Server) -> Iterator[Client]:
    """A client without a key and without a beta header."""
    client = Client(server.url, "unused")
    client.headers = {}
    yield client
    client.close()


@pytest.mark.parametrize(("method", "path"), [*EVERY_ROUTE, *MODEL_ROUTES])
def test_missing_key(bare: Client, method: str, path: str) -> None:
    expect_first_sentence(bare.request(method, path), 401, NO_KEY)


@pytest.mark.parametrize(("method", "path"), [*EVERY_ROUTE, *MODEL_ROUTES])
@pytest.mark.parametrize("header", ["authorization", "x-portkey-api-key", "api-key"])
def test_wrong_key_is_masked(bare: Client, method: str, path: str, header: str) -> None:
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    value = f"Bearer {key}" if header == "authorization" else key
    answer = bare.request(method, path, headers={header: value})
    expect_first_sentence(answer, 401, "Incorrect API key provided: sk-abc", code="invalid_api_key")
    assert re.match(r"Incorrect API key provided: sk-abc\w{0,3}\*{2,}wxyz\.", answer.error["message"]), answer.error
    assert "efghijkl" not in answer.error["message"]


@pytest.mark.parametrize("header", ["authorization", "x-portkey-api-key", "api-key"])
def test_each_way_to_give_the_key(bare: Client, header: str) -> None:
    key = KEYS["scripted"]
    value = f"Bearer {key}" if header == "authorization" else key
    assert bare.request("GET", "/assistants", headers={header: value}).status == 200


def test_placeholders_beside_the_portkey_header_are_ignored(bare: Client) -> None:
    for placeholder in ("OPENAI_API_KEY", "DUMMY-KEY"):
        headers = {"x-portkey-api-key": KEYS["scripted"], "authorization": f"Bearer {placeholder}"}
        assert bare.request("GET", "/assistants", headers=headers).status == 200


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_unknown_beta(api: Client, method: str, path: str) -> None:
    answer = api.request(method, path, headers={"openai-beta": "vector_stores=v1"})
    expect_error(answer, 400, "Unknown beta requested: 'vector_stores'.", code="invalid_beta")


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_malformed_beta(api: Client, method: str, path: str) -> None:
    answer = api.request(method, path, headers={"openai-beta": "v1"})
    text = "Invalid beta header provided: 'v1'. The header should be in the format 'OpenAI-Beta: example_beta=v1'."
    expect_error(answer, 400, text, code="invalid_beta")


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_other_version_of_the_beta(api: Client, method: str, path: str) -> None:
    answer = api.request(method, path, headers={"openai-beta": "assistants=v1"})
    assert answer.status == 400
    assert {key: answer.error[key] for key in ("type", "param", "code")} == {
        "type": "invalid_request_error", "param": None, "code": "invalid_beta",
    }  # fmt: skip
    assert "OpenAI-Beta: assistants=v2" in answer.error["message"]


def test_missing_beta_is_accepted(api: Client) -> None:
    assert api.request("GET", "/assistants", headers={"openai-beta": None}).status == 200
    assert api.request("POST", "/threads", headers={"openai-beta": None}).status == 200


@pytest.mark.parametrize(("method", "path"), [route for route in POSTS if not route[1].endswith("/cancel")])
@pytest.mark.parametrize(
    "body",
    [b'{"model": ', b"model=gpt-4o", b'{"a": 1}}', b'{"model": "\xff\xfe"}', b"\xc3\x28", b'{"a": NaN}', b"{'a': 1}"],
    ids=["cut", "form", "more-after-it", "not-utf8", "not-utf8-bare", "nan", "single-quotes"],
)
def test_malformed_json(api: Client, method: str, path: str, body: bytes) -> None:
    expect_first_sentence(api.request(method, path, body), 400, NOT_JSON)


@pytest.mark.parametrize(("method", "path"), [route for route in POSTS if not route[1].endswith("/cancel")])
def test_deep_json(api: Client, method: str, path: str) -> None:
    answer = api.request(method, path, b'{"metadata":' + b"[" * 200 + b"]" * 200 + b"}")
    assert answer.status == 400
    assert set(answer.error) == ENVELOPE


@pytest.mark.parametrize("path", ["/assistants", "/threads"])
def test_huge_json(api: Client, path: str) -> None:
    answer = api.post(path, b'{"model":"' + b"m" * 17 * 1024 * 1024 + b'"}')
    assert answer.status == 413
    assert answer.error["type"] == "invalid_request_error"
    assert set(answer.error) == ENVELOPE


@pytest.mark.parametrize("path", ["/assistants", "/threads/runs"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_wrong_content_type(api: Client, path: str, kind: str) -> None:
    answer = api.request("POST", path, b'{"model": "gpt-4o"}', headers={"content-type": kind})
    assert answer.status == 415
    assert answer.error["type"] == "invalid_request_error"


def test_content_type_with_a_charset_is_accepted(api: Client) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    assert api.request("POST", "/assistants", b'{"model": "gpt-4o"}', headers=headers).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize("path", ["/assistants/a/b", "/threads/thread_a/messages/msg_a/files"])
def test_unknown_url(api: Client, method: str, path: str) -> None:
    expect_error(api.request(method, path), 404, f"Invalid URL ({method} /v1{path})")


def test_a_url_that_is_not_ours_is_the_providers(api: Client, echo_api: Client, bare: Client) -> None:
    """What no resource here is called goes on to the provider of the key, whose answer comes back; not without a key."""
    assert bare.get("/foo").status == 401
    # The scripted upstream's answer to whatever it does not know.
    assert api.get("/foo").error["code"] == "model_not_found"
    assert echo_api.get("/foo").error["message"].startswith("Invalid URL (GET /v1/foo)")


@pytest.mark.parametrize(("method", "path"), [
    ("PUT", "/assistants"), ("DELETE", "/assistants"), ("PATCH", "/assistants/{assistant_id}"), ("GET", "/threads"),
    ("PUT", "/threads/{thread_id}"), ("DELETE", "/threads/{thread_id}/messages"),
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"), ("GET", "/threads/{thread_id}/runs/{run_id}/cancel"),
    ("GET", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs"), ("POST", "/threads/{thread_id}/runs/{run_id}/steps"),
    ("POST", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}"),
])  # fmt: skip
def test_wrong_method(api: Client, method: str, path: str) -> None:
    path = filled(path, NOWHERE)
    text = f"Not allowed to {method} on /v1{path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    expect_error(api.request(method, path), 405, text, code="method_not_supported")


def test_unknown_model(api: Client) -> None:
    expect_error(api.get("/models/x"), 404, "The model 'x' does not exist", "model", "model_not_found")


BAD_BETA = {"openai-beta": "v1"}


def test_order_of_checks(api: Client, bare: Client) -> None:
    """Contract section 1.5: the earlier check wins when a request has two faults."""
    assert bare.post("/assistants", b"{", headers=BAD_BETA).status == 401
    assert api.post("/assistants", b"{", headers=BAD_BETA).error["code"] == "invalid_beta"
    expect_first_sentence(api.post("/assistants", b'{"foo": '), 400, NOT_JSON)
    assert api.post("/assistants", {"foo": 1, "name": 5}).error["code"] == "missing_required_parameter"
    assert api.post("/assistants", {"model": "m", "foo": 1, "name": 5}).error["code"] == "unknown_parameter"
    typed = {"model": "m", "name": 5, "description": "d" * 513}
    assert api.post("/assistants", typed).error["code"] == "invalid_type"
    run = {"assistant_id": NOWHERE["assistant_id"], "max_prompt_tokens": 1}
    bounded = api.post(f"/threads/{NOWHERE['thread_id']}/runs", run)
    assert (bounded.status, bounded.error["code"]) == (400, "integer_below_min_value")


def test_existence_is_checked_before_state(api: Client, world: dict[str, str]) -> None:
    outputs = {"tool_outputs": [{"tool_call_id": "call_x", "output": "x"}]}
    gone = api.post(f"/threads/{world['thread_id']}/runs/{NOWHERE['run_id']}/submit_tool_outputs", outputs)
    assert gone.status == 404
    state = api.post(f"/threads/{world['thread_id']}/runs/{world['run_id']}/submit_tool_outputs", outputs)
    expect_error(state, 400, 'Runs in status "completed" do not accept tool outputs.')
