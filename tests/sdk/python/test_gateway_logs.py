"""Records of calls, exports of them, feedback and analytics, by the Portkey SDK.

It has no method for records: they are read with its own `get`, which hands out the response of httpx as it is.
"""

from __future__ import annotations

import datetime
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from gateway import OTHER_KEY, Callers, ask, errors_of, eventually
from portkey_ai.api_resources import exceptions
from upstream import Upstream, failure

FALLBACK = {"strategy": {"mode": "fallback"}, "targets": [{"virtual_key": "main"}, {"virtual_key": "second"}]}
# 11 tokens at 2.50 and 7 at 10 US dollars per million: what the answers of the upstreams cost.
COST = 0.0000975


@pytest.fixture
def trace() -> str:
    """A trace that nothing else belongs to."""
    return f"trace-{uuid4()}"


def records(callers: Callers, count: int = 1, **query: str) -> list[Any]:
    """The records that a query finds, newest first, once there are so many."""
    sdk = callers.portkey()

    def find() -> list[Any] | None:
        data = sdk.get(path=f"/logs?{httpx.QueryParams(query)}").json()["data"]
        return data if len(data) >= count else None

    found = eventually(find)
    assert len(found) == count
    return found


def outcome(record: Any) -> dict[str, Any]:
    """What of a record the calls differ in."""
    return {
        "status": record["response"]["status"],
        **{name: record[name] for name in ("virtual_key", "attempts", "cache_status", "cost")},
    }


PLAIN = {"status": 200, "virtual_key": "main", "attempts": 1, "cache_status": "DISABLED", "cost": COST}


