"""Virtual keys, API keys and configs, driven by the Portkey SDK's own methods."""

from __future__ import annotations

import json
from typing import Any, Iterator

import httpx
import pytest
from gateway import ADMIN_KEY, APP_KEY, READER_KEY, Callers, ask, errors_of, said
from portkey_ai.api_resources import exceptions
from upstream import Upstream

SECRET = "sk-made-up-secret-that-nobody-is-ever-shown"


@pytest.fixture
def virtual_key(admin: Any, second: Upstream) -> Iterator[str]:
    """The slug of a new one that leads to the second upstream."""
    slug = admin.virtual_keys.create(
        name="A team's own", provider="openai", key=SECRET, note="made by a test", custom_host=second.url
    ).slug
    yield slug
    admin.virtual_keys.delete(slug=slug)


def test_a_virtual_key_from_its_making_to_its_end(callers: Callers, admin: Any, second: Upstream) -> None:
    made = admin.virtual_keys.create(name="Mine", provider="openai", key=SECRET, custom_host=second.url)
    assert made.slug.startswith("mine-")
    assert said(ask(callers.portkey(virtual_key=made.slug))) == "You said: Hello"
    assert second.last.headers["authorization"] == f"Bearer {SECRET}"

    listed = admin.virtual_keys.list()
    assert listed.total == len(listed.data) >= 4
    (mine,) = [key for key in listed.data if key["slug"] == made.slug]
    assert (mine["status"], mine["object"], mine["name"]) == ("active", "virtual-key", "Mine")
    assert {key["slug"] for key in listed.data if key["read_only"]} >= {"main", "second", "echo"}

    admin.virtual_keys.update(slug=made.slug, name="Ours", key="sk-another-made-up-secret-of-theirs", note="changed")
    assert admin.virtual_keys.retrieve(slug=made.slug).data["name"] == "Ours"
    ask(callers.portkey(virtual_key=made.slug))
    assert second.last.headers["authorization"] == "Bearer sk-another-made-up-secret-of-theirs"

    admin.virtual_keys.delete(slug=made.slug)
    sdk = callers.portkey(virtual_key=made.slug)
    with pytest.raises(errors_of(sdk).BadRequestError):
        ask(sdk)
    with pytest.raises(exceptions.NotFoundError) as caught:
        admin.virtual_keys.retrieve(slug=made.slug)
    assert caught.value.response.json()["data"]["errorCode"] == "AB08"


def test_a_provider_is_a_virtual_key(callers: Callers, admin: Any, second: Upstream) -> None:
    """Portkey's newer word for it, with its own methods, and `@slug` in place of the slug."""
    rate = {"type": "requests", "unit": "rpm", "value": 60}
    made = admin.providers.create(
        name="Ours", integration_id="openai", slug="ours", key=SECRET, custom_host=second.url, rate_limits=rate
    )
    assert made.slug == "ours"
    assert said(ask(callers.portkey(provider="@ours"))) == "You said: Hello"
    assert said(ask(callers.portkey(), model="@ours/gpt-4o")) == "You said: Hello"
    by_model = {"override_params": {"model": "@ours/gpt-4o"}}
    assert said(ask(callers.portkey(config=by_model))) == "You said: Hello"
    assert [request.json["model"] for request in second.requests] == ["gpt-4o"] * 3

    shown = admin.providers.retrieve(slug="ours", workspace_id="team")
    assert (shown.name, shown.status, shown.usage_limits) == ("Ours", "active", None)
    budget = {"type": "tokens", "credit_limit": 1000, "periodic_reset": "weekly"}
    admin.providers.update(slug="ours", name="Theirs", usage_limits=budget, reset_usage=True)
    listed = admin.providers.list(page_size=100)
    (ours,) = [provider for provider in listed.data if provider.slug == "ours"]
    assert (ours.name, admin.virtual_keys.retrieve(slug="ours").data["usage_limits"]["credit_limit"]) == ("Theirs", 1000)
    admin.providers.delete(slug="ours")
    with pytest.raises(exceptions.NotFoundError):
        admin.providers.retrieve(slug="ours")


