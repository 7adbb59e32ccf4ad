"""Every way to say who calls and who pays that the SDKs have: forms A to F and H of the contract's section 1."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from gateway import (
    ADMIN_KEY,
    APP_KEY,
    FIRST_SECRET,
    PINNED_KEY,
    READER_KEY,
    SECOND_SECRET,
    Callers,
    ask,
    credential_of,
    errors_of,
    raw_headers,
    told,
)
from upstream import Upstream

OWN = "sk-made-up-secret-of-the-caller"


def paid_with(upstream: Upstream) -> str:
    (request,) = upstream.requests
    return credential_of(request)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"virtual_key": "second"}, id="A: a virtual key"),
        pytest.param({"config": "pinned"}, id="C: the slug of a config"),
        pytest.param({"config": {"virtual_key": "second"}}, id="C: a config, as a dict"),
        pytest.param({"config": '{"provider":"@second"}'}, id="C: a config, as a text"),
        pytest.param({"provider": "@second"}, id="E: a provider by its slug"),
    ],
)
def test_stored_credentials(callers: Callers, second: Upstream, kind: str, options: dict[str, Any]) -> None:
    ask(getattr(callers, kind)(**options))
    assert paid_with(second) == SECOND_SECRET


def test_a_stored_credential_goes_before_the_callers(callers: Callers, second: Upstream) -> None:
    ask(callers.portkey(provider="@second", Authorization=OWN))
    assert paid_with(second) == SECOND_SECRET


def test_the_slug_in_the_model(callers: Callers, second: Upstream) -> None:
    """F: the name goes on without the slug."""
    ask(callers.portkey(), model="@second/gpt-4o-mini")
    assert paid_with(second) == SECOND_SECRET
    assert second.last.json["model"] == "gpt-4o-mini"


def test_the_slug_in_the_model_of_a_run(callers: Callers, second: Upstream) -> None:
    sdk = callers.openai()
    assistant = sdk.beta.assistants.create(model="@second/gpt-4o-mini")
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
    )
    assert (run.status, run.model) == ("completed", "@second/gpt-4o-mini")
    assert paid_with(second) == SECOND_SECRET
    assert second.last.json["model"] == "gpt-4o-mini"


def test_a_provider_and_a_credential_of_the_callers_own(callers: Callers) -> None:
    """B, with the one provider that is never far away."""
    answer = ask(callers.portkey(provider="echo", Authorization=OWN), "/echo say Good day", model="echo")
    assert told(answer)["provider"] == "echo"


def test_another_host(callers: Callers, second: Upstream) -> None:
    """D: loopback is an exception of this server's operator."""
    ask(callers.portkey(provider="openai", Authorization=OWN, custom_host=second.url))
    assert paid_with(second) == OWN


def test_another_host_in_a_config(callers: Callers, second: Upstream) -> None:
    ask(callers.portkey(config={"provider": "openai", "api_key": OWN, "custom_host": second.url}))
    assert paid_with(second) == OWN


def test_a_config_without_a_key_takes_the_callers(callers: Callers, second: Upstream) -> None:
    ask(callers.portkey(config={"provider": "openai", "custom_host": second.url, "retry": {"attempts": 0}}, Authorization=OWN))
    assert paid_with(second) == OWN


@pytest.mark.parametrize(
    "options",
    [
        {"virtual_key": "main"},
        {"provider": "@main"},
        {"config": {"virtual_key": "main"}},
        {"virtual_key": "main", "Authorization": OWN},
    ],
)
def test_a_stored_credential_stays_at_home(callers: Callers, second: Upstream, options: dict[str, Any]) -> None:
    sdk = callers.portkey(**options, custom_host=second.url)
    with pytest.raises(errors_of(sdk).BadRequestError) as caught:
        ask(sdk)
    assert caught.value.body["code"] == "custom_host_not_allowed"
    assert second.requests == []


@pytest.mark.parametrize("host", ["http://10.0.0.1/v1", "http://169.254.169.254/latest", "http://[::1]:9/v1"])
def test_hosts_that_are_not_public(callers: Callers, host: str) -> None:
    sdk = callers.portkey(provider="openai", Authorization=OWN, custom_host=host)
    with pytest.raises(errors_of(sdk).BadRequestError) as caught:
        ask(sdk)
    assert caught.value.status_code == 400