def test_a_call_leaves_a_record(callers: Callers, trace: str) -> None:
    ask(callers.portkey(virtual_key="main", trace_id=trace, metadata={"_user": "someone"}))
    (record,) = records(callers, trace_id=trace)
    assert outcome(record) == PLAIN
    for name, value in {
        "kind": "request",
        "trace_id": trace,
        "provider": "openai",
        "model": "gpt-4o",
        "served_model": "gpt-4o",
        "metadata": {"_user": "someone", "team": "search"},
    }.items():
        assert record[name] == value, name
    assert (record["request"]["method"], record["request"]["url"]) == ("POST", "/v1/chat/completions")
    assert (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (11, 7)

    one = callers.portkey().get(path=f"/logs/{record['id']}").json()["data"]
    assert (one["id"], outcome(one)) == (record["id"], PLAIN)
    with pytest.raises(exceptions.NotFoundError) as caught:
        callers.portkey(OTHER_KEY).get(path=f"/logs/{record['id']}")
    assert caught.value.response.json()["data"]["errorCode"] == "AB08"


def test_a_streamed_call(callers: Callers, trace: str) -> None:
    assert list(ask(callers.portkey(virtual_key="main", trace_id=trace), stream=True))
    (record,) = records(callers, trace_id=trace)
    assert outcome(record) == PLAIN
    assert (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (11, 7)


def test_a_retry(callers: Callers, first: Upstream, trace: str) -> None:
    first.script(failure(503))
    retry = {"attempts": 1, "on_status_codes": [503]}
    ask(callers.portkey(config={"virtual_key": "main", "retry": retry}, trace_id=trace))
    (record,) = records(callers, trace_id=trace)
    assert outcome(record) == {**PLAIN, "attempts": 2}


def test_a_fallback(callers: Callers, first: Upstream, trace: str) -> None:
    first.script(failure(503))
    ask(callers.portkey(config=FALLBACK, trace_id=trace))
    (record,) = records(callers, trace_id=trace)
    assert outcome(record) == {**PLAIN, "virtual_key": "second", "attempts": 2}
    assert record["response"]["lastUsedOptionJsonPath"] == "config.targets[1]"


def test_an_error_of_the_provider(callers: Callers, first: Upstream, trace: str) -> None:
    first.script(failure(422))
    sdk = callers.portkey(virtual_key="main", trace_id=trace)
    with pytest.raises(errors_of(sdk).UnprocessableEntityError):
        ask(sdk)
    (record,) = records(callers, trace_id=trace)
    assert (record["response"]["status"], record["metrics"]["is_success"], record["attempts"]) == (422, False, 1)
    assert records(callers, trace_id=trace, status_code="4xx") == [record]


def test_an_answer_of_the_cache(callers: Callers, trace: str) -> None:
    config = {"virtual_key": "main", "cache": {"mode": "simple", "max_age": 60}}
    sdk = callers.portkey(config=config, cache_namespace=trace, trace_id=trace)
    ask(sdk)
    ask(sdk)
    found = records(callers, count=2, trace_id=trace)
    assert {record["cache_status"]: record["attempts"] for record in found} == {"MISS": 1, "HIT": 0}
    (hit,) = records(callers, trace_id=trace, cache_status="HIT")
    assert (hit["response"]["status"], hit["virtual_key"], hit["model"]) == (200, "main", "gpt-4o")


def test_a_model_call_of_a_run(callers: Callers, first: Upstream, trace: str) -> None:
    sdk = callers.portkey(config=FALLBACK, trace_id=trace)
    assistant = sdk.beta.assistants.create(model="gpt-4o")
    first.script(failure(503))
    run = sdk.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hello"}]}, poll_interval_ms=10
    )
    (record,) = records(callers, run_id=run.id, kind="model_call")
    assert (record["trace_id"], record["thread_id"], record["run_id"]) == (trace, run.thread_id, run.id)
    assert outcome(record) == {**PLAIN, "virtual_key": "second", "attempts": 2}
    assert (record["usage"]["prompt_tokens"], record["usage"]["completion_tokens"]) == (11, 7)
    assert run.usage.total_tokens == 18


def test_records_of_calls_that_went_elsewhere(callers: Callers, trace: str) -> None:
    callers.portkey().logs.create(
        request={"url": "https://elsewhere.example/v1/chat/completions", "method": "POST", "provider": "elsewhere", "body": {}},
        response={"status": 200, "body": {"model": "m-1"}, "response_time": 120},
        metadata={"trace_id": trace},
    )
    (record,) = records(callers, trace_id=trace)
    assert (record["kind"], record["provider"], record["served_model"]) == ("inserted", "elsewhere", "m-1")


def test_an_export(callers: Callers, trace: str) -> None:
    sdk = callers.portkey(virtual_key="main", trace_id=trace)
    ask(sdk)
    records(callers, trace_id=trace)
    fields = ["trace_id", "ai_model", "virtual_key", "response_status_code", "total_units", "cost"]
    exports = sdk.logs.exports
    made = exports.create(filters={"trace_id": "nothing"}, description="for a test", requested_data=["id"])
    assert made.total == 0
    assert exports.update(export_id=made.id, filters={"trace_id": trace}, requested_data=fields).total == 1

    shown = exports.retrieve(export_id=made.id)
    assert (shown.status, shown.filters, shown.requested_data) == ("draft", {"trace_id": trace}, fields)
    with pytest.raises(exceptions.ConflictError):
        exports.download(export_id=made.id)
    exports.start(export_id=made.id)
    (listed,) = [export for export in exports.list().data if export["id"] == made.id]
    assert listed["status"] == "success"
    (line,) = httpx.get(exports.download(export_id=made.id).signed_url).text.splitlines()
    assert json.loads(line) == dict(zip(fields, (trace, "gpt-4o", "main", 200, 18, COST)))


def test_a_cancelled_export(callers: Callers) -> None:
    exports = callers.portkey().logs.exports
    id = exports.create(filters={}, description="for a test", requested_data=["id"]).id
    exports.start(export_id=id)
    url = exports.download(export_id=id).signed_url
    exports.cancel(export_id=id)
    assert exports.retrieve(export_id=id).status == "stopped"
    assert httpx.get(url).status_code == 409
    with pytest.raises(exceptions.ConflictError):
        exports.download(export_id=id)


def last_hour(**filters: str) -> dict[str, str]:
    """What graphs and tables are asked for."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ends = (now - datetime.timedelta(hours=1), now + datetime.timedelta(minutes=1))
    names = ("time_of_generation_min", "time_of_generation_max")
    return filters | {name: end.isoformat().replace("+00:00", "Z") for name, end in zip(names, ends)}


def test_feedback(callers: Callers, trace: str) -> None:
    """The only feedback of the workspace, told by its weighted mean."""
    sdk = callers.portkey()

    def mean() -> Any:
        summary = sdk.analytics.graphs.feedbacks_weighted(**last_hour()).summary
        return summary["count"], summary["total"]

    assert mean() == (0, None)
    made = sdk.feedback.create(trace_id=trace, value=5, weight=0.5, metadata={"_user": "someone"})
    assert (made.status, len(made.feedback_ids)) == ("success", 1)
    many = sdk.feedback.bulk_create(feedbacks=[{"trace_id": trace, "value": value} for value in (-10, 10)])
    assert len(many.feedback_ids) == 2
    assert mean() == (3, pytest.approx(1.0))
    changed = sdk.feedback.update(feedback_id=made.feedback_ids[0], value=-5, weight=1)
    assert changed.feedback_ids == made.feedback_ids
    with pytest.raises(exceptions.BadRequestError):
        sdk.feedback.create(trace_id=trace, value=11)
    with pytest.raises(exceptions.NotFoundError):
        sdk.feedback.update(feedback_id="nobodys", value=1)
    assert mean() == (3, pytest.approx(-5 / 3))


def test_graphs(callers: Callers, first: Upstream, trace: str) -> None:
    """Of three calls: one at the second attempt, the same again out of the cache, and one that the provider refuses."""
    rules = {"retry": {"attempts": 1, "on_status_codes": [503]}, "cache": {"mode": "simple", "max_age": 60}}
    sdk = callers.portkey(config={"virtual_key": "main", **rules}, trace_id=trace, metadata={"_user": trace})
    first.script(failure(503))
    ask(sdk)
    ask(sdk)
    first.script(failure(422))
    with pytest.raises(errors_of(sdk).UnprocessableEntityError):
        ask(sdk, "Good day")
    records(callers, count=3, trace_id=trace)
    for graph, expected in {
        "requests": {"total": 3},
        "tokens": {"total": 18, "prompt": 11, "completion": 7},
        "cost": {"total": pytest.approx(100 * COST)},  # US cents
        "latency": {"total": 3},
        "users": {"total": 1},
        "users_requests": {"total": 3, "users": 1},
        "errors": {"total": 1},
        "errors_rate": {"rate": pytest.approx(100 / 3)},
        "errors_status_codes": {"stats": [{"status_code": 422, "count": 1}]},
        "requests_rescued": {"total": 1},
        "cache_hit_rate": {"rate": pytest.approx(100 / 3)},
        "cache_latency": {"total": 1},
    }.items():
        answer = getattr(sdk.analytics.graphs, graph)(**last_hour(trace_id=trace))
        assert answer.object == "analytics-graph"
        assert answer.data_points and "timestamp" in answer.data_points[0]
        assert {name: answer.summary[name] for name in expected} == expected, graph


def test_groups(callers: Callers, trace: str) -> None:
    sdk = callers.portkey(virtual_key="main", trace_id=trace, metadata={"_user": "someone"})
    ask(sdk)
    records(callers, trace_id=trace)
    groups, query = sdk.analytics.groups, last_hour(trace_id=trace)
    for answer, key in (
        (groups.users(**query), "someone"),
        (groups.ai_models(**query), "gpt-4o"),
        (groups.metadata(metadata_key="team", **query), "search"),
        (groups.group_by(group_by="provider", **query), "openai"),
        (groups.group_by(group_by="status_code", **query), "200"),
    ):
        (row,) = answer.data
        assert (str(row["key"]), row["requests"], row["total_tokens"]) == (key, 1, 18)
