"""The stand-ins for providers that docs/gateway.md speaks of: more of OpenAI's API than the SDKs' tests need, and what
Anthropic, Gemini and Azure answer to a chat.

Every answer that is not streamed says whose it is (`x-stand-in`), and what came: fields of the body (`x-got-fields`), a
cookie (`x-got-cookie`). The model `busy` refuses whatever it is asked for the first time, and asks for a second of peace;
`busy-for-an-hour` for more. A stream of the model `cut` stops after its first event.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from upstream import Reply, Request, Upstream, failure, usual

NAMES = ("first", "second")


def stand_in(name: str) -> Upstream:
    asked: set[bytes] = set()
    lock = threading.Lock()

    def answer(request: Request) -> Reply | Iterator[str]:
        with lock:
            is_new = request.body not in asked
            asked.add(request.body)
        if is_new and (busy := re.search(rb'"model":"busy(-for-an-hour)?"', request.body)):
            pause = "3600" if busy[1] else "1"
            reply: Reply | Iterator[str] = failure(429, "One moment, please.", retry_after=pause)
        elif b'"model":"cut"' in request.body:
            reply = cut(usual(request))
        else:
            reply = spoken(request) or usual(request)
        if not isinstance(reply, Reply):
            return reply
        told = {"x-stand-in": name}
        if request.body.startswith(b"{"):
            told["x-got-fields"] = " ".join(sorted(request.json))
        if cookie := request.headers.get("cookie"):
            told["x-got-cookie"] = cookie
        return replace(reply, headers={**reply.headers, **told})

    return Upstream(answer)


def cut(events: Reply | Iterator[str]) -> Reply:
    assert not isinstance(events, Reply)
    return Reply(200, f"data: {next(events)}\n\n".encode(), {"content-type": "text/event-stream; charset=utf-8"})


def spoken(request: Request) -> Reply | None:
    path = request.path.partition("?")[0]
    for pattern, answer in ANSWERS.items():
        if request.method == "POST" and (found := re.fullmatch(pattern, path)):
            made = answer(request, *found.groups())
            return made if isinstance(made, Reply) else Reply(200, made)
    return None


def completion(request: Request) -> Any:
    body = request.json
    choice = {"index": 0, "text": f"You said: {body['prompt']}", "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    return {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}


def response(request: Request) -> Any:
    body = request.json
    text = {"type": "output_text", "text": f"You said: {body['input']}", "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}
    head = {"id": "resp_1", "object": "response", "status": "completed", "model": body["model"]}
    return {**head, "output": [message], "usage": usage}


def moderation(request: Request) -> Any:
    result = {"flagged": "kill" in request.json["input"], "categories": {}, "category_scores": {}}
    return {"id": "modr-1", "model": "omni-moderation-latest", "results": [result]}


def image(request: Request) -> Any:
    return {"created": 1761861536, "data": [{"url": "https://images.example/1.png"}]}


def speech(request: Request) -> Reply:
    return Reply(200, b"ID3 " + request.json["input"].encode(), {"content-type": "audio/mpeg"})


def transcription(request: Request) -> Any:
    (words,) = re.findall(rb'name="file".*?\r\n\r\n(.*?)\r\n--', request.body, re.DOTALL)
    return {"text": f"You said: {words.decode()}"}


def anthropic(request: Request) -> Any:
    assert request.headers["x-api-key"] and request.headers["anthropic-version"]
    content: list[dict[str, Any]] = []
    if request.json.get("thinking"):
        content.append({"type": "thinking", "thinking": "They greet me.", "signature": "c2lnbmVk"})
    content.append({"type": "text", "text": f"You said: {words_of(request.json['messages'][-1]['content'])}"})
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": request.json["model"]}
    usage = {"input_tokens": 11, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 0, "output_tokens": 7}
    return {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def gemini(request: Request, model: str) -> Any:
    assert request.headers["x-goog-api-key"]
    text = {"text": f"You said: {words_of(request.json['contents'][-1]['parts'])}"}
    candidate = {"content": {"role": "model", "parts": [text]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "resp-1"}


def azure(request: Request, deployment: str) -> Any:
    assert request.headers["api-key"] and "api-version=" in request.path
    answer = usual(replace(request, path="/v1/chat/completions"))
    assert isinstance(answer, Reply)
    return {**answer.body, "model": f"deployment {deployment}"}


def words_of(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


ANSWERS: dict[str, Callable[..., Any]] = {
    "/v1/completions": completion,
    "/v1/responses": response,
    "/v1/moderations": moderation,
    "/v1/images/generations": image,
    "/v1/audio/speech": speech,
    "/v1/audio/transcriptions": transcription,
    "/v1/messages": anthropic,
    "/v1beta/models/([^/]+):generateContent": gemini,
    "/openai/deployments/([^/]+)/chat/completions": azure,
}
