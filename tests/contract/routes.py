"""The routes of this release, and what the error tests need to know about them."""

from __future__ import annotations

from typing import Any

from client import Answer

LISTS = (
    "/assistants", "/threads/{thread_id}/messages", "/threads/{thread_id}/runs",
    "/threads/{thread_id}/runs/{run_id}/steps",
)  # fmt: skip

# Operation -> method, path, the smallest body that is accepted (None: none is needed).
OPERATIONS: dict[str, tuple[str, str, Any]] = {
    "list assistants": ("GET", "/assistants", None),
    "create assistant": ("POST", "/assistants", {"model": "gpt-4o"}),
    "get assistant": ("GET", "/assistants/{assistant_id}", None),
    "modify assistant": ("POST", "/assistants/{assistant_id}", {}),
    "delete assistant": ("DELETE", "/assistants/{assistant_id}", None),
    "create thread": ("POST", "/threads", {}),
    "get thread": ("GET", "/threads/{thread_id}", None),
    "modify thread": ("POST", "/threads/{thread_id}", {}),
    "delete thread": ("DELETE", "/threads/{thread_id}", None),
    "list messages": ("GET", "/threads/{thread_id}/messages", None),
    "create message": ("POST", "/threads/{thread_id}/messages", {"role": "user", "content": "Hello"}),
    "get message": ("GET", "/threads/{thread_id}/messages/{message_id}", None),
    "modify message": ("POST", "/threads/{thread_id}/messages/{message_id}", {}),
    "delete message": ("DELETE", "/threads/{thread_id}/messages/{message_id}", None),
    "list runs": ("GET", "/threads/{thread_id}/runs", None),
    "create run": ("POST", "/threads/{thread_id}/runs", {"assistant_id": "{assistant_id}"}),
    "create thread and run": ("POST", "/threads/runs", {"assistant_id": "{assistant_id}"}),
    "get run": ("GET", "/threads/{thread_id}/runs/{run_id}", None),
    "modify run": ("POST", "/threads/{thread_id}/runs/{run_id}", {}),
    "cancel run": ("POST", "/threads/{thread_id}/runs/{run_id}/cancel", None),
    "submit tool outputs": ("POST", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", {"tool_outputs": []}),
    "list run steps": ("GET", "/threads/{thread_id}/runs/{run_id}/steps", None),
    "get run step": ("GET", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}", None),
}
MODEL_ROUTES = (("GET", "/models"), ("GET", "/models/echo"))

PREFIXES = {"assistant_id": "asst", "thread_id": "thread", "message_id": "msg", "run_id": "run", "step_id": "step"}
NOUNS = {
    "assistant_id": "assistant", "thread_id": "thread", "message_id": "message", "run_id": "run", "step_id": "run step",
}  # fmt: skip

# Well-formed ids of things that do not exist.
NOWHERE = {name: f"{prefix}_{'0' * 24}" for name, prefix in PREFIXES.items()}


def filled(template: Any, ids: dict[str, str]) -> Any:
    """A path or body with the ids in place of their names."""
    if isinstance(template, dict):
        return {key: filled(value, ids) for key, value in template.items()}
    if isinstance(template, str) and "{" in template:
        for name, value in ids.items():
            template = template.replace("{" + name + "}", value)
    return template


def parameters(path: str) -> list[str]:
    return [part.strip("{}") for part in path.split("/") if part.startswith("{")]


def expect_error(answer: Answer, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
    """The whole envelope of contract section 1.4, exactly."""
    assert answer.headers.get("content-type", "").startswith("application/json"), answer.headers
    found = (answer.status, answer.body)
    expected = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    assert found == (status, expected)


def expect_first_sentence(
    answer: Answer, status: int, sentence: str, param: str | None = None, code: str | None = None
) -> None:
    """As `expect_error` for a text whose rest pointed to the original's help pages: ours must not."""
    assert answer.error["message"].startswith(sentence), answer.error
    assert "openai.com" not in answer.error["message"]
    expect_error(answer, status, answer.error["message"], param, code)
