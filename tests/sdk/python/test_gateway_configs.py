"""Configs as the SDKs send them: strategies, retries, parameters, cache, guardrails, told by what the upstreams saw."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from gateway import Callers, ask, errors_of, raw_headers, said, told
from upstream import Reply, Upstream, completion, failure

BOTH = [{"virtual_key": "main"}, {"virtual_key": "second"}]


def routed(mode: str, *targets: Any, **strategy: Any) -> dict[str, Any]:
    return {"strategy": {"mode": mode, **strategy}, "targets": list(targets) or BOTH}


def seen(*upstreams: Upstream) -> list[int]:
    return [len(upstream.requests) for upstream in upstreams]


@pytest.mark.parametrize("config", [routed("fallback"), "spare"], ids=["inline", "saved"])
def test_fallback(callers: Callers, first: Upstream, second: Upstream, config: Any, kind: str) -> None:
    sdk = getattr(callers, kind)(config=config)
    first.script(failure(503))
    assert said(ask(sdk)) == "You said: Hello"
    assert seen(first, second) == [1, 1]


def test_fallback_tells_where_it_ended(callers: Callers, first: Upstream) -> None:
    first.script(failure(500))
    assert told(ask(callers.portkey(config="spare")))["last-used-option-index"] == "config.targets[1]"


def test_fallback_on_some_statuses(callers: Callers, first: Upstream, second: Upstream) -> None:
    sdk = callers.portkey(config=routed("fallback", on_status_codes=[429]))
    first.script(failure(500), failure(429))
    with pytest.raises(errors_of(sdk).InternalServerError):
        ask(sdk)
    assert seen(first, second) == [1, 0]
    ask(sdk)
    assert seen(first, second) == [2, 1]


def test_when_all_fail_the_last_answer_is_given(callers: Callers, first: Upstream, second: Upstream) -> None:
    sdk = callers.portkey(config="spare")
    first.script(failure(500, "of the first"))
    second.script(failure(429, "of the second"))
    with pytest.raises(errors_of(sdk).RateLimitError) as caught:
        ask(sdk)
    assert caught.value.body["message"] == "of the second"


def test_fallback_of_a_stream(callers: Callers, first: Upstream, second: Upstream) -> None:
    first.script(failure(503))
    chunks = list(ask(callers.portkey(config="spare"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello"
    assert seen(first, second) == [1, 1]


def test_fallback_of_a_run(callers: Callers, first: Upstream, second: Upstream) -> None:
    sdk = callers.portkey(config="spare")
    assistant = sdk.beta.assistants.create(model="gpt-4o")
    first.script(failure(503))
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
    )
    assert run.status == "completed"
    assert seen(first, second) == [1, 1]


def test_retry(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(config={"virtual_key": "main", "retry": {"attempts": 2, "on_status_codes": [503]}})
    first.script(failure(503), failure(503))
    assert told(ask(sdk))["retry-attempt-count"] == "2"
    assert seen(first) == [3]


def test_retries_used_up(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(config={"virtual_key": "main", "retry": {"attempts": 1, "on_status_codes": [503]}})
    first.script(failure(503), failure(503, "the last"))
    with pytest.raises(errors_of(sdk).InternalServerError) as caught:
        ask(sdk)
    assert caught.value.body["message"] == "the last"
    assert raw_headers(caught.value)["x-portkey-retry-attempt-count"] == "-1"


def test_other_statuses_are_not_retried(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(config={"virtual_key": "main", "retry": {"attempts": 3, "on_status_codes": [503]}})
    first.script(failure(500))
    with pytest.raises(errors_of(sdk).InternalServerError):
        ask(sdk)
    assert seen(first) == [1]


def test_a_pause_that_the_provider_asks_for(callers: Callers, first: Upstream) -> None:
    retry = {"attempts": 1, "on_status_codes": [429], "use_retry_after_header": True}
    sdk = callers.portkey(config={"virtual_key": "main", "retry": retry})
    first.script(failure(429, retry_after_ms="20"))
    assert told(ask(sdk))["retry-attempt-count"] == "1"
    first.script(failure(429, retry_after="600"))
    with pytest.raises(errors_of(sdk).RateLimitError) as caught:
        ask(sdk)
    assert raw_headers(caught.value)["x-portkey-retry-attempt-count"] == "-1"
    assert seen(first) == [3]


def test_load_balancing(callers: Callers, first: Upstream, second: Upstream) -> None:
    """40 draws of three to one; that one side sees fewer than 12 or all has odds below one in a hundred thousand."""
    sdk = callers.portkey(config=routed("loadbalance", {"virtual_key": "main", "weight": 3}, {"virtual_key": "second", "weight": 1}))
    for _ in range(40):
        ask(sdk)
    at_first, at_second = seen(first, second)
    assert at_first + at_second == 40
    assert 12 <= at_first < 40


def test_no_weight_no_call(callers: Callers, first: Upstream, second: Upstream) -> None:
    sdk = callers.portkey(config=routed("loadbalance", {"virtual_key": "main", "weight": 0}, {"virtual_key": "second"}))
    for _ in range(10):
        ask(sdk)
    assert seen(first, second) == [0, 10]


CONDITIONS = [
    {"query": {"metadata.plan": {"$eq": "paid"}}, "then": "b"},
    {"query": {"params.max_tokens": {"$gt": 100}}, "then": "b"},
    {"query": {"params.model": {"$regex": "^claude"}}, "then": "b"},
]
NAMED = [{"name": "a", "virtual_key": "main"}, {"name": "b", "virtual_key": "second"}]


@pytest.mark.parametrize(
    ("metadata", "fields", "expected"),
    [
        ({"plan": "paid"}, {}, [0, 1]),
        ({"plan": "free"}, {}, [1, 0]),
        ({"plan": "free"}, {"max_tokens": 101}, [0, 1]),
        ({"plan": "free"}, {"max_tokens": 100}, [1, 0]),
        ({"plan": "free"}, {"model": "claude-x"}, [0, 1]),
    ],
)
def test_conditions(
    callers: Callers, first: Upstream, second: Upstream, metadata: Any, fields: Any, expected: list[int]
) -> None:
    config = {"strategy": {"mode": "conditional", "conditions": CONDITIONS, "default": "a"}, "targets": NAMED}
    ask(callers.portkey(config=config, metadata=metadata), **fields)
    assert seen(first, second) == expected


def test_no_condition_holds(callers: Callers) -> None:
    sdk = callers.portkey(config={"strategy": {"mode": "conditional", "conditions": CONDITIONS}, "targets": NAMED})
    with pytest.raises(errors_of(sdk).BadRequestError) as caught:
        ask(sdk)
    assert caught.value.body["message"] == "Query router did not resolve to any valid target"


def test_nested_targets(callers: Callers, first: Upstream, second: Upstream) -> None:
    inner = routed("fallback")
    first.script(failure(500))
    answer = ask(callers.portkey(config=routed("single", inner)))
    assert told(answer)["last-used-option-index"] == "config.targets[0].targets[1]"
    assert seen(first, second) == [1, 1]


def test_a_timeout(callers: Callers, first: Upstream) -> None:
    gate = threading.Event()
    first.script(Reply(200, completion({"model": "m", "messages": [{"content": "late"}]}), gate=gate))
    sdk = callers.portkey(config={"virtual_key": "main", "request_timeout": 100})
    try:
        with pytest.raises(errors_of(sdk).APIStatusError) as caught:
            ask(sdk)
    finally:
        gate.set()
    assert caught.value.status_code == 408
    assert caught.value.body["message"] == "Request exceeded the timeout sent in the request: 100ms"
    assert caught.value.body["type"] == "timeout_error"


def test_a_timeout_in_a_header(callers: Callers, first: Upstream, second: Upstream) -> None:
    """It holds for every attempt, and a fallback follows it."""
    gate = threading.Event()
    first.script(Reply(200, {}, gate=gate))
    try:
        ask(callers.portkey(config="spare", request_timeout=500))
    finally:
        gate.set()
    assert seen(first, second) == [1, 1]


def test_parameters(callers: Callers, first: Upstream) -> None:
    rules = {
        "override_params": {"model": "gpt-4o-mini", "temperature": 0},
        "default_params": {"top_p": 0.5, "max_tokens": 5},
        "drop_params": ["user"],
    }
    ask(callers.portkey(config={"virtual_key": "main", **rules}), max_tokens=9, user="someone", temperature=1)
    sent = first.last.json
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["max_tokens"]) == ("gpt-4o-mini", 0, 0.5, 9)
    assert "user" not in sent


def test_headers_that_are_named_go_on(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(virtual_key="main", forward_headers=["X-Api-Key", "Cookie"])
    ask(sdk, extra_headers={"x-api-key": "sk-the-callers", "cookie": "session=1"})
    assert (first.last.headers["x-api-key"], first.last.headers["cookie"]) == ("sk-the-callers", "session=1")


def test_a_circuit_breaker(callers: Callers, first: Upstream, second: Upstream, kind: str) -> None:
    """A target that failed twice is left alone; by a config without a breaker it is called."""
    # What failed is kept by config: one of its own for each SDK.
    targets = [{**BOTH[0], "name": kind}, BOTH[1]]
    rule = {"failure_threshold": 2, "cooldown_interval": 30_000}
    sdk = getattr(callers, kind)(config=routed("fallback", *targets, cb_config=rule))
    first.script(failure(503), failure(503))
    for expected in ([1, 1], [2, 2], [2, 3], [2, 4]):
        assert said(ask(sdk)) == "You said: Hello"
        assert seen(first, second) == expected
    ask(getattr(callers, kind)(config=routed("fallback", *targets)))
    assert seen(first, second) == [3, 4]


def test_when_all_circuits_are_open_all_are_tried(callers: Callers, first: Upstream, second: Upstream) -> None:
    rule = {"failure_threshold": 1, "cooldown_interval": 30_000}
    sdk = callers.portkey(config=routed("fallback", cb_config=rule))
    first.script(failure(503))
    second.script(failure(503))
    with pytest.raises(errors_of(sdk).InternalServerError):
        ask(sdk)
    assert said(ask(sdk)) == "You said: Hello"
    assert seen(first, second) == [2, 1]


CACHED = {"virtual_key": "main", "cache": {"mode": "simple", "max_age": 60}}


def test_the_cache(callers: Callers, first: Upstream) -> None:
    sdk = callers.portkey(config=CACHED, cache_namespace="one")
    answers = [ask(sdk, "Cache me") for _ in range(2)]
    assert [told(answer)["cache-status"] for answer in answers] == ["MISS", "HIT"]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    assert seen(first) == [1]

    refreshed = ask(callers.portkey(config=CACHED, cache_namespace="one", cache_force_refresh=True), "Cache me")
    other = ask(callers.portkey(config=CACHED, cache_namespace="two"), "Cache me")
    assert [told(answer)["cache-status"] for answer in (refreshed, other)] == ["REFRESH", "MISS"]
    assert seen(first) == [3]
    assert told(ask(sdk, "Something else"))["cache-status"] == "MISS"


def test_threads_are_never_cached(callers: Callers) -> None:
    sdk = callers.portkey(config={**CACHED, "virtual_key": "echo"})
    one, other = sdk.beta.threads.create(), sdk.beta.threads.create()
    assert one.id != other.id


def test_a_guardrail_that_denies(callers: Callers, first: Upstream) -> None:
    rule = {"default.contains": {"operator": "none", "words": ["secret"]}, "deny": True}
    sdk = callers.portkey(config={"virtual_key": "main", "input_guardrails": [rule]})
    assert said(ask(sdk, "Hello"))
    with pytest.raises(errors_of(sdk).APIStatusError) as caught:
        ask(sdk, "a secret thing")
    body = json.loads(caught.value.response.text)
    assert (caught.value.status_code, body["error"]["type"]) == (446, "hooks_failed")
    assert body["hook_results"]["before_request_hooks"][0]["verdict"] is False
    assert seen(first) == [1]


def test_a_guardrail_that_only_tells(callers: Callers) -> None:
    rule = {"default.wordCount": {"minWords": 100}}
    answer = ask(callers.portkey(config={"virtual_key": "main", "output_guardrails": [rule]}))
    assert said(answer) == "You said: Hello"
    assert answer.hook_results["after_request_hooks"][0]["verdict"] is False


def test_a_guardrail_before_a_run(callers: Callers, first: Upstream) -> None:
    rule = {"default.contains": {"operator": "none", "words": ["secret"]}, "deny": True}
    sdk = callers.portkey(config={"virtual_key": "main", "input_guardrails": [rule]})
    assistant = sdk.beta.assistants.create(model="gpt-4o")
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "a secret"}]}, poll_interval_ms=10
    )
    assert run.status == "failed"
    assert seen(first) == [0]


def test_nobody_there(callers: Callers) -> None:
    """502 with a body that every client reads, where the open-source gateway says 500 in plain text."""
    sdk = callers.portkey(config={"provider": "openai", "api_key": "sk-x", "custom_host": "http://127.0.0.1:9/v1"})
    with pytest.raises(errors_of(sdk).APIStatusError) as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.body["code"]) == (502, "upstream_unreachable")