def test_a_secret_is_never_shown_again(admin: Any, virtual_key: str, plain: httpx.Client) -> None:
    headers = {"x-portkey-api-key": ADMIN_KEY}
    for path in ("/virtual-keys", f"/virtual-keys/{virtual_key}", "/providers", f"/providers/{virtual_key}"):
        answer = plain.get(path, headers=headers)
        assert answer.status_code == 200
        assert SECRET not in answer.text
    assert admin.virtual_keys.retrieve(slug=virtual_key).data["masked_api_key"] == "sk-****hown"


def test_what_stands_in_the_configuration_is_read_only(admin: Any) -> None:
    with pytest.raises(exceptions.PermissionDeniedError) as caught:
        admin.virtual_keys.update(slug="main", name="mine now")
    body = caught.value.response.json()
    assert body["data"]["errorCode"] == "AB03"
    assert "[virtual_keys.main]" in body["error"]["message"]


def test_an_api_key_from_its_making_to_its_end(callers: Callers, admin: Any) -> None:
    made = admin.api_keys.create(
        type="workspace",
        sub_type="user",
        user_id="someone",
        name="app",
        description="of a test",
        scopes=["completions.write"],
        defaults={"virtual_key": "main", "metadata": {"team": "a"}},
    )
    assert made.object == "api-key"
    assert said(ask(callers.portkey(made.key))) == "You said: Hello"

    shown = admin.api_keys.retrieve(id=made.id)
    assert (shown.name, shown.type, shown.scopes) == ("app", "workspace-user", ["completions.write"])
    assert made.key not in (shown.key or "")
    assert made.id in [key["id"] for key in admin.api_keys.list(page_size=100).data]

    admin.api_keys.update(id=made.id, name="renamed", scopes=["logs.list"])
    sdk = callers.portkey(made.key)
    with pytest.raises(errors_of(sdk).PermissionDeniedError):
        ask(sdk)
    admin.api_keys.delete(id=made.id)
    with pytest.raises(errors_of(sdk).AuthenticationError):
        ask(sdk)


def test_nobody_gives_away_more_than_they_have(callers: Callers, plain: httpx.Client) -> None:
    body = {"name": "mine", "scopes": ["admin"]}
    answer = plain.post("/api-keys/organisation/service", json=body, headers={"x-portkey-api-key": APP_KEY})
    assert (answer.status_code, answer.json()["data"]["errorCode"]) == (403, "AB03")
    with pytest.raises(exceptions.PermissionDeniedError):
        callers.portkey(READER_KEY).configs.create(name="x", config={"virtual_key": "main"})


def test_a_config_from_its_making_to_its_end(callers: Callers, admin: Any, first: Upstream, second: Upstream) -> None:
    made = admin.configs.create(name="Where it goes", config={"virtual_key": "second"})
    ask(callers.portkey(config=made.slug))
    assert (len(first.requests), len(second.requests)) == (0, 1)

    shown = admin.configs.retrieve(slug=made.slug)
    config = json.loads(shown.config) if isinstance(shown.config, str) else shown.config
    assert (shown.name, config) == ("Where it goes", {"virtual_key": "second"})
    assert {"pinned", "spare", made.slug} <= {config["slug"] for config in admin.configs.list().data}

    changed = admin.configs.update(slug=made.slug, config={"virtual_key": "main"})
    assert changed.version_id != made.version_id
    ask(callers.portkey(config=made.slug))
    assert (len(first.requests), len(second.requests)) == (1, 1)

    admin.configs.delete(slug=made.slug)
    sdk = callers.portkey(config=made.slug)
    with pytest.raises(errors_of(sdk).BadRequestError):
        ask(sdk)


@pytest.mark.parametrize(
    "config", [{"strategy": {"mode": "best"}, "targets": [{"virtual_key": "main"}]}, {"virtual_key": "nobodys"}]
)
def test_a_config_that_leads_nowhere_is_not_saved(admin: Any, config: Any) -> None:
    with pytest.raises(exceptions.BadRequestError) as caught:
        admin.configs.create(name="broken", config=config)
    body = caught.value.response.json()
    assert (body["success"], body["data"]["errorCode"]) == (False, "AB01")
    assert body["error"]["message"] == body["data"]["message"]


def test_what_is_not_built_is_shown_to_no_provider(admin: Any, first: Upstream) -> None:
    with pytest.raises(exceptions.NotFoundError) as caught:
        admin.integrations.create(name="mine", ai_provider_id="openai", key=SECRET)
    assert caught.value.response.json()["error"]["code"] == "not_built"
    assert first.requests == []
