"""Rates and budgets, as each SDK meets them: what it raises, what it waits for, and what the upstream is spared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator

import pytest
from gateway import Callers, ask, errors_of, said
from upstream import Upstream

SECRET = "sk-made-up-secret-of-a-limited-account"


@pytest.fixture
def limited(admin: Any) -> Iterator[Callable[..., str]]:
    """Makes API keys with a rate, gone after the test."""
    made = []

    def make(**rate: Any) -> str:
        key = admin.api_keys.create(
            type="workspace",
            sub_type="service",
            name="limited",
            scopes=["completions.write"],
            rate_limits=[{"type": "requests", **rate}],
            defaults={"virtual_key": "main"},
        )
        made.append(key.id)
        return key.key

    yield make
    for id in made:
        admin.api_keys.delete(id=id)


@pytest.fixture
def budgeted(admin: Any, second: Upstream) -> Iterator[Callable[..., str]]:
    """Makes virtual keys with a budget that lead to the second upstream, gone after the test."""
    made = []

    def make(**budget: Any) -> str:
        key = admin.virtual_keys.create(
            name="Small", provider="openai", key=SECRET, custom_host=second.url, usage_limits=budget
        )
        made.append(key.slug)
        return key.slug

    yield make
    for slug in made:
        admin.virtual_keys.delete(slug=slug)


def test_a_rate(callers: Callers, limited: Callable[..., str], first: Upstream, kind: str) -> None:
    sdk = getattr(callers, kind)(limited(unit="rpd", value=2))
    ask(sdk)
    ask(sdk)
    with pytest.raises(errors_of(sdk).RateLimitError) as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.body["code"]) == (429, "rate_limit_exceeded")
    headers = caught.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 2 * 86_400
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert len(first.requests) == 2


def test_a_pause_that_the_sdk_is_told_to_make(callers: Callers, limited: Callable[..., str], first: Upstream) -> None:
    """One call a second, and three at the same time. Portkey's SDK repeats nothing that was answered with a trace id."""
    sdk = callers.openai(limited(unit="rps", value=1)).with_options(max_retries=5)
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda number: said(ask(sdk, f"Number {number}")), range(3)))
    assert answers == [f"You said: Number {number}" for number in range(3)]
    assert len(first.requests) == 3
    assert {request.headers["x-stainless-retry-count"] for request in first.requests} > {"0"}


def test_a_budget(callers: Callers, admin: Any, budgeted: Callable[..., str], second: Upstream, kind: str) -> None:
    """A hundred tokens, of which an answer takes eighteen: the call after the sixth is refused."""
    slug = budgeted(type="tokens", credit_limit=100)
    sdk = getattr(callers, kind)(virtual_key=slug)
    for _ in range(6):
        ask(sdk)
    with pytest.raises(errors_of(sdk).APIStatusError) as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.body["code"]) == (412, "usage_limit_exceeded")
    assert len(second.requests) == 6
    assert admin.virtual_keys.retrieve(slug=slug).data["status"] == "exhausted"
    admin.virtual_keys.update(slug=slug, reset_usage=True)
    assert said(ask(sdk)) == "You said: Hello"


def test_a_budget_that_a_streamed_answer_uses_up(
    callers: Callers, budgeted: Callable[..., str], second: Upstream, kind: str
) -> None:
    sdk = getattr(callers, kind)(virtual_key=budgeted(type="tokens", credit_limit=10))
    chunks = list(ask(sdk, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello"
    with pytest.raises(errors_of(sdk).APIStatusError) as caught:
        ask(sdk, stream=True)
    assert caught.value.status_code == 412
    assert len(second.requests) == 1


def test_a_budget_that_a_run_uses_up(
    callers: Callers, budgeted: Callable[..., str], second: Upstream, kind: str
) -> None:
    beta = getattr(callers, kind)(virtual_key=budgeted(type="tokens", credit_limit=10)).beta
    assistant = beta.assistants.create(model="gpt-4o").id
    done, refused = (
        beta.threads.create_and_run_poll(
            assistant_id=assistant, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
        )
        for _ in range(2)
    )
    assert (done.status, done.usage.total_tokens) == ("completed", 18)
    assert (refused.status, refused.last_error.code) == ("failed", "rate_limit_exceeded")
    assert "used up its budget of 10 tokens" in refused.last_error.message
    assert len(second.requests) == 1
