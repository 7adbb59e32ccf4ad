"""Native runs whose model calls go on to a provider that counts them: by a virtual key, and by a config of the request.

What runs do beside that is in `test_lifecycle.py` and `test_streaming.py`.
"""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from clients import CLIENTS, Client
from gateway import APP_KEY, FIRST_SECRET, SECOND_SECRET, credential_of
from recording import Recorder
from scenario import (
    AFTER_OUTPUTS,
    CALLS_WAIT,
    POLL_MS,
    RUN_STARTS,
    TEXT_RUN,
    function,
    names,
    new_assistant,
    new_thread,
    outputs_for,
    settled,
    thread_texts,
    tool_calls,
)
from server import Server
from upstream import Upstream, calling, failure, saying

FALLBACK = {"strategy": {"mode": "fallback"}, "targets": [{"virtual_key": "main"}, {"virtual_key": "second"}]}


class Account:
    """A client whose runs end up at the second upstream, and how its model calls get there."""

    def __init__(self, client: Client, first: Upstream, second: Upstream, *, falls_back: bool) -> None:
        self.client = client
        self._first, self._second, self._falls_back = first, second, falls_back

    def furnish(self, text: str, *tools: dict[str, Any]) -> dict[str, str]:
        """An assistant and a thread, as a run wants them."""
        assistant = new_assistant(self.client, model="gpt-4o", instructions="Be brief.", tools=list(tools))
        return {"assistant_id": assistant, "thread_id": new_thread(self.client, text)}

    def expect(self) -> None:
        """The next turn of a run comes: it fails at the first upstream, if it goes there at all."""
        if self._falls_back:
            self._first.script(failure(503))

    def check(self, turns: int) -> None:
        """So many turns came, each as a chat paid with the upstream's own account."""
        assert (len(self._first.requests), len(self._second.requests)) == (turns if self._falls_back else 0, turns)
        for upstream, secret in ((self._first, FIRST_SECRET), (self._second, SECOND_SECRET)):
            for request in upstream.requests:
                assert (request.method, request.path) == ("POST", "/v1/chat/completions")
                assert (request.json["model"], credential_of(request)) == ("gpt-4o", secret)


@pytest.fixture(params=["virtual key", "inline config"])
def account(
    request: pytest.FixtureRequest,
    client_kind: str,
    gateway: Server,
    first: Upstream,
    second: Upstream,
    recorder: Recorder,
) -> Iterator[Account]:
    falls_back = request.param == "inline config"
    way = {"config": FALLBACK} if falls_back else {"virtual_key": "second"}
    client = CLIENTS[client_kind](gateway.base_url, APP_KEY, recorder, **way)
    yield Account(client, first, second, falls_back=falls_back)
    client.close()


def test_create_and_poll(account: Account, second: Upstream) -> None:
    runs = account.client.beta.threads.runs
    ids = account.furnish("Good day")
    account.expect()
    run = runs.create_and_poll(**ids, poll_interval_ms=POLL_MS)
    assert (run.status, run.usage.total_tokens) == ("completed", 18)
    assert thread_texts(account.client, run.thread_id) == ["Good day", "You said: Good day"]
    account.check(turns=1)
    assert [message["content"] for message in second.last.json["messages"]] == ["Be brief.", "Good day"]


def test_a_streamed_run(account: Account, recorder: Recorder) -> None:
    ids = account.furnish("one two three")
    account.expect()
    with account.client.beta.threads.runs.stream(**ids) as stream:
        text = "".join(stream.text_deltas)
        (message,) = stream.get_final_messages()
    assert text == message.content[0].text.value == "You said: one two three"
    assert names(recorder.last_stream.response_sse) == TEXT_RUN
    assert thread_texts(account.client, ids["thread_id"]) == ["one two three", text]
    account.check(turns=1)


def test_tool_outputs(account: Account, second: Upstream) -> None:
    """The config stays with the run: its second turn takes the same way."""
    runs = account.client.beta.threads.runs
    ids = account.furnish("How is Oslo?", function("weather"))
    account.expect()
    second.script(calling(("weather", {"city": "Oslo"})), saying("It ", "rains."))
    waiting = runs.create_and_poll(**ids, poll_interval_ms=POLL_MS)
    assert waiting.status == "requires_action"
    (call,) = tool_calls(waiting)
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')
    account.check(turns=1)

    account.expect()
    thread = ids["thread_id"]
    runs.submit_tool_outputs(run_id=waiting.id, thread_id=thread, tool_outputs=outputs_for(waiting, weather="rain"))
    assert settled(account.client, thread, waiting.id).status == "completed"
    assert thread_texts(account.client, thread) == ["How is Oslo?", "It rains."]
    account.check(turns=2)
    told = second.last.json["messages"][-1]
    assert (told["role"], told["content"], told["tool_call_id"]) == ("tool", "rain", call.id)


def test_tool_outputs_streamed(account: Account, second: Upstream, recorder: Recorder) -> None:
    runs = account.client.beta.threads.runs
    ids = account.furnish("How is Oslo?", function("weather"))
    account.expect()
    second.script(calling(("weather", {"city": "Oslo"})), saying("It ", "rains."))
    with runs.stream(**ids) as stream:
        stream.until_done()
        waiting = stream.current_run
    assert names(recorder.last_stream.response_sse) == [*RUN_STARTS, *CALLS_WAIT]
    account.expect()
    outputs = outputs_for(waiting, weather="rain")
    with runs.submit_tool_outputs_stream(run_id=waiting.id, thread_id=ids["thread_id"], tool_outputs=outputs) as stream:
        (message,) = stream.get_final_messages()
    assert message.content[0].text.value == "It rains."
    assert names(recorder.last_stream.response_sse) == AFTER_OUTPUTS
    account.check(turns=2)
