"""The recorded scenarios of the contract folder, read as data. The folder is not part of this repository."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import Call, Turn

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("LOOMGATE_CONTRACT_DIR") or ROOT.parent / "shared" / "contract")

# Everything here that needs no code_interpreter.
SCENARIOS = (
    "BasicAssistantOperationsWork",
    "BasicRunOperationsWork",
    "BasicThreadOperationsWork",
    "CanApplyChunkingStrategy-Static",
    "CanAssociateFiles",
    "CanCreateGetAndDeleteVectorStores",
    "CanPaginateGetVectorStoreFilesInBatch",
    "CanUseBatchIngestion",
    "CompleteUploadWorks",
    "CreateUploadWorks-False",
    "DeleteFile-False",
    "FileSearchStreamingWorks",
    "GetFile",
    "GetFileCanParseServiceError",
    "ListFiles",
    "Pagination_CanPageThroughAssistantCollection",
    "StreamingRunWorks",
    "StreamingToolCall",
    "ThreadWithInitialMessagesWorks",
    "UploadFile-UsingStream",
    "UploadFileCanParseServiceError",
    "UserDataPurpose",
)
NOT_IN_THIS_RELEASE = re.compile(r'"code_interpreter"\s*[:}]')

needs_contract = pytest.mark.skipif(
    not (FOLDER / "recorded").is_dir(),
    reason=f"no contract folder at {FOLDER} (set LOOMGATE_CONTRACT_DIR): the recorded traffic is not in the repository",
)


def scenario(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / "recorded" / f"{name}.json").read_text())


def applicable() -> list[str]:
    """The names of the recorded scenarios whose requests this release can answer, found by what they ask for."""
    names = []
    for path in sorted((FOLDER / "recorded").glob("*.json")):
        requests = [
            {key: exchange.get(key) for key in ("path", "request_body")}
            for exchange in json.loads(path.read_text())["exchanges"]
        ]
        if not NOT_IN_THIS_RELEASE.search(json.dumps(requests)):
            names.append(path.stem)
    return names


def form(recorded: list[dict[str, Any]]) -> list[tuple[str, tuple[str | None, bytes, str] | tuple[None, bytes]]]:
    """A recorded form as httpx takes it. Bytes that are not in the recording are as many others."""
    parts = []
    for field in recorded:
        if "value" in field:
            parts.append((field["name"], (None, field["value"].encode())))
            continue
        if "hex" in field:
            content = bytes.fromhex(field["hex"])
        else:
            content = field.get("text", "").encode() or b"\x89PNG" + bytes(field["bytes"] - 4)
        parts.append((field["name"], (field["filename"], content, field.get("content-type", "application/octet-stream"))))
    return parts


def model_turns(recorded: dict[str, Any]) -> list[Turn]:
    """What the model said in a recording, turn by turn, so that the scripted upstream can say it again."""
    turns: list[Turn] = []
    calls: dict[int, dict[str, Any]] = {}
    text: list[str] = []
    for exchange in recorded["exchanges"]:
        for event in exchange.get("response_sse", []):
            name, data = event["event"], event["data"]
            if name == "thread.message.delta":
                text += [part["text"]["value"] for part in data["delta"]["content"]]
            elif name == "thread.run.step.delta":
                for part in data["delta"]["step_details"]["tool_calls"]:
                    call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": []})
                    made = part["function"] if "function" in part else _search(recorded)
                    call["id"] += part.get("id", "")
                    call["name"] += made.get("name", "")
                    call["arguments"] += [made["arguments"]] if made["arguments"] else []
            elif name == "thread.run.step.completed":
                said = tuple(Call(c["id"], c["name"], tuple(c["arguments"])) for c in calls.values())
                turns.append(Turn(text=tuple(text), calls=said, usage=_usage(data)))
                calls, text = {}, []
    if not turns:
        turns += _polled_turn(recorded)
    return turns


def _search(recorded: dict[str, Any]) -> dict[str, str]:
    """The function that a `file_search` is to our model. Recordings do not tell its queries: what the user asked."""
    bodies = [exchange.get("request_body") or {} for exchange in recorded["exchanges"]]
    asked = [message["content"] for body in bodies for message in body.get("messages", [])]
    return {"name": "file_search", "arguments": json.dumps({"queries": asked})}


def _polled_turn(recorded: dict[str, Any]) -> list[Turn]:
    """The one answer of a scenario that polls: its text stands in a list of messages, its usage in the last run."""
    usage, words = None, ()
    for exchange in recorded["exchanges"]:
        body = exchange.get("response_body") or {}
        if body.get("object") == "thread.run" and body["usage"]:
            usage = _usage(body)
        for item in body.get("data", []):
            if item["object"] == "thread.message" and item["role"] == "assistant":
                words = tuple(re.findall(r"\S+\s*", item["content"][0]["text"]["value"]))
    return [Turn(text=words, usage=usage)] if usage else []


def _usage(holder: dict[str, Any]) -> tuple[int, int]:
    return holder["usage"]["prompt_tokens"], holder["usage"]["completion_tokens"]
