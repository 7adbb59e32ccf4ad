"""Calls that go on to a provider: chat, streams, functions, embeddings, models, errors, through both SDKs."""

from __future__ import annotations

from typing import Any

import pytest
from gateway import APP_KEY, FIRST_SECRET, Callers, ask, errors_of, raw_headers, said, told
from upstream import Upstream, failure

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def sdk(kind: str, callers: Callers) -> Any:
    return callers.portkey(virtual_key="main") if kind == "portkey" else callers.openai()


def test_a_chat(sdk: Any, first: Upstream) -> None:
    completion = ask(sdk, "Good day")
    assert said(completion) == "You said: Good day"
    assert (completion.model, completion.usage.total_tokens, completion.system_fingerprint) == ("gpt-4o", 18, "fp_upstream")
    assert (first.last.method, first.last.path) == ("POST", "/v1/chat/completions")
    assert first.last.headers["authorization"] == f"Bearer {FIRST_SECRET}"


def test_a_streamed_chat(sdk: Any, first: Upstream) -> None:
    """The gateway asks for the token counts itself; a caller that did not ask does not see them."""
    stream = list(ask(sdk, "one two", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "You said: one two"
    assert stream[-1].choices[0].finish_reason == "stop"
    assert all(chunk.choices and not chunk.usage for chunk in stream)
    assert first.last.json["stream_options"] == {"include_usage": True}


def test_counts_that_were_asked_for(sdk: Any) -> None:
    *_, last = ask(sdk, "one two", stream=True, stream_options={"include_usage": True})
    assert (list(last.choices), last.usage.total_tokens) == ([], 18)


def test_functions(sdk: Any, first: Upstream) -> None:
    (call,) = ask(sdk, "What is the weather?", tools=[WEATHER]).choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Oslo"}')
    assert first.last.json["tools"] == [WEATHER]
    chunks = list(ask(sdk, "What is the weather?", tools=[WEATHER], stream=True))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [call.function.name for call in calls] == ["weather"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_embeddings(sdk: Any, first: Upstream) -> None:
    answer = sdk.embeddings.create(model="text-embedding-3-small", input=["four", "sixsix"], encoding_format="float")
    assert [item.embedding[0] for item in answer.data] == [4.0, 6.0]
    assert first.last.path == "/v1/embeddings"


def test_models(sdk: Any, first: Upstream) -> None:
    assert [model.id for model in sdk.models.list().data] == ["gpt-4o"]
    assert sdk.models.retrieve("gpt-4o").owned_by == "system"
    assert [request.path for request in first.requests] == ["/v1/models", "/v1/models/gpt-4o"]


def test_whatever_else_is_under_v1(sdk: Any, first: Upstream) -> None:
    with pytest.raises(errors_of(sdk).NotFoundError) as caught:
        sdk.moderations.create(input="Hello")
    assert "Invalid URL (POST /v1/moderations)" in str(caught.value)
    assert first.last.json["input"] == "Hello"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
def test_errors_of_the_provider_pass(sdk: Any, first: Upstream, status: int, error: str) -> None:
    first.script(failure(status, "Of the provider.", x_ratelimit_remaining_requests="0"))
    with pytest.raises(getattr(errors_of(sdk), error)) as caught:
        ask(sdk)
    assert caught.value.status_code == status
    assert caught.value.body["message"] == "Of the provider."
    headers = raw_headers(caught.value)
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert (headers["x-portkey-provider"], headers["x-portkey-retry-attempt-count"]) == ("openai", "0")
    assert len(first.requests) == 1, "the gateway repeats nothing that no config says to repeat"


def test_a_name_that_is_gone(sdk: Any, first: Upstream) -> None:
    """A model alias of the virtual key."""
    assert ask(sdk, model="gpt-4-1106-preview").model == "gpt-4o"
    assert first.last.json["model"] == "gpt-4o"


def test_only_what_is_meant_for_the_provider_goes_on(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(virtual_key="main", trace_id="t", metadata={"a": "b"})
    ask(sdk, extra_headers={"cookie": "session=1", "x-api-key": "sk-other", "x-custom": "stays"})
    sent = first.last.headers
    assert sent["authorization"] == f"Bearer {FIRST_SECRET}"
    assert sent["x-custom"] == "stays"
    assert "x-stainless-lang" in sent
    left = [name for name in sent if name.startswith("x-portkey-") or name in ("cookie", "x-api-key", "api-key")]
    assert left == []
    assert not any(APP_KEY in value or "OPENAI_API_KEY" in value for value in sent.values())


def test_the_five_headers(callers: Callers) -> None:
    answer = ask(callers.portkey(virtual_key="main", trace_id="a-trace-of-mine"))
    assert told(answer) | {"trace-id": "a-trace-of-mine"} == told(answer)
    for name, value in {
        "provider": "openai",
        "retry-attempt-count": "0",
        "last-used-option-index": "config",
        "cache-status": "DISABLED",
    }.items():
        assert told(answer)[name] == value, name


def test_headers_with_the_raw_response(callers: Callers) -> None:
    sdk = callers.openai(trace_id="a-trace-of-mine")
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    assert said(raw.parse()) == "You said: x"
    assert raw.headers["x-portkey-trace-id"] == "a-trace-of-mine"
    assert raw.headers["x-portkey-provider"] == "openai"
    assert raw.headers["x-request-id"] == "req_of_the_upstream"


def test_a_trace_id_is_made_where_none_came(callers: Callers) -> None:
    sdk = callers.portkey(virtual_key="main")
    one, other = told(ask(sdk))["trace-id"], told(ask(sdk))["trace-id"]
    assert one and other and one != other
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = told(ask(sdk, extra_headers={"traceparent": parent}))
    assert traced["trace-id"] == "0af7651916cd43dd8448eb211c80319c"


def test_a_run_of_an_assistant_calls_the_same_model(callers: Callers, first: Upstream) -> None:
    """A native run: its model call takes the way of a relayed one."""
    sdk = callers.portkey(virtual_key="main")
    assistant = sdk.beta.assistants.create(model="gpt-4-1106-preview", instructions="Be brief.")
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
    )
    assert run.status == "completed"
    (message, _) = sdk.beta.threads.messages.list(thread_id=run.thread_id).data
    assert message.content[0].text.value == "You said: Hello"
    assert [request.path for request in first.requests] == ["/v1/chat/completions"]
    assert first.last.headers["authorization"] == f"Bearer {FIRST_SECRET}"
    assert first.last.json["model"] == "gpt-4o"
