"""Modify Run through the gateway: served here for native runs, and passed on as it is by `assistants = "upstream"`.

What it answers in which state is in `test_modify_run.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from gateway import FIRST_SECRET, Callers, credential_of, errors_of
from upstream import Upstream, failure

THREAD, RUN = "thread_abc123", "run_abc123"
PATH = f"/v1/threads/{THREAD}/runs/{RUN}"
OVERRIDE = {"override_params": {"model": "gpt-4o-mini"}}


def modify(sdk: Any, metadata: Any) -> Any:
    return sdk.beta.threads.runs.update(thread_id=THREAD, run_id=RUN, metadata=metadata)


@pytest.mark.parametrize(
    ("way", "model"),
    [({"virtual_key": "main"}, "gpt-4o"), ({"config": {"virtual_key": "main", **OVERRIDE}}, "gpt-4o-mini")],
    ids=["virtual key", "config"],
)
def test_served_here(callers: Callers, first: Upstream, kind: str, way: dict[str, Any], model: str) -> None:
    beta = getattr(callers, kind)(**way).beta
    run = beta.threads.create_and_run_poll(
        assistant_id=beta.assistants.create(model="gpt-4o").id,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
        metadata={"old": "1"},
        poll_interval_ms=10,
    )
    assert (run.status, run.metadata) == ("completed", {"old": "1"})
    assert [request.json["model"] for request in first.requests] == [model]

    ids = {"thread_id": run.thread_id, "run_id": run.id}
    changed = beta.threads.runs.update(**ids, metadata={"user_id": "user_abc123"})
    assert (changed.id, changed.status, changed.metadata) == (run.id, "completed", {"user_id": "user_abc123"})
    assert beta.threads.runs.retrieve(**ids).metadata == {"user_id": "user_abc123"}
    assert len(first.requests) == 1, "no provider is asked"


@pytest.mark.parametrize(
    "way",
    [{"virtual_key": "hosted"}, {"config": {"virtual_key": "hosted", **OVERRIDE}}],
    ids=["virtual key", "config"],
)
def test_passed_on(callers: Callers, first: Upstream, kind: str, way: dict[str, Any]) -> None:
    run = modify(getattr(callers, kind)(**way), {"user_id": "user_abc123"})
    assert (run.id, run.thread_id, run.metadata) == (RUN, THREAD, {"user_id": "user_abc123"})
    (request,) = first.requests
    assert (request.method, request.path, request.json) == ("POST", PATH, {"metadata": {"user_id": "user_abc123"}})
    assert (credential_of(request), request.headers["openai-beta"]) == (FIRST_SECRET, "assistants=v2")


def test_passed_on_again_where_a_config_says_so(callers: Callers, first: Upstream, kind: str) -> None:
    first.script(failure(503))
    config = {"virtual_key": "hosted", "retry": {"attempts": 1, "on_status_codes": [503]}}
    assert modify(getattr(callers, kind)(config=config), {"k": "v"}).metadata == {"k": "v"}
    assert [(request.path, request.json) for request in first.requests] == [(PATH, {"metadata": {"k": "v"}})] * 2


@pytest.mark.parametrize(
    ("status", "error"), [(400, "BadRequestError"), (404, "NotFoundError"), (500, "InternalServerError")]
)
def test_errors_of_the_server_upstream_pass(
    callers: Callers, first: Upstream, kind: str, status: int, error: str
) -> None:
    first.script(failure(status, f"No run found with id '{RUN}'."))
    sdk = getattr(callers, kind)(virtual_key="hosted")
    with pytest.raises(getattr(errors_of(sdk), error)) as caught:
        modify(sdk, {})
    assert (caught.value.status_code, caught.value.body["message"]) == (status, f"No run found with id '{RUN}'.")
    assert len(first.requests) == 1
