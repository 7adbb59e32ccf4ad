"""Virtual keys, API keys, configs, logs, exports, graphs and feedback, driven by the Portkey SDK's own methods."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any, Callable, Iterator, TypeVar

import httpx
import pytest
from gateway import ADMIN_KEY, APP_KEY, OTHER_KEY, READER_KEY, Callers, ask, errors_of, said
from portkey_ai.api_resources import exceptions
from upstream import Upstream

SECRET = "sk-made-up-secret-that-nobody-is-ever-shown"
PATIENCE_S = 10

Found = TypeVar("Found")


@pytest.fixture
def admin(callers: Callers) -> Any:
    return callers.portkey(ADMIN_KEY)


@pytest.fixture
def virtual_key(admin: Any, second: Upstream) -> Iterator[str]:
    """The slug of a new one that leads to the second upstream."""
    slug = admin.virtual_keys.create(
        name="A team's own", provider="openai", key=SECRET, note="made by a test", custom_host=second.url
    ).slug
    yield slug
    admin.virtual_keys.delete(slug=slug)


def eventually(find: Callable[[], Found | None]) -> Found:
    """What is written behind the answer's back: it is there within moments."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = find()
        if found is not None or time.monotonic() > deadline:
            assert found is not None, "it never came"
            return found
        time.sleep(0.02)


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


def test_a_budget_of_a_virtual_key(callers: Callers, admin: Any, second: Upstream) -> None:
    """A hundred tokens, of which an answer takes eighteen: the call after the sixth is refused."""
    slug = admin.virtual_keys.create(
        name="Small", provider="openai", key=SECRET, custom_host=second.url, usage_limits={"type": "tokens", "credit_limit": 100}
    ).slug
    sdk = callers.portkey(virtual_key=slug)
    for _ in range(6):
        ask(sdk)
    with pytest.raises(errors_of(sdk).APIStatusError) as caught:
        ask(sdk)
    assert (caught.value.status_code, caught.value.body["code"]) == (412, "usage_limit_exceeded")
    assert len(second.requests) == 6
    assert admin.virtual_keys.retrieve(slug=slug).data["status"] == "exhausted"
    admin.virtual_keys.update(slug=slug, reset_usage=True)
    ask(sdk)
    admin.virtual_keys.delete(slug=slug)


def test_a_rate_of_an_api_key(callers: Callers, admin: Any) -> None:
    made = admin.api_keys.create(
        type="workspace",
        sub_type="service",
        name="slow",
        scopes=["completions.write"],
        rate_limits=[{"type": "requests", "unit": "rpd", "value": 2}],
        defaults={"virtual_key": "main"},
    )
    sdk = callers.portkey(made.key)
    ask(sdk)
    ask(sdk)
    with pytest.raises(errors_of(sdk).RateLimitError) as caught:
        ask(sdk)
    assert int(caught.value.response.headers["retry-after"]) > 0
    admin.api_keys.delete(id=made.id)


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