def test_the_key_as_a_bearer(callers: Callers, first: Upstream) -> None:
    """H, and with it every OpenAI SDK: the key's own virtual key is used, the key itself goes nowhere."""
    ask(callers.openai())
    assert paid_with(first) == FIRST_SECRET


def test_the_key_of_azures_clients(plain: httpx.Client, first: Upstream) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    assert plain.post("/chat/completions", json=body, headers={"api-key": APP_KEY}).status_code == 200
    assert paid_with(first) == FIRST_SECRET


def test_a_json_web_token(callers: Callers) -> None:
    """G is not built, and says so."""
    sdk = callers.portkey("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", virtual_key="main")
    with pytest.raises(errors_of(sdk).AuthenticationError) as caught:
        ask(sdk)
    assert caught.value.body["code"] == "jwt_not_supported"


def test_a_key_with_a_config_of_its_own(callers: Callers, first: Upstream, second: Upstream) -> None:
    ask(callers.portkey(PINNED_KEY))
    assert paid_with(second) == SECOND_SECRET
    sdk = callers.portkey(PINNED_KEY, config={"virtual_key": "main"})
    with pytest.raises(errors_of(sdk).PermissionDeniedError) as caught:
        ask(sdk)
    assert caught.value.body["code"] == "config_override_not_allowed"
    assert first.requests == []


def test_a_key_that_may_not(callers: Callers, first: Upstream) -> None:
    """The body suits the clients of both: `error` for OpenAI's, `data` and `errorCode` for Portkey's."""
    sdk = callers.portkey(READER_KEY)
    for call in (lambda: ask(sdk), lambda: sdk.beta.threads.create()):
        with pytest.raises(errors_of(sdk).PermissionDeniedError) as caught:
            call()
        assert "completions.write" in caught.value.body["message"]
        assert caught.value.body["code"] == "AB03"
    assert first.requests == []


def test_metrics_are_the_operators(gateway: Any, plain: httpx.Client) -> None:
    for key, status in ((APP_KEY, 403), (ADMIN_KEY, 200)):
        answer = httpx.get(f"{gateway.origin}/metrics", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"virtual_key": "nobodys"}, "Unknown virtual key in your request: 'nobodys'"),
        ({"provider": "@nobodys"}, "Unknown virtual key in your request: 'nobodys'"),
        ({"config": "pc-nobodys"}, "pc-nobodys"),
        ({"provider": "no-such-provider", "Authorization": OWN}, "Invalid provider passed"),
        ({"config": "{broken"}, "Invalid config passed. You need to pass a valid json"),
        ({"config": {"strategy": {"mode": "best"}, "targets": [{"virtual_key": "main"}]}}, "Invalid config passed"),
        ({"config": {"provider": "openai"}}, "Invalid config passed"),
        ({"provider": "openai", "Authorization": OWN, "custom_host": "ftp://example.com"}, "Invalid custom host"),
    ],
)
def test_what_makes_no_sense(callers: Callers, options: dict[str, Any], message: str) -> None:
    """400 in both forms: `status` and `message` for Portkey's clients, `error` for OpenAI's."""
    sdk = callers.portkey(**options)
    with pytest.raises(errors_of(sdk).BadRequestError) as caught:
        ask(sdk)
    body = json.loads(caught.value.response.text)
    assert message in body["message"]
    assert (body["status"], body["error"]["message"]) == ("failure", body["message"])
    assert raw_headers(caught.value)["x-portkey-provider"]


def test_what_is_wrong_in_a_config_is_told(callers: Callers) -> None:
    sdk = callers.portkey(config={"strategy": {"mode": "best"}, "targets": [{"virtual_key": "main"}]})
    with pytest.raises(errors_of(sdk).BadRequestError) as caught:
        ask(sdk)
    assert json.loads(caught.value.response.text)["errors"] == [
        "path: strategy,mode, message: Invalid 'mode' value. Must be one of: single, loadbalance, fallback, conditional"
    ]