def test_a_call_leaves_a_record(callers: Callers, plain: httpx.Client) -> None:
    sdk = callers.portkey(virtual_key="main", trace_id="trace-of-a-record", metadata={"_user": "someone"})
    ask(sdk)
    headers = {"x-portkey-api-key": APP_KEY}

    def find() -> Any:
        found = plain.get("/logs", params={"trace_id": "trace-of-a-record"}, headers=headers).json()["data"]
        return found[0] if found else None

    record = eventually(find)
    for name, value in {
        "virtual_key": "main",
        "provider": "openai",
        "model": "gpt-4o",
        "attempts": 1,
        "cache_status": "DISABLED",
        "metadata": {"_user": "someone", "team": "search"},
    }.items():
        assert record[name] == value, name
    assert (record["response"]["status"], record["request"]["url"]) == (200, "/v1/chat/completions")
    assert (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (11, 7)
    assert record["cost"] is not None
    assert plain.get(f"/logs/{record['id']}", headers=headers).json()["data"]["id"] == record["id"]
    other = plain.get(f"/logs/{record['id']}", headers={"x-portkey-api-key": OTHER_KEY})
    assert (other.status_code, other.json()["data"]["errorCode"]) == (404, "AB08")


def test_a_model_call_of_a_run_leaves_a_record(callers: Callers, plain: httpx.Client) -> None:
    sdk = callers.portkey(virtual_key="main", trace_id="trace-of-a-run")
    assistant = sdk.beta.assistants.create(model="gpt-4o")
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
    )
    query = {"run_id": run.id, "kind": "model_call"}

    def find() -> Any:
        found = plain.get("/logs", params=query, headers={"x-portkey-api-key": APP_KEY}).json()["data"]
        return found[0] if found else None

    record = eventually(find)
    assert (record["trace_id"], record["thread_id"], record["virtual_key"]) == ("trace-of-a-run", run.thread_id, "main")
    assert (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (11, 7)
    assert run.usage.total_tokens == 18


def test_records_of_calls_that_went_elsewhere(callers: Callers, plain: httpx.Client) -> None:
    sdk = callers.portkey()
    sdk.logs.create(
        request={"url": "https://elsewhere.example/v1/chat/completions", "method": "POST", "provider": "elsewhere", "body": {}},
        response={"status": 200, "body": {"model": "m-1"}, "response_time": 120},
        metadata={"trace_id": "trace-elsewhere"},
    )
    (record,) = plain.get(
        "/logs", params={"trace_id": "trace-elsewhere"}, headers={"x-portkey-api-key": APP_KEY}
    ).json()["data"]
    assert (record["kind"], record["provider"], record["served_model"]) == ("inserted", "elsewhere", "m-1")


def test_an_export(callers: Callers, plain: httpx.Client) -> None:
    sdk = callers.portkey()
    sdk.logs.create(
        request={"url": "https://elsewhere.example/", "provider": "elsewhere"},
        response={"status": 200},
        metadata={"trace_id": "trace-to-export"},
    )
    fields = ["id", "trace_id", "ai_org"]
    made = sdk.logs.exports.create(
        filters={"trace_id": "trace-to-export"}, description="for a test", requested_data=fields
    )
    assert made.total == 1
    assert sdk.logs.exports.retrieve(export_id=made.id).status == "draft"
    sdk.logs.exports.start(export_id=made.id)
    assert made.id in [export["id"] for export in sdk.logs.exports.list().data]
    url = sdk.logs.exports.download(export_id=made.id).signed_url
    (line,) = httpx.get(url).text.splitlines()
    assert json.loads(line) | {"trace_id": "trace-to-export", "ai_org": "elsewhere"} == json.loads(line)


def test_feedback(callers: Callers, plain: httpx.Client) -> None:
    sdk = callers.portkey()
    made = sdk.feedback.create(trace_id="trace-judged", value=5, weight=0.5, metadata={"_user": "someone"})
    assert (made.status, len(made.feedback_ids)) == ("success", 1)
    many = sdk.feedback.bulk_create(feedbacks=[{"trace_id": "trace-judged", "value": value} for value in (-10, 10)])
    assert len(many.feedback_ids) == 2
    changed = sdk.feedback.update(feedback_id=made.feedback_ids[0], value=-5, weight=1)
    assert changed.feedback_ids == made.feedback_ids
    with pytest.raises(exceptions.BadRequestError):
        sdk.feedback.create(trace_id="trace-judged", value=11)


def test_what_is_not_built_is_shown_to_no_provider(admin: Any, first: Upstream) -> None:
    with pytest.raises(exceptions.NotFoundError) as caught:
        admin.integrations.create(name="mine", ai_provider_id="openai", key=SECRET)
    assert caught.value.response.json()["error"]["code"] == "not_built"
    assert first.requests == []


@pytest.mark.parametrize("graph", ["requests", "cost", "latency", "tokens", "errors", "requests_rescued", "cache_hit_rate"])
def test_graphs(callers: Callers, graph: str) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    span = {
        "time_of_generation_min": (now - datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
        "time_of_generation_max": (now + datetime.timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
    }
    answer = getattr(callers.portkey().analytics.graphs, graph)(**span)
    assert answer.object == "analytics-graph"
    assert answer.data_points and "timestamp" in answer.data_points[0]
    assert answer.summary is not None
